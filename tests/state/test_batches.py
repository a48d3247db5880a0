from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest

from detectors.report import DriftReport, FeatureDrift
from state.records import Claim, StateError
from state.store import Store

MINE = 'store.claim_batch("ids", "s", "/inbox/a.csv", "1", "p", now).kind'
OPEN = 'globals().update(store=Store(path)) or "open"'


def claim(store: Store, now, **changes) -> Claim:
    key = {"model": "ids", "sha256": "s", "path": "/inbox/a.csv", "baseline_version": "1", "policy_sha": "p"}
    extra = {k: changes.pop(k) for k in ("pid", "retry_failed") if k in changes}
    return store.claim_batch(**{**key, **changes}, now=now, **extra)


def test_the_same_content_is_claimed_once(store, now):
    first, second = claim(store, now), claim(store, now, path="/inbox/copy.csv")
    assert (first.kind, second.kind) == ("mine", "running")
    assert first.batch == second.batch
    assert (first.batch.state, first.batch.claimed_at) == ("checking", now)


@pytest.mark.parametrize("change", ["model", "sha256", "baseline_version", "policy_sha"])
def test_another_model_content_baseline_or_policy_is_another_batch(store, now, change):
    first = claim(store, now)
    other = claim(store, now, **{change: "other"})
    assert other.kind == "mine"
    assert other.batch.id != first.batch.id


def test_four_processes_at_once_get_one_claim(workers, path):
    four = workers(4)
    for worker in four:
        worker.send(OPEN)  # all four also make the new state file at the same moment
    assert [worker.answer() for worker in four] == [{"value": "open"}] * 4
    for _ in range(5):
        for worker in four:
            worker.send(MINE)
        kinds = sorted(worker.answer()["value"] for worker in four)
        assert kinds == ["mine", "running", "running", "running"]
        with sqlite3.connect(path) as raw:
            raw.execute("DELETE FROM batches")


def test_threads_on_one_store_get_one_claim(store, now):
    barrier = Barrier(8)

    def run(_: int) -> str:
        barrier.wait()
        return claim(store, now).kind

    with ThreadPoolExecutor(8) as pool:
        kinds = sorted(pool.map(run, range(8)))
    assert kinds == ["mine"] + ["running"] * 7


def test_the_claim_of_a_killed_process_is_taken_over(store, workers, now):
    (worker,) = workers(1)
    worker.ask(OPEN)
    assert worker.ask(MINE) == "mine"
    assert claim(store, now).kind == "running"
    worker.kill()
    worker.process.wait()
    taken = claim(store, now)
    assert taken.kind == "mine"
    assert taken.batch.claimed_at == now
    assert claim(store, now).kind == "running"  # now it belongs to this process


def test_a_killed_process_that_its_parent_has_not_collected_counts_as_dead(store, workers, now):
    (worker,) = workers(1)
    worker.ask(OPEN)
    assert worker.ask(MINE) == "mine"
    worker.kill()
    os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)  # dead, and left a zombie
    assert claim(store, now).kind == "mine"


def test_another_process_with_the_same_id_does_not_keep_a_claim(store, path, now):
    claim(store, now)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE batches SET started = '1'")  # as if the id had belonged to an earlier process
    assert claim(store, now).kind == "mine"


def test_a_claim_from_another_host_holds_for_an_hour(store, path, now):
    claim(store, now)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE batches SET host = 'elsewhere'")
    assert claim(store, now + timedelta(minutes=59)).kind == "running"
    assert claim(store, now + timedelta(hours=1)).kind == "mine"


def test_a_report_comes_back_as_it_was(store, scene, now):
    report = scene.report()
    batch = store.save_report(claim(store, now).batch.id, report, b"\x00profile", now)
    assert batch.report == report
    assert (batch.state, batch.verdict, batch.rows, batch.overall_psi) == ("checked", "drift", 1234, 0.42)
    assert batch.checked_at == now
    assert store.batch(batch.id) == batch == store.seen("ids", "s") == store.last_batch("ids")
    assert store.profile(batch.id) == b"\x00profile"
    assert claim(store, now) == Claim("done", batch)


