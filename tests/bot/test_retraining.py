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
from bot.jobs import _environment, job_for, run_in_child
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
    """Keeps aliases in memory, and can be away."""

    def __init__(self) -> None:
        self.aliases: dict[str, int] = {}
        self.away = False

    def set_alias(self, model: str, alias: str, version: int) -> None:
        if self.away:
            raise ConnectionError("the registry is away")
        self.aliases[alias] = version


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
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "needed")
    given = _environment()
    assert "xoxb-secret" not in given.values()
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
