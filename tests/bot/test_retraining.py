"""What a killed command leaves behind, and what a training process may know."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot import labelling
from bot.jobs import _outcome, child_environment, job_for, run_in_child
from bot.retraining import IN_HAND, Retraining
from state.records import StateError
from trainers.base import RetrainOutcome, TrainingError

RUNNER = """
import os, sys
from datetime import UTC, datetime
from state.store import Store
Store(sys.argv[1]).start_retrain(int(sys.argv[2]), datetime.now(UTC))
os.kill(os.getpid(), 9)
"""


class Registry:
    """Keeps aliases in memory, and what trainings left behind; and can be away."""

    def __init__(self) -> None:
        self.aliases: dict[str, int] = {}
        self.left: dict[str, tuple[int, ...]] = {}
        self.cleared: list[tuple[str, set[int]]] = []
        self.away = False

    def set_alias(self, model: str, alias: str, version: int) -> None:
        if self.away:
            raise ConnectionError("the registry is away")
        self.aliases[alias] = version

    def alias(self, model: str, alias: str) -> int | None:
        if self.away:
            raise ConnectionError("the registry is away")
        return self.aliases.get(alias)

    def drop_alias(self, model: str, alias: str) -> None:
        self.aliases.pop(alias, None)

    def clear(self, model: str, job: str, known: set[int]) -> tuple[int, ...]:
        if self.away:
            raise ConnectionError("the registry is away")
        self.cleared.append((job, set(known)))
        return self.left.pop(job, ())


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def retraining(watched, registry) -> Retraining:
    return Retraining(watched.app.config, watched.app.store, lambda: registry)


def approve(retraining, watched, traffic):
    (watched.model.labeled / "new.csv").write_bytes(traffic.labelled.read_bytes())
    files = [f.data_file() for f in labelling.waiting(watched.model, watched.app.store)]
    return retraining.approve(watched.model, files, "U0ANNA", why="new attacks")


def test_a_killed_runner_does_not_lock_the_model(retraining, watched, traffic) -> None:
    first = approve(retraining, watched, traffic)
    subprocess.run([sys.executable, "-c", RUNNER, str(watched.app.store.path), str(first.id)], check=False)
    assert watched.app.store.retrain(first.id).state == "running"
    with pytest.raises(StateError, match="already approved"):
        approve(retraining, watched, traffic)
    retraining.recover()
    assert watched.app.store.retrain(first.id).state == "interrupted"
    assert ("retrain_failed", {"retrain_id": first.id}) in watched.said()
    assert approve(retraining, watched, traffic).state == "queued", "an interrupted one costs no cool-down"


def test_a_move_that_was_cut_off_is_finished_once_it_is_out_of_hand(watched, registry) -> None:
    store, now = watched.app.store, datetime.now(UTC)
    store.add_version(replace(store.champion("netflow").record, version=2), now)
    store.begin_promotion("netflow", 2, "promote", "U0ANNA", now)
    later = Retraining(
        watched.app.config, store, lambda: registry, lambda: now + IN_HAND + timedelta(seconds=1)
    )
    Retraining(watched.app.config, store, lambda: registry, lambda: now).recover()
    assert store.champion("netflow").record.version == 1, "a young move is in somebody's hands"
    registry.away = True
    later.recover()
    assert store.champion("netflow").record.version == 1
    registry.away = False
    later.recover()
    assert (store.champion("netflow").record.version, registry.aliases) == (2, {"champion": 2})


def test_a_slow_registry_is_no_failure_though_the_bot_has_ended_the_move(watched, registry) -> None:
    store, now = watched.app.store, datetime.now(UTC)
    store.add_version(replace(store.champion("netflow").record, version=2), now)
    bot = Retraining(
        watched.app.config, store, lambda: registry, lambda: now + IN_HAND + timedelta(seconds=1)
    )

    class Slow(Registry):
        def set_alias(self, model: str, alias: str, version: int) -> None:
            bot.finish_moves()  # more than a minute later

    mine = Retraining(watched.app.config, store, Slow, lambda: now)
    moved = mine._move("netflow", 2, "promote", "U0ANNA", "")
    assert (moved.done, store.champion("netflow").record.version) == (True, 2)
    assert len(store.promotions_of("netflow", 2)) == 1


def test_a_failed_retrain_costs_no_cool_down_and_a_running_one_does(retraining, watched, traffic) -> None:
    store = watched.app.store
    first = approve(retraining, watched, traffic)
    store.start_retrain(first.id, datetime.now(UTC))
    retraining.fail(store.retrain(first.id), "a test")
    assert store.last_retrain_at("netflow") is None
    second = approve(retraining, watched, traffic)
    assert store.last_retrain_at("netflow") == second.approved_at
    assert store.decisions("netflow", 1)[0].why.endswith("new attacks")


def test_nothing_is_chosen_that_has_gone_since_the_form(retraining, watched, traffic) -> None:
    path = watched.model.labeled / "new.csv"
    path.write_bytes(traffic.labelled.read_bytes())
    (seen,) = labelling.waiting(watched.model, watched.app.store)
    assert [f.path for f in retraining.chosen(watched.model, [seen.sha256[:24]])] == [str(path)]
    path.write_text("Label\nBENIGN\n")
    with pytest.raises(StateError, match="open it again"):
        retraining.chosen(watched.model, [seen.sha256[:24]])


def test_a_training_process_does_not_get_the_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    monkeypatch.setenv("DRIFTCATCHER_WEBHOOK_SECRET", "open sesame")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "needed")
    given = child_environment()
    assert {"xoxb-secret", "open sesame"}.isdisjoint(given.values())
    assert given["MLFLOW_TRACKING_TOKEN"] == "needed"
    assert given["OMP_WAIT_POLICY"] == "passive"


TRAINER = """
import os, signal, time
from dataclasses import dataclass

