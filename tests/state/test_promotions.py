from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from state.records import AlreadyDecided, StateError
from state.store import Store
from trainers.base import DataFile


def champion(store: Store) -> int | None:
    trained = store.champion("ids")
    return None if trained is None else trained.record.version


def test_a_version_comes_back_as_it_was(store, scene, now):
    record = scene.outcome().version
    trained = store.add_version(record, now)
    assert (trained.record, trained.created_at, trained.is_champion) == (record, now, False)
    assert store.version("ids", 2) == trained
    assert store.versions("ids") == (trained,)
    assert store.champion("ids") is None
    with pytest.raises(StateError, match="ids has no version 7"):
        store.version("ids", 7)


def test_adding_the_same_version_twice_changes_nothing_and_another_is_refused(store, scene, now):
    record = scene.outcome().version
    store.add_version(record, now)
    store.add_version(record, now)
    with pytest.raises(StateError, match="version 2 of ids is already known"):
        store.add_version(replace(record, artifact_sha256="f" * 64), now)
    assert len(store.versions("ids")) == 1


def test_the_first_training_becomes_champion(store, scene):
    scene.champion()
    assert champion(store) == 1
    assert store.previous_champion("ids") is None
    assert store.decisions("ids", 1)[0].what == "train"


def test_a_promotion_moves_champion_retrain_and_incident_together(store, scene, now):
    incident = scene.incident()
    retrain = scene.trained(incident.id)
    begun = store.begin_promotion("ids", 2, "promote", "U2", now, retrain.id, "better on both")
    assert (begun.previous, begun.done, begun.retrain_id) == (1, False, retrain.id)
    assert champion(store) == 1
    assert store.incident(incident.id).state == "decision"
    done = store.finish_promotion(begun.id, now)
    assert done == replace(begun, done=True)
    assert champion(store) == 2
    assert [v.is_champion for v in store.versions("ids")] == [True, False]
    promoted = store.retrain(retrain.id)
    assert (promoted.state, promoted.decided_by, promoted.decided_at) == ("promoted", "U2", now)
    resolved = store.incident(incident.id)
    assert (resolved.state, resolved.closed_by, resolved.closed_at) == ("resolved", "U2", now)
    noted = store.decisions("ids", 1)[0]
    assert (noted.who, noted.what, noted.subject, noted.why) == (
        "U2", "promote", "version 2", "replaces version 1: better on both",
    )  # fmt: skip
    assert store.previous_champion("ids") == 1


def test_the_retrain_of_a_promotion_is_found_without_being_named(store, scene):
    retrain = scene.trained(scene.incident().id)
    assert scene.promote(2).retrain_id == retrain.id
    assert store.retrain(retrain.id).state == "promoted"


def test_a_crash_between_begin_and_finish_is_seen_after_the_restart(path, store, scene, now):
    incident = scene.incident()
    retrain = scene.trained(incident.id)
    begun = store.begin_promotion("ids", 2, "promote", "U2", now, retrain.id)
    store.close()  # the alias in the registry may or may not have moved
    with Store(path) as reopened:
        assert reopened.pending_promotions() == (begun,)
        assert champion(reopened) == 1
        reopened.finish_promotion(begun.id, now)
        assert champion(reopened) == 2
        assert reopened.pending_promotions() == ()
        assert reopened.incident(incident.id).state == "resolved"


def test_an_abandoned_promotion_changes_nothing_and_can_be_tried_again(store, scene, now):
    incident = scene.incident()
    retrain = scene.trained(incident.id)
    begun = store.begin_promotion("ids", 2, "promote", "U2", now, retrain.id)
    store.abandon_promotion(begun.id, "the registry did not answer")
    assert store.pending_promotions() == ()
    assert champion(store) == 1
    assert store.retrain(retrain.id).state == "succeeded"
    assert store.incident(incident.id).state == "decision"
    with pytest.raises(StateError, match="promotion 2 is abandoned already"):
        store.finish_promotion(begun.id, now)
    scene.promote(2)
    assert champion(store) == 2


def test_a_promotion_is_finished_once(store, scene, now):
    scene.champion()
    with pytest.raises(StateError, match="promotion 1 is done already"):
        store.finish_promotion(1, now)
    with pytest.raises(StateError, match="promotion 1 is done already"):
        store.abandon_promotion(1, "late")
    with pytest.raises(StateError, match="there is no promotion 9"):
        store.finish_promotion(9, now)


