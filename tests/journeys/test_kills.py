"""The trainer and the MLflow server die at bad moments: state and registry agree afterwards.

`python -m tests.benchmarks.kills --long` plays all of it: bot, trainer and server, at twelve points of a retrain.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from mlflow import MlflowClient

import bot.retraining as retraining
from bot.config import load
from bot.retraining import Retraining
from bot.workspace import Workspace
from detectors.digest import sha256_file
from state.records import Retrain
from state.store import Store
from tests.benchmarks.kills.house import Server
from tests.benchmarks.kills.points import _asks
from tests.benchmarks.kills.relay import Relay
from tests.journeys.conftest import NewSite
from tests.journeys.stage import ANNA, MODEL, alert, open_form, sees, training_processes
from tests.state.conftest import Scene
from tests.trainers.test_mlflow_registry import log
from trainers.base import TrainingError
from trainers.mlflow_leftovers import JOB
from trainers.mlflow_registry import MlflowRegistry


def test_the_trainer_dies_when_its_version_is_in_the_registry(
    embedded: Workspace, new_site: NewSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining, "IN_HAND", timedelta(0))
    site = new_site(embedded)
    site.bring_labels()
    site.drop(site.files.drifted(1))
    site.start()
    anna = site.person(ANNA)
    alert(anna)
    open_form(anna)
    assert anna.submit() == {}
    child = site.until(lambda: training_processes(os.getpid()), "no training process was started")[0]
    folder = site.home / "models" / MODEL
    while not list(folder.glob("*v2*")):  # it is written when the version has its number, before any alias
        assert site.retrains()[0].state in ("queued", "running")
    os.kill(child, signal.SIGKILL)
    sees(anna, "*The retrain failed.*")
    site.until(lambda: not site.app.store.loose_ends(datetime.now(UTC) + timedelta(days=1)), "ends are loose")
    uri = f"sqlite:///{site.home / 'mlflow.db'}"
    client = MlflowClient(uri, uri)
    assert [v.version for v in client.search_model_versions(f"name='{MODEL}'")] == [1]
    assert {int(at) for at in client.get_registered_model(MODEL).aliases.values()} == {1}
    assert list(folder.iterdir()) == []
    experiment = client.get_experiment_by_name(f"driftcatcher/{MODEL}")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server on a store whose tables are made."""
    made = tmp_path / "made"
    made.mkdir()
    MlflowRegistry(made).alias("nothing", "champion")
    (tmp_path / "server").mkdir()
    shutil.copyfile(made / "mlflow.db", tmp_path / "server" / "server.db")
    server = Server(tmp_path / "server")
    server.start()
    yield server
    server.kill()


def _trained(store: Store, scene: Scene, baseline: Path) -> Retrain:
    """A retrain that made version 3 and waits for a decision."""
    retrain, outcome = scene.approve(None), scene.outcome(3)
    store.start_retrain(retrain.id, datetime.now(UTC))
    version = replace(outcome.version, baseline_path=str(baseline), baseline_sha256=sha256_file(baseline))
    return store.finish_retrain(retrain.id, replace(outcome, version=version), datetime.now(UTC))


def test_answers_of_the_server_get_lost(tmp_path: Path, server: Server) -> None:
    """Of a version that is asked for twice one stays; an alias that moved although it was called off goes back."""
    relay = Relay(server.port)
    registry = MlflowRegistry(tmp_path / "home", relay.url)
    note = tmp_path / "note.txt"
    note.write_text("kept")
    settings = tmp_path / "driftcatcher.toml"
    settings.write_text('[[models]]\nname = "flows"\nlabel = { column = "y", negative = ["0"] }\n')
    config = load(settings)
    with Store(tmp_path / "state.db") as store:
        scene = Scene(store, model="flows")
        log(registry, lambda _: (note,), tags={JOB: "first"})
        registry.set_alias("flows", "champion", 1)
        scene.champion()
        lost = relay.hold(_asks("POST", "model-versions/create"), "after")
        cut = Thread(target=lambda: lost.reached.wait() and lost.release(cut=True))
        cut.start()
        second = log(registry, lambda _: (note,), tags={JOB: "second"})
        cut.join()
        client = MlflowClient(relay.url, relay.url)
        assert second.version == 3
        assert sorted(int(v.version) for v in client.search_model_versions("name='flows'")) == [1, 3]

        done = _trained(store, scene, note)
        lost = relay.hold(_asks("POST", "registered-models/alias", "champion"), "after")

        def dies() -> None:
            lost.reached.wait()
            server.kill()
            lost.release(cut=True)

        killer = Thread(target=dies)
        killer.start()

        def moves(seconds: int) -> Retraining:
            at = datetime.now(UTC) + timedelta(seconds=seconds)
            return Retraining(config, store, lambda: registry, lambda: at)

        with pytest.raises(TrainingError, match="The champion stays as it was"):
            moves(0).promote(done, "U1")
        killer.join()
        moves(1).tie_loose_ends()  # it is away: nothing happens, and nothing is forgotten
        server.start()
        assert (store.champion("flows").record.version, registry.alias("flows", "champion")) == (1, 3)
        moves(100).tie_loose_ends()
        assert registry.alias("flows", "champion") == 1
        assert store.loose_ends(datetime.now(UTC) + timedelta(days=1)) == ()
        moves(100).promote(done, "U1")
        assert (store.champion("flows").record.version, registry.alias("flows", "champion")) == (3, 3)
    relay.close()
