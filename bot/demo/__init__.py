"""The demo: a made-up network, its traffic and the story that `driftcatcher demo` plays on it."""