def test_two_that_promote_at_once_give_one_promotion(path, scene, now, scene_of):
    scene.trained(scene.incident().id)
    with Store(path) as other:
        stores = [scene.store, other] * 2
        barrier = Barrier(4)

        def click(number: int) -> str:
            barrier.wait()
            try:
                promotion = stores[number].begin_promotion("ids", 2, "promote", f"U{number}", now)
            except AlreadyDecided as refused:
                return f"{refused.what} by {refused.who}"
            return promotion.by

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(click, range(4)))
    (winner,) = [answer for answer in answers if answer.startswith("U")]
    assert answers.count(f"promoted by {winner}") == 3
    assert len(scene.store.pending_promotions()) == 1


def test_keep_and_promote_exclude_each_other(store, scene, now):
    retrain = scene.trained(scene.incident().id)
    begun = store.begin_promotion("ids", 2, "promote", "U2", now, retrain.id)
    assert store.decide_retrain(retrain.id, "kept", "U1", now) is False
    store.finish_promotion(begun.id, now)
    assert store.decide_retrain(retrain.id, "kept", "U1", now) is False
    with pytest.raises(AlreadyDecided) as refused:
        store.begin_promotion("ids", 2, "promote", "U3", now, retrain.id)
    assert (refused.value.who, refused.value.what) == ("U2", "promoted")


def test_a_kept_challenger_can_still_be_promoted(store, scene, now):
    incident = scene.incident()
    retrain = scene.trained(incident.id)
    store.decide_retrain(retrain.id, "kept", "U1", now)
    scene.promote(2)
    assert champion(store) == 2
    assert store.retrain(retrain.id).state == "promoted"
    assert store.incident(incident.id).state == "resolved"


def test_a_roll_back_restores_the_previous_champion(store, scene, now):
    incident = scene.incident()
    retrain = scene.trained(incident.id)
    scene.promote(2)
    assert store.previous_champion("ids") == 1
    back = store.begin_promotion("ids", 1, "roll_back", "U5", now)
    assert back.retrain_id == retrain.id
    store.finish_promotion(back.id, now)
    assert champion(store) == 1
    rolled = store.retrain(retrain.id)
    assert (rolled.state, rolled.decided_by) == ("rolled_back", "U5")
    reopened = store.incident(incident.id)
    assert (reopened.state, reopened.closed_at, reopened.closed_by) == ("open", None, None)
    assert store.decisions("ids", 1)[0].what == "roll_back"
    assert store.previous_champion("ids") is None
    with pytest.raises(AlreadyDecided, match="already rolled back by U5"):
        store.begin_promotion("ids", 1, "roll_back", "U6", now, retrain.id)
    scene.promote(2)  # second thoughts
    assert (champion(store), store.previous_champion("ids")) == (2, 1)
    assert store.retrain(retrain.id).state == "promoted"
    assert store.incident(incident.id).state == "resolved"


def test_a_dismissed_incident_does_not_hold_a_promotion_up(store, scene, now):
    incident = scene.incident()
    retrain = scene.trained(incident.id)
    assert store.decide_retrain(retrain.id, "kept", "U1", now)
    assert store.dismiss_incident(incident.id, "U1", "", now)
    scene.promote(2)
    assert (champion(store), store.incident(incident.id).state) == (2, "dismissed")


def test_a_first_version_is_first_only_once(store, scene, now):
    scene.champion()
    store.add_version(scene.outcome(2).version, now)
    with pytest.raises(StateError, match="has got version 1 meanwhile; version 2 is kept in the registry"):
        store.begin_promotion("ids", 2, "train", "U2", now, only_first=True)
    assert store.begin_promotion("ids", 2, "train", "U2", now).version == 2


def test_roll_backs_walk_down_the_champions(store, scene, now):
    scene.champion()
    scene.trained(None)
    scene.promote(2)
    scene.trained(None, 3, champion_version=2, forced=True)
    scene.promote(3)
    for expected in (2, 1):
        assert store.previous_champion("ids") == expected
        back = store.begin_promotion("ids", expected, "roll_back", "U5", now)
        store.finish_promotion(back.id, now)
        assert champion(store) == expected
    assert [r.state for r in store.retrains("ids")] == ["rolled_back", "rolled_back"]


def test_a_version_that_was_rolled_back_and_is_returned_to_can_be_rolled_back_again(store, scene, now):
    def back_to(version):
        store.finish_promotion(store.begin_promotion("ids", version, "roll_back", "U5", now).id, now)

    scene.champion()
    scene.trained(None)
    scene.promote(2)
    back_to(1)
    scene.trained(None, 3, forced=True)
    scene.promote(3)
    back_to(2)
    assert [(r.state, r.back_to) for r in store.retrains("ids")] == [("rolled_back", 2), ("promoted", None)]
    back_to(1)
    assert champion(store) == 1
    assert {r.state for r in store.retrains("ids")} == {"rolled_back"}


