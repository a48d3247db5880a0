"""A shadow period: which batches count, and what ends it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from detectors.disagreement import Place
from detectors.metrics import Interval
from state.records import ByLabels, Retrain
from state.store import Store
from tests.state.conftest import model_version
from tests.versions_beside import of_two

FOUND = of_two(60, 1, 4, 35, 0.36, 0.39, (Place('proto = "17"', 20, 4, 100, 5),))


@pytest.fixture
def waiting(scene: Any) -> Retrain:
    """Version 2 waits for a decision, and two batches are asked for."""
    return shadowed(scene, scene.incident().id, 2)


def shadowed(scene: Any, incident_id: int | None, number: int, wanted: int = 2, **changes: Any) -> Retrain:
    retrain = scene.approve(incident_id, forced=True, **changes)
    assert scene.store.start_retrain(retrain.id, retrain.approved_at)
    done = scene.store.finish_retrain(
        retrain.id, scene.outcome(number), retrain.approved_at, shadow_batches=wanted
    )
    assert done.shadow_batches == wanted
    return done


def counted(store: Store, retrain: Retrain, batch_id: int, now: Any, **said: Any) -> Any:
    return store.keep_shadow(retrain.id, batch_id, said.get("found", FOUND), said.get("trouble", ""), now)


def test_the_next_batches_count_until_there_are_enough(store, scene, waiting, now) -> None:
    first = scene.batch("2")
    shadow = store.shadow_for(replace(store.batch(first), id=0, sha256="new"))
    assert (shadow.champion, shadow.challenger, shadow.wanted) == (1, 2, 2)
    assert (shadow.batches, shadow.running) == ((), True)
    after = counted(store, waiting, first, now)
    assert ([b.found for b in after.batches], after.complete, after.running) == ([FOUND], False, True)
    assert after.batches[0].path == "/inbox/2.csv"
    last = counted(store, waiting, scene.batch("3"), now)
    assert (last.complete, last.running, last.waits) == (True, False, True)
    assert (last.found.rows, last.found.differing) == (200, 10)
    assert last == store.shadow(waiting.id) == store.shadow_under_way("ids") == store.last_shadow("ids")
    fourth = store.batch(scene.batch("4"))
    assert store.shadow_for(replace(fourth, id=0, sha256="new")) is None, "it is complete"
    assert counted(store, waiting, fourth.id, now) is None


def test_the_same_content_counts_once_and_an_earlier_one_not_at_all(store, scene, waiting, now) -> None:
    key = scene.batch("2")
    assert counted(store, waiting, key, now) is not None
    assert counted(store, waiting, key, now) is None
    assert store.shadow_for(store.batch(key)) is None
    again = store.claim_batch("ids", "2" * 64, "/copy.csv", "1", "another policy", now).batch
    assert store.shadow_for(again) is None
    assert counted(store, waiting, again.id, now) is None, "by its content"
    before = store.claim_batch("ids", "1" * 64, "/inbox/1.csv", "1", "another policy", now).batch
    assert store.shadow_for(before) is None, "it was checked before the retrain: no next batch"
    fresh = store.claim_batch("ids", "5" * 64, "/inbox/5.csv", "1", "p", now).batch
    assert store.shadow_for(fresh) is not None
    assert store.shadow_for(replace(fresh, baseline_version="7")) is None, "the champion has moved"
    assert store.shadow_for(replace(fresh, model="other")) is None


def test_a_batch_in_quarantine_does_not_count_until_it_is_checked_again(store, scene, waiting, now) -> None:
    key = scene.batch("2")
    counted(store, waiting, key, now)
    store.quarantine_batch(key, "/quarantine/2.csv", "U1", "", now)
    assert store.shadow(waiting.id).batches == ()
    store.release_batch(key, "/inbox/2.csv", "U1", "", now)
    assert store.shadow(waiting.id).batches == ()
    again = store.claim_batch("ids", "2" * 64, "/inbox/2.csv", "1", "another policy", now).batch
    assert store.shadow(waiting.id).batches == ()
    store.save_report(again.id, scene.report(), b"profile", now)
    assert [batch.batch_id for batch in store.shadow(waiting.id).batches] == [key]


def test_one_that_comes_back_after_the_end_makes_no_more_than_are_wanted(store, scene, waiting, now) -> None:
    first, second, third = (scene.batch(content) for content in "234")
    counted(store, waiting, first, now)
    store.quarantine_batch(first, "/quarantine/2.csv", "U1", "", now)
    for key in (second, third):
        assert counted(store, waiting, key, now) is not None
    assert store.shadow(waiting.id).complete
    store.release_batch(first, "/inbox/2.csv", "U1", "", now)
    shadow = store.shadow(waiting.id)
    assert ([batch.batch_id for batch in shadow.batches], shadow.complete) == ([second, third], True)
    again = store.claim_batch("ids", "2" * 64, "/inbox/2.csv", "1", "another policy", now).batch
    store.save_report(again.id, scene.report(), b"profile", now)
    shadow = store.shadow(waiting.id)
    assert ([batch.batch_id for batch in shadow.batches], shadow.found.rows) == ([first, second], 200)


def test_one_that_could_not_be_scored_counts_and_says_why(store, scene, waiting, now) -> None:
    shadow = counted(store, waiting, scene.batch("2"), now, found=None, trouble="the file is gone")
    assert (shadow.found, shadow.troubles, len(shadow.batches)) == (None, ("the file is gone",), 1)
    shadow = counted(store, waiting, scene.batch("3"), now)
    assert (shadow.found.rows, shadow.complete) == (100, True)


@pytest.mark.parametrize("how", ["kept", "promoted", "another champion", "a newer retrain"])
def test_it_ends_with_the_decision_and_with_what_makes_it_moot(store, scene, waiting, now, how) -> None:
    key = scene.batch("2")
    if how == "kept":
        assert store.decide_retrain(waiting.id, "kept", "U1", now)
    elif how == "promoted":
        scene.promote(2)
    elif how == "another champion":
        store.add_version(model_version(9), now)
        store.finish_promotion(store.begin_promotion("ids", 9, "train", "cli", now).id, now)
    else:
        scene.trained(None, 3, forced=True)
    assert counted(store, waiting, key, now) is None
    assert store.shadow_under_way("ids") is None
    fresh = store.claim_batch("ids", "5" * 64, "/inbox/5.csv", "1", "p", now).batch
    assert store.shadow_for(fresh) is None
    assert not store.shadow(waiting.id).waits
    assert store.last_shadow("ids").retrain_id == waiting.id


def test_the_period_of_a_newer_retrain_takes_its_place(store, scene, waiting, now) -> None:
    newer = shadowed(scene, None, 3)
    assert store.shadow_under_way("ids").retrain_id == newer.id
    assert counted(store, newer, scene.batch("2"), now).challenger == 3


def test_without_it_nothing_is_asked(store, scene, now) -> None:
    done = scene.trained(scene.incident().id)
    fresh = store.claim_batch("ids", "5" * 64, "/inbox/5.csv", "1", "p", now).batch
    assert (done.shadow_batches, store.shadow(done.id), store.shadow_for(fresh)) == (0, None, None)
    assert counted(store, done, fresh.id, now) is None
    assert (store.last_shadow("ids"), store.shadows_of("ids", fresh.sha256)) == (None, ())


def test_labels_are_kept_with_the_batch(store, scene, waiting, now) -> None:
    answers = [
        ByLabels(50, 1, 4, 0.021, Interval(-0.01, 0.05, "MOVER")),
        ByLabels(40, 0, 2, 0.05, Interval(0.05, 0.05, "MOVER"), neither=3),
    ]
    for content, labels in zip("23", answers, strict=True):
        counted(store, waiting, scene.batch(content), now)
        store.keep_labels(waiting.id, content * 64, replace(labels, rows=1))
        shadow = store.keep_labels(waiting.id, content * 64, labels)
    assert [labels for _, labels in shadow.labelled] == answers
    assert [batch.path for batch, _ in shadow.labelled] == ["/inbox/2.csv", "/inbox/3.csv"]
    assert [one.retrain_id for one in store.shadows_of("ids", "3" * 64)] == [waiting.id]
    assert store.shadows_of("other", "3" * 64) == ()


def test_of_batches_that_end_at_the_same_instant_no_more_count_than_are_wanted(
    store, scene, waiting, now
) -> None:
    batches = [scene.batch(content) for content in "23456789"]
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda key: counted(store, waiting, key, now), batches))
    assert sum(shadow is not None for shadow in kept) == 2
    assert [len(shadow.batches) for shadow in kept if shadow is not None].count(2) == 1, "one completes it"
