"""Errors of the embedded workspace, named as Slack names them."""

from __future__ import annotations

from collections.abc import Sequence


class SlackError(Exception):
    """A refusal that the Web API answers with ``{"ok": false, "error": code}``.

    Args:
        code: Slack's error name, e.g. ``channel_not_found``.
        messages: details for ``response_metadata.messages``: what is wrong and where.
    """

    def __init__(self, code: str, messages: Sequence[str] = ()) -> None:
        super().__init__(f"{code}: {'; '.join(messages)}" if messages else code)
        self.code = code
        self.messages = tuple(messages)


class WorkspaceError(Exception):
    """A person's action was refused; ``code`` is a short name, the text is a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class AppNotRespondingError(WorkspaceError):
    """The app acknowledged nothing within the time that Slack allows."""
