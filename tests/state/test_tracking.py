from __future__ import annotations

from datetime import timedelta

import pytest

from state import tracking
from state.records import TrackingRun

MINUTE = timedelta(minutes=1)


def test_steps_count_on_for_each_model_and_kind_also_when_all_is_logged(store, now):
    steps = [store.queue_run("check", "ids", "1", {"n": n}, now) for n in range(2)]
    store.logged(store.to_log(now, 10)[0].id)
    store.logged(store.to_log(now, 10)[0].id)
    steps.append(store.queue_run("check", "ids", "2", {}, now))
    other = [
        store.queue_run("performance", "ids", "2", {}, now),
        store.queue_run("check", "web", "1", {}, now),
    ]
    assert (steps, other) == ([1, 2, 3], [1, 1])
    assert [(e.kind, e.model, e.version, e.step) for e in store.to_log(now, 10)] == [
        ("check", "ids", "2", 3), ("performance", "ids", "2", 1), ("check", "web", "1", 1)
    ]  # fmt: skip
    assert (store.waiting_to_log(), store.waiting_to_log("ids")) == (3, 2)


def test_what_failed_waits_and_what_failed_often_lets_the_others_go_first(store, now):
    for n in range(3):
        store.queue_run("check", "ids", "1", {"n": n}, now)
    first = store.to_log(now, 1)[0]
    for _ in range(7):
        store.logging_begins(first.id)
    store.log_later(first.id, now + MINUTE, "no")
    assert [e.payload["n"] for e in store.to_log(now, 10)] == [1, 2]
    assert [e.payload["n"] for e in store.to_log(now + MINUTE, 10)] == [1, 2, 0]
    again = store.to_log(None, 10)[-1]
    assert (again.id, again.attempts, again.last_error, again.at) == (first.id, 7, "no", now)


def test_what_is_queued_goes_with_the_transaction_it_is_in(store, now):
    with pytest.raises(KeyError), store.together():
        store.queue_run("check", "ids", "1", {}, now)
        raise KeyError
    assert store.waiting_to_log() == 0
    assert store.queue_run("check", "ids", "1", {}, now) == 1, "the step of what was taken back is given anew"


def test_a_store_that_never_comes_does_not_fill_the_disk(store, now, monkeypatch, caplog):
    monkeypatch.setattr(tracking, "MOST", 5)
    for _ in range(100):
        store.queue_run("check", "ids", "1", {}, now)
        store.queue_run("check", "web", "1", {}, now)
    assert [e.step for e in store.to_log(now, 1000) if e.model == "ids"] == [96, 97, 98, 99, 100]
    assert store.waiting_to_log("web") == 5
    assert "95 old results were never logged" in caplog.text


def test_long_lived_runs_are_remembered_for_each_store(store, now):
    assert store.tracking_run("", "ids", "1") is None
    for run in (TrackingRun("a"), TrackingRun("b", "http://mlflow/b")):
        store.remember_tracking_run("", "ids", "1", run, now)
    assert store.tracking_run("", "ids", "1") == TrackingRun("b", "http://mlflow/b")
    assert store.tracking_run("http://other", "ids", "1") is None