def test_every_field_of_a_report_is_kept(store, now):
    """Fails when a field is added to the report types and the schema does not follow."""
    feature = FeatureDrift("f", "d", float("inf"), -1.5, 0.0, "moderate", True, "detail")
    report = DriftReport(
        "warning", "investigate", None, 7, (feature,), ("e",), ("n",), rows_needed=9, baseline_version="3",
        policy="classic",
    )  # fmt: skip
    assert store.save_report(claim(store, now).batch.id, report, b"", now).report == report


def test_a_statistic_that_is_not_a_number_is_kept_as_such(store, scene, now):
    feature = replace(scene.report().features[0], statistic=float("nan"), effect=float("nan"))
    report = replace(scene.report(), features=(feature,))
    kept = store.save_report(claim(store, now).batch.id, report, b"", now).report
    assert kept.features[0].statistic != kept.features[0].statistic
    assert kept.features[0].feature == "Flow Duration"


def test_a_report_without_features_can_be_kept(store, now):
    report = DriftReport("insufficient_data", "none", None, 0, (), rows_needed=50)
    assert store.save_report(claim(store, now).batch.id, report, b"", now).report == report


def test_a_failed_batch_is_done_until_a_retry_is_asked_for(store, now):
    batch = store.fail_batch(claim(store, now).batch.id, "truncated", "a.csv: the last line is cut off", now)
    assert (batch.state, batch.error_kind, batch.report) == ("failed", "truncated", None)
    assert batch.error == "a.csv: the last line is cut off"
    assert store.last_batch("ids") == batch
    assert claim(store, now).kind == "done"
    again = claim(store, now, retry_failed=True)
    assert again.kind == "mine"
    assert (again.batch.id, again.batch.state, again.batch.error) == (batch.id, "checking", None)
    assert claim(store, now, retry_failed=True).kind == "running"


def test_of_two_that_check_the_same_batch_the_first_to_save_wins(store, scene, now):
    batch_id = claim(store, now).batch.id
    assert claim(store, now + timedelta(hours=2)).kind == "mine"  # the first was taken for hung
    saved = store.save_report(batch_id, scene.report(), b"first", now)
    with pytest.raises(StateError, match="is checked, it is not being checked"):
        store.save_report(batch_id, scene.report("stable"), b"second", now)
    with pytest.raises(StateError, match="is checked"):
        store.fail_batch(batch_id, "unreadable", "late", now)
    assert store.batch(batch_id) == saved
    assert store.profile(batch_id) == b"first"


def test_history_is_newest_first_and_holds_checked_batches_only(store, scene, now):
    for hour in range(5):
        batch = claim(store, now, sha256=str(hour), path=f"/inbox/{hour}.csv").batch
        verdict = "drift" if hour == 3 else "stable"
        store.save_report(batch.id, scene.report(verdict), b"", now + timedelta(hours=hour))
    failed = claim(store, now, sha256="bad").batch
    store.fail_batch(failed.id, "no_rows", "only a header", now + timedelta(hours=9))
    claim(store, now, sha256="running")
    history = store.history("ids", 3)
    assert [point.path for point in history] == ["/inbox/4.csv", "/inbox/3.csv", "/inbox/2.csv"]
    assert [point.verdict for point in history] == ["stable", "drift", "stable"]
    assert [point.worst for point in history] == ["", "Flow Duration (PSI 0.83)", ""]
    assert history[0].at == now + timedelta(hours=4)
    assert store.history("other") == ()
    assert store.last_batch("ids").id == failed.id


def test_waiting_for_a_batch_ends_with_its_check(store, workers, scene, now):
    (worker,) = workers(1)
    worker.ask(OPEN)
    batch_id = claim(store, now).batch.id
    assert store.wait_for_batch(batch_id, timeout=0).state == "checking"
    worker.send(f"store.wait_for_batch({batch_id}, 60).state")
    store.save_report(batch_id, scene.report(), b"", now)
    assert worker.answer() == {"value": "checked"}


def test_unknown_batches_are_named(store, scene, now):
    for call in (
        lambda: store.batch(7),
        lambda: store.save_report(7, scene.report(), b"", now),
        lambda: store.fail_batch(7, "k", "m", now),
    ):
        with pytest.raises(StateError, match="there is no batch 7"):
            call()
    assert store.profile(7) is None
    assert store.seen("ids", "s") is None
    assert store.last_batch("ids") is None


