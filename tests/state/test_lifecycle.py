"""Any order of verbs, allowed or not: the state never contradicts itself."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from state.records import INCIDENT_TRANSITIONS, RETRAIN_TRANSITIONS, StateError
from state.store import Store

WAITING = {"queued": "retraining", "running": "retraining", "succeeded": "decision"}


def lifecycle(scene_of: Any, start: Any) -> type[RuleBasedStateMachine]:
    class Lifecycle(RuleBasedStateMachine):
        @initialize()
        def open(self) -> None:
            self.folder = tempfile.TemporaryDirectory()
            self.store = Store(Path(self.folder.name) / "state.db")
            self.scene = scene_of(self.store)
            self.scene.champion()
            self.now = start
            self.version = 1
            self.seen: dict[tuple[str, int], str] = {}

        def attempt(self, verb: Any, *args: Any) -> Any:
            try:
                return verb(*args)
            except StateError:
                return None

        @rule(hours=st.sampled_from([0, 1, 30]))
        def time_passes(self, hours: int) -> None:
            self.now += timedelta(hours=hours, seconds=1)

        @rule()
        def drift(self) -> None:
            claim = self.store.claim_batch("ids", str(self.now), "/a.csv", "1", "p", self.now)
            if claim.kind == "mine":
                self.store.save_report(claim.batch.id, self.scene.report(), b"", self.now)
            self.store.open_incident("ids", claim.batch.id, "C1", self.now)

        @rule(forced=st.booleans(), incident=st.sampled_from([None, 1, 2]))
        def approve(self, forced: bool, incident: int | None) -> None:
            champion = self.store.champion("ids").record.version
            change = {"forced": forced, "now": self.now, "champion_version": champion}
            self.attempt(lambda: self.scene.approve(incident, **change))

        @rule(number=st.integers(1, 3))
        def begin(self, number: int) -> None:
            self.attempt(self.store.start_retrain, number, self.now)

        @rule(number=st.integers(1, 3))
        def finish(self, number: int) -> None:
            outcome = self.scene.outcome(self.version + 1)
            if self.attempt(self.store.finish_retrain, number, outcome, self.now):
                self.version += 1

        @rule(number=st.integers(1, 3))
        def fail(self, number: int) -> None:
            self.attempt(self.store.fail_retrain, number, "no memory", self.now)

        @rule(number=st.integers(1, 3))
        def cancel(self, number: int) -> None:
            self.attempt(self.store.cancel_retrain, number, "U4", self.now)

        @rule(number=st.integers(1, 3))
        def keep(self, number: int) -> None:
            self.attempt(self.store.decide_retrain, number, "kept", "U1", self.now)

        @rule(version=st.integers(1, 4), kind=st.sampled_from(["promote", "roll_back"]))
        def begin_promotion(self, version: int, kind: str) -> None:
            self.attempt(self.store.begin_promotion, "ids", version, kind, "U2", self.now)

        @rule(done=st.booleans())
        def end_promotion(self, done: bool) -> None:
            for promotion in self.store.pending_promotions():
                if done:
                    self.store.finish_promotion(promotion.id, self.now)
                else:
                    self.store.abandon_promotion(promotion.id, "no answer")

        @rule(number=st.integers(1, 2))
        def dismiss(self, number: int) -> None:
            self.attempt(self.store.dismiss_incident, number, "U3", "", self.now)

        @rule()
        def restart(self) -> None:
            path = self.store.path
            self.store.close()
            self.store = Store(path)
            self.scene = scene_of(self.store)
            self.store.interrupt_running(self.now)

        @invariant()
        def one_of_each(self) -> None:
            assert sum(v.is_champion for v in self.store.versions("ids")) == 1
            assert sum(r.state in ("queued", "running") for r in self.store.retrains("ids", 100)) <= 1
            assert sum(i.closed_at is None for i in self.store.incidents("ids", 100)) <= 1
            assert len(self.store.pending_promotions()) <= 1

        @invariant()
        def incidents_follow_their_retrains(self) -> None:
            retrains = self.store.retrains("ids", 100)
            for incident in self.store.incidents("ids", 100):
                waiting = {
                    WAITING[r.state] for r in retrains if r.incident_id == incident.id and r.state in WAITING
                }
                in_work = {incident.state} & {"retraining", "decision"}
                assert waiting == in_work

        @invariant()
        def steps_are_those_of_the_tables(self) -> None:
            now = {("incident", i.id): i.state for i in self.store.incidents("ids", 100)}
            now |= {("retrain", r.id): r.state for r in self.store.retrains("ids", 100)}
            for (what, number), state in now.items():
                table = INCIDENT_TRANSITIONS if what == "incident" else RETRAIN_TRANSITIONS
                before = self.seen.get((what, number), state)
                assert before == state or state in table[before]
            self.seen = now

        def teardown(self) -> None:
            self.store.close()
            self.folder.cleanup()

    return Lifecycle


def test_any_order_of_verbs_keeps_the_state_consistent(scene_of, now):
    machine = lifecycle(scene_of, now).TestCase
    machine.settings = settings(
        max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    machine().runTest()


@pytest.mark.parametrize("table", [INCIDENT_TRANSITIONS, RETRAIN_TRANSITIONS])
def test_the_tables_name_only_states_they_know(table):
    assert {state for following in table.values() for state in following} <= set(table)
