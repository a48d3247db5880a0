from __future__ import annotations

import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from state.records import AlreadyDecided, CoolingDown, StateError
from state.store import Store

DAY = timedelta(hours=24)
OPEN = 'globals().update(store=Store(path)) or "open"'


def test_an_approval_queues_one_retrain_and_is_noted(store, scene, now):
    incident = scene.incident()
    retrain = scene.approve(incident.id, why="the new campaign")
    assert (retrain.state, retrain.incident_id, retrain.model) == ("queued", incident.id, "ids")
    assert (retrain.approved_by, retrain.approved_at, retrain.forced) == ("U1", now, False)
    assert (retrain.files, retrain.champion_version) == (scene.files, 1)
    assert retrain.why == "the new campaign"
    assert store.incident(incident.id).state == "retraining"
    assert store.retrain(retrain.id) == retrain == store.next_queued() == store.next_queued("ids")
    assert store.next_queued("other") is None
    noted = store.decisions("ids", 1)[0]
    assert (noted.who, noted.what, noted.subject) == ("U1", "approve", "retrain 1 for incident 1")
    assert noted.why == "1 labelled file(s): the new campaign"


def test_two_approvals_at_the_same_instant_give_one_retrain(path, scene, now, scene_of):
    """Threads on one store and on two stores, again and again."""
    incident = scene.incident()
    with Store(path) as other:
        scenes = [scene, scene, scene_of(other), scene_of(other)]
        barrier = Barrier(4)

        def click(number: int) -> str:
            barrier.wait()
            try:
                scenes[number].approve(incident.id, by=f"U{number}")
            except AlreadyDecided as refused:
                return f"told of {refused.who}"
            return f"U{number}"

        for _ in range(10):
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(click, range(4)))
            winners = [answer for answer in answers if answer.startswith("U")]
            assert len(winners) == 1
            assert answers.count(f"told of {winners[0]}") == 3
            (retrain,) = [r for r in scene.store.retrains("ids") if r.state == "queued"]
            assert retrain.approved_by == winners[0]
            scene.store.fail_retrain(retrain.id, "next round", now)


def test_two_processes_that_approve_at_once_give_one_retrain(workers, store, scene):
    incident = scene.incident()
    four = workers(4)
    for worker in four:
        worker.ask(OPEN)
    for number, worker in enumerate(four):
        worker.send(
            f'store.approve({incident.id}, "ids", (DataFile("/n.csv", "d", 5),), 1, "U{number}", now, False,'
            " timedelta(hours=24)).approved_by"
        )
    answers = [worker.answer() for worker in four]
    (winner,) = [answer["value"] for answer in answers if "value" in answer]
    errors = [answer["error"] for answer in answers if "error" in answer]
    assert len(errors) == 3
    assert all(error.startswith(f"AlreadyDecided: already approved by {winner} at ") for error in errors)
    assert [r.approved_by for r in store.retrains("ids")] == [winner]


def test_the_second_click_is_told_who_and_when(store, scene, now):
    incident = scene.incident()
    scene.approve(incident.id)
    with pytest.raises(AlreadyDecided) as refused:
        scene.approve(incident.id, by="U2", now=now + timedelta(minutes=5))
    assert (refused.value.who, refused.value.when, refused.value.what) == ("U1", now, "approved")
    assert str(refused.value) == "already approved by U1 at 2026-11-02 10:00 UTC"


@pytest.mark.parametrize("forced", [False, True])
def test_only_an_open_incident_can_be_approved(store, scene, now, forced):
    incident = scene.incident()
    retrain = scene.trained(incident.id)
    with pytest.raises(AlreadyDecided, match="already approved by U1"):  # waits for a decision
        scene.approve(incident.id, forced=forced)
    scene.promote(2)
    with pytest.raises(AlreadyDecided, match="already resolved by U2"):
        scene.approve(incident.id, forced=forced, champion_version=2)
    assert [r.id for r in store.retrains("ids")] == [retrain.id]