def test_a_time_without_zone_is_refused(store, now):
    with pytest.raises(ValueError, match="no time zone"):
        claim(store, now.replace(tzinfo=None))
    assert store.seen("ids", "s") is None


def test_reading_is_by_index(store, path: Path, scene, now):
    """What a tick, a check, the status and the history read must stay quick over years: no table is scanned."""
    incident = scene.incident()
    asked: list[str] = []
    store._db._connection.set_trace_callback(asked.append)
    for verb in (store.last_batch, store.last_checked, store.history, store.counters, store.broken_feed, store.held,
                 store.in_quarantine, store.checked_batches, store.champion, store.open_incident_of, store.incidents,
                 store.last_alert_at, store.last_retrain_at, store.retrains, store.decisions, store.performances,
                 store.feedback, store.truths):  # fmt: skip
        verb("ids")
    store.silence("ids", now)
    store.batches_named("1.csv")
    store.seen("ids", "1" * 64)
    store.last_checked("ids", "1" * 64)
    for verb in (store.is_newest, store.checks_before, store.batch, store.profile):
        verb(1)
    store.calm_since(incident.id, 1, "1")
    store.claim_batch("ids", "1" * 64, "/inbox/1.csv", "1", "p", now)
    store.due(now)
    store.next_queued()
    store.interrupt_running(now)
    store.pending_promotions()
    store.silences_ended(now, now)
    store.unclosed_incidents()
    store.dealt_with("ids").load()
    store.roll_up(now)
    store._db._connection.set_trace_callback(None)
    queries = [query for query in asked if query.lstrip().startswith(("SELECT", "WITH"))]
    assert len(queries) > 40
    with sqlite3.connect(path) as raw:
        for query in queries:
            plan = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {query}")]
            # what was asked for; what people have said; what is open
            few = ("SCAN json_each", "SCAN f", "SCAN i USING INDEX one_unclosed_incident_a_model")
            scans = [step for step in plan if step.startswith("SCAN") and not step.startswith(few)]
            assert not scans, (query, plan)


def test_a_batch_is_reported_once_it_is_said_so(store, scene, now):
    batch = claim(store, now).batch
    with pytest.raises(StateError, match="is being checked, there is nothing to report yet"):
        store.mark_reported(batch.id, now)
    assert store.save_report(batch.id, scene.report(), b"p", now).reported is False
    assert store.mark_reported(batch.id, now).reported is True
    assert store.mark_reported(batch.id, now + timedelta(hours=1)) == store.batch(batch.id)
    with pytest.raises(StateError, match="there is no batch 99"):
        store.mark_reported(99, now)


def test_a_failed_batch_that_is_claimed_again_is_not_reported(store, now):
    batch = claim(store, now).batch
    store.fail_batch(batch.id, "baseline", "gone", now)
    assert store.mark_reported(batch.id, now).reported is True
    assert claim(store, now, retry_failed=True).batch.reported is False


def test_the_newest_batch_is_the_one_checked_last(store, scene, now):
    hour = timedelta(hours=1)
    first, second = scene.batch("1", now), scene.batch("2", now + hour)
    assert (store.is_newest(first), store.is_newest(second)) == (False, True)
    failed = claim(store, now).batch
    store.fail_batch(failed.id, "empty", "no rows", now + 2 * hour)
    other = claim(store, now, model="other").batch
    store.save_report(other.id, scene.report(), b"p", now + 3 * hour)
    assert store.is_newest(second), "neither a failed file nor another model's batch is news of this model"
    assert store.is_newest(other.id)


def test_the_last_checked_batch_is_one_with_a_report(store, scene, now):
    assert store.last_checked("ids") is None
    first = scene.batch("1", now)
    second = scene.batch("2", now + timedelta(minutes=1))
    failed = store.claim_batch("ids", "bad", "/bad.csv", "1", "p", now).batch
    store.fail_batch(failed.id, "no_rows", "only a header", now + timedelta(minutes=2))
    assert store.last_checked("ids").id == second
    assert store.last_checked("ids", "1" * 64).id == first
    assert store.last_checked("ids", "bad") is None
    assert store.last_checked("other") is None
