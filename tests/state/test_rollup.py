from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from detectors.report import Estimate, FeatureDrift
from state import rollup
from state.rollup import ROLLED_UP
from state.store import Store

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def few_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup, "_OLD", rollup._OLD.replace(f"OFFSET {rollup.IN_FULL - 1}", "OFFSET 1"))


def checked(scene, day: int, verdict: str = "stable") -> int:
    store, at = scene.store, scene_day(day)
    claim = store.claim_batch("ids", f"{day:064}", f"/inbox/{day}.csv", "1", "p", at)
    return store.save_report(claim.batch.id, scene.report(verdict), b"profile", at).id


def scene_day(day: int) -> datetime:
    return datetime.fromisoformat("2026-01-01T10:00:00+00:00") + day * DAY


def in_full(store: Store, ids: list[int]) -> list[int]:
    return [n for n, key in enumerate(ids) if store.profile(key) is not None]


def test_old_batches_keep_verdict_and_scores_and_lose_what_is_large(store, scene):
    claim = store.claim_batch("ids", "s", "/inbox/old.csv", "1", "p", scene_day(0))
    estimate = Estimate(accuracy=0.9, low=0.8, high=0.95, reference=0.97, rows=1234, outside=0.0)
    full = replace(
        scene.report(),
        estimate=estimate,
        features=(*scene.report().features, FeatureDrift("f", "ks", math.nan, 0.0, None, "none", False)),
    )
    old = store.save_report(claim.batch.id, full, b"profile", scene_day(0))
    ids = [old.id, *(checked(scene, day) for day in range(1, 4))]
    history = store.history("ids")
    assert store.roll_up(scene_day(2)) == 2
    assert in_full(store, ids) == [2, 3]
    kept = store.batch(old.id)
    assert kept.report is not None
    without_words = replace(full, errors=(), notes=(ROLLED_UP,))
    features = tuple(replace(f, detail="") for f in full.features)
    assert repr(kept.report) == repr(replace(without_words, features=features))  # NaN is not equal to itself
    assert replace(kept, report=None) == replace(old, report=None)
    assert store.history("ids") == history
    assert store.counters("ids")["batches"] == 4
    assert store.seen("ids", "s").id == old.id
    assert store.roll_up(scene_day(2)) == 0


def test_the_newest_of_a_model_stay_in_full_however_old(store, scene):
    ids = [checked(scene, day) for day in range(4)]
    assert store.roll_up(scene_day(999)) == 2
    assert in_full(store, ids) == [2, 3]
    assert [past.batch_id for past in store.checks_before(ids[3])] == [ids[2]]


def test_few_at_a_time_and_the_oldest_first(store, scene):
    ids = [checked(scene, day) for day in range(6)]
    assert store.roll_up(scene_day(999), limit=3) == 3
    assert in_full(store, ids) == [3, 4, 5]


def test_what_people_have_spoken_of_or_may_decide_is_kept(store, scene):
    ids = [checked(scene, day, "drift") for day in range(8)]
    scene.champion(now=scene_day(0))
    closed = store.open_incident("ids", ids[0], "C1", scene_day(0))
    store.resolve_incident(closed.id, "U1", "", scene_day(0))
    judged = store.open_incident("ids", ids[1], "C1", scene_day(1))
    store.dismiss_incident(judged.id, "U1", "a holiday", scene_day(1))
    store.open_incident("ids", ids[2], "C1", scene_day(2))
    store.give_feedback("true_drift", "U1", "", scene_day(3), batch_id=ids[3])
    store.quarantine_batch(ids[4], "/aside/4.csv", "U1", "", scene_day(4))
    store.hold(ids[5])
    again = store.claim_batch("ids", f"{3:064}", "/inbox/3.csv", "2", "p", scene_day(5)).batch.id
    store.save_report(
        again, scene.report(), b"profile", scene_day(5)
    )  # the bytes of which somebody has spoken
    newest = [checked(scene, day) for day in (20, 21)]
    assert store.roll_up(scene_day(999)) == 3
    assert in_full(store, [*ids, again, *newest]) == [1, 2, 3, 4, 5, 8, 9, 10]
    store.resolve_incident(store.open_incident_of("ids").id, "U1", "", scene_day(9))
    assert store.roll_up(scene_day(999)) == 1, "once its incident is closed"


def test_what_a_promoted_retrain_has_learned_from_is_kept(store, scene):
    ids = [checked(scene, day, "drift") for day in range(4)]
    scene.champion(now=scene_day(0))
    for batch, promoted in ((ids[0], True), (ids[1], False)):
        incident = store.open_incident("ids", batch, "C1", scene_day(1))
        if promoted:
            scene.trained(incident.id)
            scene.promote(2)
        store.resolve_incident(incident.id, "U1", "", scene_day(1))
    assert store.roll_up(scene_day(999)) == 1
    assert in_full(store, ids) == [0, 2, 3]


def test_a_rolled_up_batch_can_be_set_aside_and_checked_again(store, scene):
    ids = [checked(scene, day) for day in range(3)]
    store.roll_up(scene_day(999))
    store.quarantine_batch(ids[0], "/aside/0.csv", "U1", "", scene_day(9))
    store.release_batch(ids[0], "/inbox/0.csv", "U1", "", scene_day(9))
    claim = store.claim_batch("ids", f"{0:064}", "/inbox/0.csv", "1", "p", scene_day(9), retry_failed=True)
    assert (claim.kind, claim.batch.id) == ("mine", ids[0])
    report = store.save_report(ids[0], scene.report("stable"), b"profile", scene_day(9)).report
    assert report == scene.report("stable")
