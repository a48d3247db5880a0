from __future__ import annotations

from datetime import timedelta


def test_the_newest_notice_of_each_model_and_kind_is_remembered(store, now):
    assert store.last_said("ids", "broken_feed") is None
    store.mark_said("ids", "broken_feed", now)
    store.mark_said("ids", "broken_feed", now + timedelta(hours=6))
    store.mark_said("ids", "performance", now)
    assert store.last_said("ids", "broken_feed") == now + timedelta(hours=6)
    assert store.last_said("ids", "performance") == now
    assert store.last_said("other", "broken_feed") is None