@dataclass(frozen=True)
class Stuck:
    how: str = "sleeps"
    name: str = "stuck"

    def __post_init__(self):
        if os.fork() == 0:
            time.sleep(60)  # a pool of its own, which holds the pipes open
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
"""


@pytest.mark.parametrize(
    ("how", "says"), [("killed", "was killed by signal 9"), ("sleeps", "took longer than")]
)
def test_a_training_that_dies_or_never_ends_leaves_nothing_behind(
    retraining, watched, traffic, tmp_path, monkeypatch, how, says
) -> None:
    (tmp_path / "stuck_trainer.py").write_text(TRAINER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    approved = approve(retraining, watched, traffic)
    job = replace(
        job_for(watched.app.config, watched.app.store, approved),
        trainer={"use": "stuck_trainer:Stuck", "how": how},
    )
    began, limit = time.monotonic(), timedelta(hours=1) if how == "killed" else timedelta(seconds=15)
    with pytest.raises(TrainingError, match=says):
        run_in_child(job, lambda _: None, threading.Event(), limit)
    assert time.monotonic() - began < 45


def test_a_result_that_cannot_be_kept_ends_the_retrain(watched, traffic, retraining) -> None:
    app, approved = watched.app, approve(retraining, watched, traffic)
    known = app.store.champion("netflow").record

    def perform(*_):
        return RetrainOutcome((), (), replace(known, run_id="another"), "keep", ())

    failed = app.run_retrain(approved, perform, lambda _: None)
    assert (failed.state, "is already known, with other content" in failed.error) == ("failed", True)


def test_a_result_is_kept_though_the_state_file_is_busy_when_it_comes(
    watched, traffic, retraining, monkeypatch
) -> None:
    app, approved = watched.app, approve(retraining, watched, traffic)
    tried: list[str] = []
    fail = app.retraining.fail

    def busy(retrain, error):
        tried.append(error)
        if len(tried) == 1:
            raise StateError("the state file cannot be used now: database is locked")
        return fail(retrain, error)

    monkeypatch.setattr(type(app.retraining), "fail", lambda _, retrain, error: busy(retrain, error))

    def perform(*_):
        raise TrainingError("no good")

    assert app.run_retrain(approved, perform, lambda _: None).state == "failed"
    assert tried == ["no good", "no good"]


def test_a_cancel_while_it_runs_wins_over_the_result_that_comes_after(watched, traffic, retraining) -> None:
    app, approved = watched.app, approve(retraining, watched, traffic)
    known = app.store.champion("netflow").record

    def perform(retrain, _):
        assert not app.retraining.cancelled(retrain.id)
        app.retraining.cancel(retrain.id, "U0ANNA", "wrong file")
        assert app.retraining.cancelled(retrain.id)
        return RetrainOutcome((), (), replace(known, version=2), "promote", ())

    ended = app.run_retrain(approved, perform, lambda _: None)
    assert (ended.state, ended.decided_by, ended.error) == ("cancelled", "U0ANNA", "wrong file")
    assert [version.record.version for version in app.store.versions("netflow")] == [1]
    assert [kind for kind, _ in watched.said()] == ["retrain_started", "retrain_failed"]


def test_a_training_that_is_cancelled_ends_at_once(
    watched, traffic, retraining, tmp_path, monkeypatch
) -> None:
    (tmp_path / "stuck_trainer.py").write_text(TRAINER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    approved = approve(retraining, watched, traffic)
    job = replace(
        job_for(watched.app.config, watched.app.store, approved), trainer={"use": "stuck_trainer:Stuck"}
    )
    began = time.monotonic()
    with pytest.raises(TrainingError):
        run_in_child(job, lambda _: None, threading.Event(), cancelled=lambda: time.monotonic() > began + 1)
    assert time.monotonic() - began < 45, "it would sleep for a minute"


def test_loose_ends_are_tied_when_the_registry_is_there(retraining, watched, traffic, registry) -> None:
    """The state says version 1; an answer got lost, and a training died after it had made version 2."""
    store = watched.app.store
    approved = approve(retraining, watched, traffic)
    store.start_retrain(approved.id, datetime.now(UTC))
    retraining.fail(store.retrain(approved.id), "killed")
    store.add_version(replace(store.champion("netflow").record, version=3), datetime.now(UTC))
    registry.away, registry.left[approved.job] = True, (2,)
    with pytest.raises(TrainingError, match="The champion stays as it was"):
        retraining._move("netflow", 3, "promote", "U0ANNA", "")
    registry.aliases["champion"] = 3
    orphan = watched.app.config.home / "models" / "netflow" / "v2" / "baseline.npz"
    orphan.parent.mkdir(parents=True)
    orphan.touch()

    def later(seconds: int) -> None:
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        replace(retraining, now=lambda: at).tie_loose_ends()

    later(0)
    assert registry.aliases["champion"] == 3, "it is away"
    later(1)
    registry.away = False
    later(2)
    assert (registry.cleared, registry.aliases["champion"]) == ([], 3), "it is away for both"
    later(40)
    assert registry.aliases["champion"] == 1
    assert registry.cleared == [(approved.job, {1, 3})]
    assert not orphan.parent.exists()
    registry.aliases["champion"] = 3  # what had been on its way arrives late
    later(100)
    assert registry.aliases["champion"] == 1
    later(1000)
    assert len(registry.cleared) == 2, "then it is done"


def test_an_alias_is_left_alone_while_a_move_is_under_way(retraining, watched, registry) -> None:
    store, now = watched.app.store, datetime.now(UTC)
    for version in (2, 3):
        store.add_version(replace(store.champion("netflow").record, version=version), now)
    registry.away = True
    with pytest.raises(TrainingError):
        retraining._move("netflow", 2, "promote", "U0ANNA", "")
    registry.away = False
    moving = store.begin_promotion("netflow", 3, "promote", "U0ANNA", now)
    registry.aliases["champion"] = 3
    late = replace(retraining, now=lambda: now + timedelta(hours=1))
    late.tie_loose_ends()
    assert registry.aliases["champion"] == 3
    store.finish_promotion(moving.id, now)
    late.tie_loose_ends()
    assert (registry.aliases["champion"], store.loose_ends(now + timedelta(days=1))) == (3, ())


def test_a_retrain_is_cancelled_at_a_terminal(retraining, watched, traffic, run) -> None:
    approved = approve(retraining, watched, traffic)
    ran = run(watched.folder, "cancel", approved.id, "--why", "wrong file")
    assert (ran.code, ran.out) == (0, "retrain 1 of netflow is cancelled; version 1 stays in use.\n")
    assert watched.app.store.retrain(approved.id).error == "wrong file"
    again = run(watched.folder, "cancel", approved.id)
    assert (again.code, "already cancelled by cli:" in again.err) == (3, True)
    assert run(watched.folder, "cancel", 7).err == "refused: there is no retrain 7\n"


GREEDY = """
import sys
from bot.jobs import limit_memory
import numpy as np
limit_memory(int(sys.argv[1]))
try:
    np.ones(40_000_000)  # 320 MB
except MemoryError:
    print("too much")
else:
    print("enough")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts heaps alone elsewhere")
def test_a_training_gets_the_memory_that_it_may_have_beyond_its_libraries() -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", GREEDY, limit], capture_output=True, text=True, check=True
        ).stdout
        for limit in ("150", "600")
    ]
    assert said == ["too much\n", "enough\n"]


def test_a_training_that_ran_out_of_memory_says_what_to_do() -> None:
    last = "terminate called after throwing an instance of 'std::bad_alloc'"
    with pytest.raises(TrainingError, match=r"more than the 150 MB .* raise `retrain_memory_mb`"):
        _outcome({}, -6, last, False, 150)
    with pytest.raises(TrainingError, match="more memory than this machine has"):
        _outcome({}, -6, last, False, None)
