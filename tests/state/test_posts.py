from __future__ import annotations

from state.store import Store


def test_where_a_message_is_survives_a_restart_and_the_newest_place_counts(path, store):
    assert store.post_of("retrain_finished:3") is None
    store.remember_post("retrain_finished:3", "C1", "1.1")
    store.remember_post("retrain_finished:4", "C1", "1.2")
    store.remember_post("retrain_finished:3", "C2", "1.3")
    store.close()
    with Store(path) as reopened:
        assert reopened.post_of("retrain_finished:3") == ("C2", "1.3")
        assert reopened.post_of("retrain_finished:4") == ("C1", "1.2")