def test_a_dismissed_incident_cannot_be_approved(store, scene, now):
    incident = scene.incident()
    store.dismiss_incident(incident.id, "U7", "", now)
    with pytest.raises(AlreadyDecided) as refused:
        scene.approve(incident.id)
    assert (refused.value.who, refused.value.what) == ("U7", "dismissed")
    assert store.retrains() == ()


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("forced", [False, True])
def test_a_model_has_one_retrain_at_a_time(store, scene, now, started, forced):
    scene.champion()
    first = scene.approve(None, by="cli")
    if started:
        store.start_retrain(first.id, now)
    incident = store.open_incident("ids", scene.batch(), "C1", now)
    with pytest.raises(AlreadyDecided) as refused:
        scene.approve(incident.id, now=now + 9 * DAY, forced=forced)
    assert refused.value.who == "cli"
    assert store.incident(incident.id).state == "open"


def test_the_schema_itself_forbids_two_active_retrains(store, scene, path):
    scene.champion()
    scene.approve(None)
    with sqlite3.connect(path) as raw, pytest.raises(sqlite3.IntegrityError):
        raw.execute(
            "INSERT INTO retrains (model, state, files, champion_version, approved_by, approved_at, forced)"
            " VALUES ('ids', 'running', '[]', 1, 'U1', 't', 0)"
        )


def test_models_do_not_hinder_each_other(store, scene, scene_of):
    other = type(scene)(store, model="fraud")
    scene.champion()
    other.champion()
    assert scene.approve(None).id != other.approve(None).id


def test_the_cooldown_holds_after_a_restart(path, store, scene, now, scene_of):
    scene.champion()
    scene.trained(None)
    store.close()
    with Store(path) as reopened:
        scene = scene_of(reopened)
        assert reopened.last_retrain_at("ids") == now
        with pytest.raises(CoolingDown, match="not again before 2026-11-03 10:00 UTC") as refused:
            scene.approve(None, now=now + DAY - timedelta(microseconds=1))
        assert refused.value.until == now + DAY
        assert scene.approve(None, now=now + DAY).approved_at == now + DAY


def test_a_refused_approval_changes_nothing(store, scene, now):
    incident = scene.incident()
    scene.trained(None)
    with pytest.raises(CoolingDown):
        scene.approve(incident.id)
    assert store.incident(incident.id).state == "open"
    assert len(store.retrains("ids")) == 1
    assert [d.what for d in store.decisions("ids")] == ["approve", "train"]


def test_force_passes_the_cooldown_and_is_noted(store, scene, now):
    scene.champion()
    scene.trained(None)
    retrain = scene.approve(None, forced=True, by="U9")
    assert retrain.forced
    noted = store.decisions("ids", 1)[0]
    assert (noted.who, noted.what) == ("U9", "force")


def test_retrains_that_came_to_nothing_do_not_start_the_cooldown(store, scene, now):
    incident = scene.incident()
    first = scene.approve(incident.id)
    failed = store.fail_retrain(first.id, "MemoryError", now)
    assert (failed.state, failed.error, failed.finished_at) == ("failed", "MemoryError", now)
    assert store.incident(incident.id).state == "open"
    assert store.last_retrain_at("ids") is None
    assert scene.approve(incident.id).id != first.id


def test_an_approval_is_bound_to_the_champion_that_was_seen(store, scene, now):
    incident = scene.incident()
    scene.champion(2)
    with pytest.raises(StateError, match="champion of ids is now version 2, not 1"):
        scene.approve(incident.id)
    assert store.incident(incident.id).state == "open"


def test_what_cannot_be_retrained_is_refused(store, scene, now):
    with pytest.raises(StateError, match="ids has no trained version yet"):
        scene.approve(None)
    incident = scene.incident()
    with pytest.raises(StateError, match="no labelled files"):
        scene.approve(incident.id, files=())
    with pytest.raises(StateError, match="incident 1 is of ids, not of other"):
        scene.approve(incident.id, model="other")
    with pytest.raises(StateError, match="there is no incident 9"):
        scene.approve(9)
    store.add_version(scene.outcome(2).version, now)
    store.begin_promotion("ids", 2, "promote", "U1", now)
    with pytest.raises(StateError, match="promotion of ids is under way"):
        scene.approve(incident.id)
    assert store.retrains() == ()


def test_a_queued_retrain_is_started_once(workers, store, scene, now):
    scene.champion()
    retrain = scene.approve(None)
    three = workers(3)
    for worker in three:
        worker.ask(OPEN)
    for worker in three:
        worker.send(f"store.start_retrain({retrain.id}, now)")
    assert sorted(worker.answer()["value"] for worker in three) == [False, False, True]
    assert store.retrain(retrain.id).state == "running"
    assert store.next_queued() is None