def test_a_roll_back_does_not_open_the_incident_beside_a_newer_one(store, scene, now):
    old = scene.incident()
    scene.trained(old.id)
    scene.promote(2)
    new = store.open_incident("ids", scene.batch("2"), "C1", now)
    back = store.begin_promotion("ids", 1, "roll_back", "U5", now)
    store.finish_promotion(back.id, now)
    assert store.incident(old.id).state == "resolved"
    assert store.open_incident_of("ids") == new


def test_a_challenger_is_promoted_only_over_the_champion_it_was_compared_with(store, scene, now):
    scene.champion()
    first = scene.trained(None, 2)
    scene.trained(None, 3, forced=True)
    scene.promote(3)
    with pytest.raises(StateError, match="compared with version 1, but the champion of ids is now version 3"):
        store.begin_promotion("ids", 2, "promote", "U1", now, first.id)
    assert champion(store) == 3


def test_promotions_that_make_no_sense_are_refused(store, scene, now):
    incident = scene.incident()
    with pytest.raises(StateError, match="ids has no version 2"):
        store.begin_promotion("ids", 2, "promote", "U1", now)
    with pytest.raises(StateError, match="version 1 of ids is the champion already"):
        store.begin_promotion("ids", 1, "promote", "U1", now)
    queued = scene.approve(incident.id)
    store.add_version(scene.outcome(2).version, now)
    with pytest.raises(StateError, match="retrain 1 is queued: nothing to decide"):
        store.begin_promotion("ids", 2, "promote", "U1", now, queued.id)
    store.start_retrain(queued.id, now)
    store.finish_retrain(queued.id, scene.outcome(2), now)
    store.add_version(scene.outcome(3).version, now)
    with pytest.raises(StateError, match="retrain 1 made version 2 of ids, not version 3"):
        store.begin_promotion("ids", 3, "promote", "U1", now, queued.id)
    store.begin_promotion("ids", 2, "promote", "U1", now)
    with pytest.raises(StateError, match="version 2 of ids is being promoted by U1"):
        store.begin_promotion("ids", 3, "promote", "U2", now)
    assert champion(store) == 1


def test_training_anew_replaces_the_champion_and_leaves_the_incident(store, scene):
    incident = scene.incident()
    scene.champion(2)
    assert champion(store) == 2
    assert store.previous_champion("ids") == 1
    assert store.incident(incident.id).state == "open"


def test_used_files_are_those_the_champion_was_trained_on(store, scene, now):
    assert store.used_labelled_sha256s("ids") == frozenset()
    incident = scene.incident()
    base, new = "b" * 64, scene.files[0].sha256
    assert store.used_labelled_sha256s("ids") == {base}
    scene.trained(incident.id)
    assert store.used_labelled_sha256s("ids") == {base}  # not promoted yet
    scene.promote(2)
    assert store.used_labelled_sha256s("ids") == {base, new}
    back = store.begin_promotion("ids", 1, "roll_back", "U5", now)
    store.finish_promotion(back.id, now)
    assert store.used_labelled_sha256s("ids") == {base}


def test_a_promotion_while_a_newer_retrain_of_the_incident_runs_leaves_the_incident(store, scene, now):
    incident = scene.incident()
    first = scene.trained(incident.id)
    store.decide_retrain(first.id, "kept", "U1", now)
    second = scene.approve(incident.id, forced=True, files=(DataFile("/m.csv", "e", 5),))
    scene.promote(2)
    assert store.incident(incident.id).state == "retraining"
    assert store.retrain(second.id).state == "queued"


def test_a_version_that_a_roll_back_has_skipped_can_be_promoted_again(store, scene, now):
    """From 3 to 1: 2 is ahead, and was compared with 1."""
    scene.champion()
    scene.trained(None, 2)
    scene.promote(2)
    scene.trained(None, 3, forced=True, champion_version=2, files=(DataFile("/m.csv", "e", 5),))
    scene.promote(3)
    back = store.begin_promotion("ids", 1, "roll_back", "U5", now)
    store.finish_promotion(back.id, now)
    with pytest.raises(StateError, match="newer than version 1: promote it instead"):
        store.begin_promotion("ids", 2, "roll_back", "U5", now)
    scene.promote(2)
    assert champion(store) == 2
    with pytest.raises(AlreadyDecided, match="already promoted"):
        store.begin_promotion("ids", 2, "promote", "U6", now)
    assert [one.record.version for one in store.past_champions("ids")] == [1]
