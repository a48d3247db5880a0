from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from detectors.metrics import Interval
from state.records import Decision, StateError


def test_the_audit_log_is_newest_first(store, now):
    first = store.record_decision("U1", "refuse", "ids", "incident 3", "not an approver", now)
    assert first == Decision(first.id, now, "U1", "refuse", "ids", "incident 3", "not an approver")
    later = now + timedelta(minutes=1)
    other = store.record_decision("U2", "refuse", "fraud", "incident 4", "", later)
    assert store.decisions("ids") == (first,)
    assert store.decisions() == (other, first)
    assert store.decisions(None, 1) == (other,)


def test_a_performance_record_comes_back_as_it_was(store, now):
    assert store.last_performance("ids") is None
    metrics = {"accuracy": 0.91, "roc_auc": None, "fpr": 1 / 3}
    store.save_performance("ids", "/p0.csv", "s0", 5, {}, (), "", now)
    saved = store.save_performance(
        "ids", "/p.csv", "s", 10, metrics, ("accuracy 0.89 < 0.90",), "http://x", now
    )
    assert (saved.metrics, saved.breaches, saved.run_url) == (metrics, ("accuracy 0.89 < 0.90",), "http://x")
    assert store.last_performance("ids") == saved
    assert store.last_performance("other") is None


def test_counters_count_what_happened_to_the_model(store, scene, now):
    assert set(store.counters("ids").values()) == {0}
    incident = scene.incident()
    scene.trained(incident.id)
    scene.promote(2)
    back = store.begin_promotion("ids", 1, "roll_back", "U1", now)
    store.finish_promotion(back.id, now)
    store.dismiss_incident(incident.id, "U1", "", now)
    lost = scene.approve(None, forced=True)
    store.fail_retrain(lost.id, "no memory", now)
    bad = store.claim_batch("ids", "bad", "/bad.csv", "1", "p", now).batch
    store.fail_batch(bad.id, "no_rows", "only a header", now)
    store.claim_batch("ids", "still running", "/c.csv", "1", "p", now)
    scene.batch("9")
    assert store.counters("ids") == {
        "batches": 2, "failed": 1, "alerts": 1, "dismissed": 1,
        "retrains": 2, "retrains_failed": 1, "promotions": 1, "rollbacks": 1,
    }  # fmt: skip
    assert set(store.counters("other").values()) == {0}


def test_a_performance_record_is_found_by_its_id(store, now):
    first = store.save_performance("ids", "/p0.csv", "s0", 5, {}, (), "", now)
    store.save_performance("ids", "/p1.csv", "s1", 6, {"accuracy": 1.0}, (), "", now)
    assert store.performance(first.id) == first
    with pytest.raises(StateError, match="there is no evaluation 9"):
        store.performance(9)


def test_a_performance_record_keeps_its_batch_intervals_case_and_details(store, now):
    intervals = {"accuracy": Interval(0.8, 0.9, "Clopper-Pearson")}
    details = {"counts": {"labelled": 3}, "segments": [{"column": "a", "rest": None}], "title": "both"}
    saved = store.save_performance(
        "ids", "/p.csv", "s", 5, {"accuracy": 0.85}, (), "", now,
        batch_id=7, intervals=intervals, case="both", details=details,
    )  # fmt: skip
    assert (saved.batch_id, saved.intervals, saved.case, saved.details) == (7, intervals, "both", details)
    assert saved.metrics == {"accuracy": 0.85}
    assert store.performance(saved.id) == saved


def test_a_record_of_an_earlier_release_is_read(store, now):
    saved = store.save_performance("ids", "/p.csv", "s", 5, {"accuracy": 0.85}, ("broken",), "", now)
    with closing(sqlite3.connect(store.path)) as other, other:
        other.execute("""UPDATE performance SET metrics = '{"accuracy":0.85}'""")
    old = store.performance(saved.id)
    assert (old.metrics, old.breaches) == ({"accuracy": 0.85}, ("broken",))
    assert (old.batch_id, old.intervals, old.case, old.details) == (None, {}, "", {})


def test_performances_are_those_of_the_model_newest_first(store, now):
    kept = [store.save_performance("ids", f"/{i}.csv", "s", i, {}, (), "", now) for i in range(4)]
    store.save_performance("other", "/x.csv", "s", 5, {}, (), "", now)
    assert store.performances("ids") == tuple(reversed(kept))
    assert store.performances("ids", 1) == (kept[-1],)
    assert store.performances("nobody") == ()