def test_the_oldest_queued_retrain_is_next(store, scene, now):
    other = type(scene)(store, model="fraud")
    scene.champion()
    other.champion()
    first, second = scene.approve(None), other.approve(None)
    assert store.next_queued() == first
    assert store.next_queued("fraud") == second
    store.start_retrain(first.id, now)
    assert store.next_queued() == second


def test_a_finished_retrain_waits_for_a_decision(store, scene, now):
    incident = scene.incident()
    retrain = scene.trained(incident.id)
    assert (retrain.state, retrain.finished_at, retrain.started_at) == ("succeeded", now, now)
    assert retrain.outcome == scene.outcome()
    assert store.incident(incident.id).state == "decision"
    assert store.version("ids", 2).record == scene.outcome().version
    assert store.champion("ids").record.version == 1


def test_forbidden_steps_are_refused_and_change_nothing(store, scene, now):
    scene.champion()
    retrain = scene.approve(None)
    with pytest.raises(StateError, match="retrain 1 is queued, it cannot become succeeded"):
        store.finish_retrain(retrain.id, scene.outcome(), now)
    assert [v.record.version for v in store.versions("ids")] == [1]
    store.start_retrain(retrain.id, now)
    store.finish_retrain(retrain.id, scene.outcome(), now)
    with pytest.raises(StateError, match="retrain 1 is succeeded, it cannot become failed"):
        store.fail_retrain(retrain.id, "late", now)
    with pytest.raises(StateError, match="keeping or by a promotion"):
        store.decide_retrain(retrain.id, "promoted", "U1", now)
    for call in (
        lambda: store.retrain(8),
        lambda: store.start_retrain(8, now),
        lambda: store.fail_retrain(8, "", now),
        lambda: store.decide_retrain(8, "kept", "U1", now),
    ):
        with pytest.raises(StateError, match="there is no retrain 8"):
            call()


def test_an_outcome_of_another_model_is_refused(store, scene, now):
    scene.champion()
    retrain = scene.approve(None)
    store.start_retrain(retrain.id, now)
    with pytest.raises(StateError, match="is of ids, not of fraud"):
        store.finish_retrain(retrain.id, type(scene)(store, model="fraud").outcome(), now)
    assert store.retrain(retrain.id).state == "running"


def test_keeping_the_champion_opens_the_incident_again(store, scene, now):
    incident = scene.incident()
    retrain = scene.trained(incident.id)
    assert store.decide_retrain(retrain.id, "kept", "U3", now, "too many false alarms") is True
    assert store.decide_retrain(retrain.id, "kept", "U4", now) is False
    kept = store.retrain(retrain.id)
    assert (kept.state, kept.decided_by, kept.decided_at) == ("kept", "U3", now)
    assert store.incident(incident.id).state == "open"
    assert [(d.who, d.why) for d in store.decisions("ids") if d.what == "keep"] == [
        ("U3", "too many false alarms")
    ]
    assert store.champion("ids").record.version == 1


def test_at_start_up_the_retrain_of_a_killed_process_is_interrupted(workers, path, store, scene, now):
    incident = scene.incident()
    retrain = scene.approve(incident.id)
    (worker,) = workers(1)
    worker.ask(OPEN)
    assert worker.ask(f"store.start_retrain({retrain.id}, now)") is True
    assert store.interrupt_running(now) == ()  # its process lives: not ours to end
    worker.kill()
    worker.process.wait()
    store.close()
    with Store(path) as reopened:
        (interrupted,) = reopened.interrupt_running(now)
        assert (interrupted.id, interrupted.state, interrupted.finished_at) == (
            retrain.id,
            "interrupted",
            now,
        )
        assert re.search("ended before it was done", interrupted.error)
        assert reopened.incident(incident.id).state == "open"
        assert reopened.interrupt_running(now) == ()
        again = type(scene)(reopened).approve(incident.id)  # no cool-down: nothing came of the first
        assert again.id != retrain.id


def test_a_queued_retrain_outlives_a_restart(path, store, scene, now):
    scene.champion()
    retrain = scene.approve(None)
    store.close()
    with Store(path) as reopened:
        assert reopened.interrupt_running(now) == ()
        assert reopened.next_queued() == retrain


def test_a_retrain_run_by_a_container_that_is_gone_is_interrupted(path, store, scene, now):
    scene.champion()
    retrain = scene.approve(None)
    store.start_retrain(retrain.id, now)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE retrains SET host = 'old-container'")
    assert [r.id for r in store.interrupt_running(now)] == [retrain.id]


@pytest.mark.parametrize("running", [False, True])
def test_a_cancelled_retrain_opens_its_incident_and_costs_no_cooldown(store, scene, now, running):
    incident = scene.incident()
    retrain = scene.approve(incident.id)
    if running:
        store.start_retrain(retrain.id, now)
    cancelled = store.cancel_retrain(retrain.id, "U2", now, "wrong file")
    assert (cancelled.state, cancelled.decided_by, cancelled.decided_at) == ("cancelled", "U2", now)
    assert (store.incident(incident.id).state, store.last_retrain_at("ids")) == ("open", None)
    noted = store.decisions("ids", 1)[0]
    assert (noted.who, noted.what, noted.subject, noted.why) == ("U2", "cancel", "retrain 1", "wrong file")
    assert store.next_queued() is None
    assert not store.start_retrain(retrain.id, now)
    with pytest.raises(AlreadyDecided, match="already cancelled by U2"):
        store.cancel_retrain(retrain.id, "U3", now)
    assert scene.approve(incident.id).state == "queued"


def test_of_a_result_and_a_cancel_at_the_same_instant_one_counts(path, scene, now):
    """Either the result is kept and the cancel refused, or the other way round; again and again."""
    scene.champion()
    seen = set()
    with Store(path) as other, ThreadPoolExecutor(2) as pool:
        for number in range(2, 22):
            retrain = scene.approve(None, forced=True)
            scene.store.start_retrain(retrain.id, now)
            barrier = Barrier(2)

            def at_once(verb, *args, barrier=barrier):
                barrier.wait()
                try:
                    return verb(*args).state
                except StateError as error:
                    return str(error)

            result = pool.submit(at_once, scene.store.finish_retrain, retrain.id, scene.outcome(number), now)
            cancel = pool.submit(at_once, other.cancel_retrain, retrain.id, "U2", now)
            state = scene.store.retrain(retrain.id).state
            said = {result.result(), cancel.result()}
            state = scene.store.retrain(retrain.id).state
            refused = {
                "succeeded": f"retrain {retrain.id} is succeeded already: there is nothing to cancel",
                "cancelled": "already cancelled by U2 at 2026-11-02 10:00 UTC",
            }
            assert said == {state, refused[state]}
            assert (retrain.id in {r.id for r in scene.store.active_retrains()}) is False
            known = {version.record.version for version in scene.store.versions("ids")}
            assert (number in known) == (state == "succeeded")
            seen.add(state)
    assert seen <= {"succeeded", "cancelled"}


def test_what_a_dead_training_may_have_left_behind_is_remembered_until_it_is_tied(store, scene, now):
    scene.champion()
    never_ran = scene.approve(None)
    store.cancel_retrain(never_ran.id, "U2", now)
    assert store.loose_ends(now) == ()
    retrain = scene.approve(None)
    store.start_retrain(retrain.id, now)
    store.fail_retrain(retrain.id, "no memory", now)
    (end,) = store.loose_ends(now)
    assert (end.model, end.kind, end.job, end.since) == ("ids", "leftovers", retrain.job, now)
    assert len(retrain.job) == 32
    assert retrain.job != never_ran.job
    store.tie_later(end.id, now + DAY)
    assert store.loose_ends(now) == ()
    assert store.loose_ends(now + DAY) == (end,)
    store.tied(end.id)
    assert store.loose_ends(now + DAY) == ()


def test_an_alias_whose_move_failed_is_remembered(store, scene, now):
    scene.champion()
    scene.trained(None)
    promotion = store.begin_promotion("ids", 2, "promote", "U2", now)
    store.abandon_promotion(promotion.id, "no answer", now)
    (end,) = store.loose_ends(now)
    assert (end.model, end.kind, end.job) == ("ids", "alias", "")
