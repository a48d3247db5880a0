from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from tests.mlflow_server import serving
from trainers.base import DataFile, LoggedVersion, ModelVersion, TrainingError
from trainers.mlflow_registry import MlflowRegistry
from trainers.sklearn_trainers import HistGradientBoosting

FEATURES = pd.DataFrame(
    {"rate": np.linspace(-1, 1, 60), "service": pd.Series(["http", "dns"] * 30, dtype="str")}
)
LABELS = (FEATURES["rate"] > 0).to_numpy(dtype="int64")
MODEL = HistGradientBoosting(max_iter=5).fit(FEATURES, LABELS, ("service",))
DATA = (DataFile("/data/old.csv", "ab" * 32, 60), DataFile("/data/new.csv", "cd" * 32, 7))


@pytest.fixture
def note(tmp_path: Path) -> Path:
    file = tmp_path / "note.txt"
    file.write_text("kept")
    return file


def log(registry: MlflowRegistry, artifacts: Any, model: str = "flows", **changes: Any) -> LoggedVersion:
    arguments: dict[str, Any] = {
        "example": FEATURES.head(),
        "params": {"max_iter": 5, "long": "x" * 9000, **{f"p{i}": i for i in range(120)}},
        "metrics": {"old_holdout.challenger.accuracy": 0.75, "undefined": float("nan")},
        "tags": {"approved_by": "ann"},
        "data": DATA,
        "artifacts": artifacts,
        "run_name": "retrain flows",
        "alias": "challenger",
    }
    return registry.log_version(model, MODEL, **{**arguments, **changes})


def recorded(logged: LoggedVersion, model: str = "flows") -> ModelVersion:
    return ModelVersion(
        model,
        logged.version,
        logged.run_id,
        logged.run_url,
        logged.model_uri,
        logged.artifact_sha256,
        "",
        "",
        DATA,
        (),
        "t",
    )


def client(registry: MlflowRegistry) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(registry.tracking_uri, registry.tracking_uri)


def test_a_version_is_logged_whole(registry, home, note):
    numbers: list[int] = []

    def artifacts(version: int) -> tuple[Path, ...]:
        numbers.append(version)
        return (note,)

    first, second = log(registry, artifacts), log(registry, artifacts)
    assert (first.version, second.version) == (1, 2)
    assert numbers == [1, 2]
    run = client(registry).get_run(second.run_id)
    experiment = client(registry).get_experiment(run.info.experiment_id)
    assert experiment.name == "driftcatcher/flows"
    assert experiment.artifact_location == (home / "mlartifacts").as_uri()
    assert (
        second.run_url
        == f"http://127.0.0.1:5000/#/experiments/{experiment.experiment_id}/runs/{second.run_id}"
    )
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "retrain flows"
    assert run.data.metrics == {"old_holdout.challenger.accuracy": 0.75}
    assert run.data.params["p119"] == "119"
    assert run.data.params["long"].endswith("x…")
    assert run.data.tags["approved_by"] == "ann"
    inputs = {i.dataset.name: i.dataset for i in run.inputs.dataset_inputs}
    assert {name: d.digest for name, d in inputs.items()} == {
        "old.csv": ("ab" * 32)[:36],
        "new.csv": ("cd" * 32)[:36],
    }
    assert json.loads(inputs["new.csv"].profile) == {"num_rows": 7, "sha256": "cd" * 32}
    assert [f.path for f in client(registry).list_artifacts(second.run_id)] == ["note.txt"]


def test_the_model_comes_back_and_anybody_can_load_it_by_its_alias(registry, note):
    logged = log(registry, lambda _: (note,))
    expected = MODEL.predict_proba(FEATURES)
    assert (registry.load(recorded(logged)).predict_proba(FEATURES) == expected).all()
    registry.set_alias("flows", "champion", logged.version)
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(registry.tracking_uri)
    mlflow.set_registry_uri(registry.tracking_uri)
    try:
        plain = mlflow.sklearn.load_model("models:/flows@champion")
        assert (plain.predict_proba(FEATURES) == expected).all()
        served = mlflow.pyfunc.load_model("models:/flows@champion")
        assert (served.predict(FEATURES) == LABELS).all()
        # as a CSV is read in which a column holds whole numbers alone: pyfunc refuses these for a "double"
        whole = FEATURES.assign(rate=np.arange(-30, 30))
        assert whole["rate"].dtype == np.int64
        assert (served.predict(whole) == MODEL.predict(whole)).all()
        holes = FEATURES.assign(rate=np.where(LABELS == 1, FEATURES["rate"], np.nan), service=None)
        assert (served.predict(holes) == MODEL.predict(holes)).all()
        with pytest.raises(mlflow.MlflowException, match="missing"):
            served.predict(FEATURES[["service"]])
        assert served.metadata.get_input_schema().input_names() == ["rate", "service"]
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])


def test_files_that_were_changed_are_not_loaded(registry, home, note):
    logged = log(registry, lambda _: (note,))
    (file,) = (home / "mlartifacts").rglob("model.skops")
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(
        TrainingError, match=r"the files of flows version 1 .* are not those that were registered"
    ):
        registry.load(recorded(logged))
    file.unlink()
    with pytest.raises(TrainingError, match="are not those that were registered"):
        registry.load(recorded(logged))


def test_a_model_that_is_not_there_is_an_error(registry):
    unknown = ModelVersion("flows", 1, "r", "", "models:/m-0", "", "", "", (), (), "t")
    with pytest.raises(TrainingError, match=r"MLflow \(sqlite:.*not found"):
        registry.load(unknown)


def test_aliases(registry, note):
    assert registry.alias("flows", "champion") is None
    log(registry, lambda _: (note,))
    log(registry, lambda _: (note,))
    assert registry.alias("flows", "champion") is None
    assert registry.alias("flows", "challenger") == 2
    registry.set_alias("flows", "champion", 1)
    registry.set_alias("flows", "champion", 2)
    assert registry.alias("flows", "champion") == 2
    with pytest.raises(TrainingError, match=r"Model Version .* not found"):
        registry.set_alias("flows", "champion", 9)


def test_a_failure_half_way_leaves_no_version_and_a_failed_run(registry, note):
    def fails(_: int) -> tuple[Path, ...]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        log(registry, fails)
    assert client(registry).search_registered_models() == []
    log(registry, lambda _: (note,))
    with pytest.raises(TrainingError, match="No such file"):
        log(registry, lambda _: (note.with_name("missing.txt"),))
    assert [v.version for v in client(registry).search_model_versions("name='flows'")] == [1]
    assert registry.alias("flows", "challenger") == 1
    experiment = client(registry).get_experiment_by_name("driftcatcher/flows")
    runs = client(registry).search_runs([experiment.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FAILED", "FAILED", "FINISHED"]


def test_a_first_training_that_fails_takes_nothing_from_another(registry, note):
    def another_is_quicker(_: int) -> tuple[Path, ...]:
        log(registry, lambda _: (note,))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        log(registry, another_is_quicker)
    assert [v.version for v in client(registry).search_model_versions("name='flows'")] == [2]
    assert registry.alias("flows", "challenger") == 2


def test_untrusted_types_are_refused_before_anything_is_logged(registry, note):
    from sklearn.preprocessing import FunctionTransformer

    with pytest.raises(TrainingError, match="types that are not trusted"):
        registry.log_version(
            "flows", FunctionTransformer(json.loads), example=FEATURES, params={}, metrics={}, tags={}, data=(),
            artifacts=lambda _: (note,), run_name="r", alias="challenger",
        )  # fmt: skip
    assert client(registry).get_experiment_by_name("driftcatcher/flows") is None


def test_metrics_alone_are_a_run(home):
    registry = MlflowRegistry(home)
    assert (
        registry.log_metrics_run("flows", "performance", {"accuracy": 0.5}, {"file": "a.csv"}, {"kind": "p"})
        == ""
    )
    experiment = client(registry).get_experiment_by_name("driftcatcher/flows")
    (run,) = client(registry).search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.metrics, run.data.params["file"]) == (
        "FINISHED",
        {"accuracy": 0.5},
        "a.csv",
    )


def test_an_experiment_that_was_deleted_by_hand_is_used_again(registry):
    registry.log_metrics_run("flows", "one", {"accuracy": 0.5}, {}, {})
    experiment = client(registry).get_experiment_by_name("driftcatcher/flows").experiment_id
    client(registry).delete_experiment(experiment)
    registry.log_metrics_run("flows", "two", {"accuracy": 0.5}, {}, {})
    assert "two" in [run.info.run_name for run in client(registry).search_runs([experiment])]


USE = """
import sys
from pathlib import Path
from trainers.mlflow_registry import MlflowRegistry
registry = MlflowRegistry(Path(sys.argv[1]))
registry.log_metrics_run("flows", "r", {"accuracy": 0.5}, {}, {})
"""


def use(home: Path, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USE, str(home)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_first_use_by_several_processes_at_once_is_sound_and_silent(tmp_path):
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    children = [use(tmp_path / "home", cwd) for _ in range(2)]
    said = [child.communicate(timeout=200) for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    # Standard output is the JSON of our command line, and no store may appear where the process happens to be.
    assert said == [("", "")] * 2
    assert list(cwd.iterdir()) == []
    registry = MlflowRegistry(tmp_path / "home")
    experiment = client(registry).get_experiment_by_name("driftcatcher/flows")
    assert len(client(registry).search_runs([experiment.experiment_id])) == 2


@pytest.fixture
def server(tmp_path: Path, mlflow_template: Path) -> Iterator[str]:
    with serving(tmp_path, mlflow_template) as url:
        yield url


def test_a_tracking_server_does_as_well(server, tmp_path, note, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    registry = MlflowRegistry(tmp_path / "home", server)
    logged = log(registry, lambda _: (note,))
    assert logged.run_url.startswith(f"{server}/#/experiments/")
    assert (registry.load(recorded(logged)).predict(FEATURES) == MODEL.predict(FEATURES)).all()
    assert registry.alias("flows", "challenger") == 1
    assert registry.alias("flows", "champion") is None
    with pytest.raises(ZeroDivisionError):
        log(registry, lambda version: (note, note)[version // 0 :], model="other")
    assert [m.name for m in client(registry).search_registered_models()] == ["flows"]
    tampered = replace(recorded(logged), artifact_sha256="0" * 64)
    with pytest.raises(TrainingError, match="not those that were registered"):
        registry.load(tampered)
    assert capfd.readouterr() == ("", "")
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {"served"}


def test_a_server_that_is_away_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refused at once
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(TrainingError, match=rf"MLflow \(http://{place}\) refused or failed") as raised:
            MlflowRegistry(tmp_path, f"http://ann:secret@{place}").alias("flows", "champion")
    assert "secret" not in str(raised.value)


def test_a_store_that_was_cut_off_while_it_was_made_is_made_anew(tmp_path):
    """As a process that is killed in the first seconds leaves it: tables half made."""
    home = tmp_path / "home"
    home.mkdir()
    with sqlite3.connect(home / "mlflow.db.new") as half:
        half.execute("CREATE TABLE _alembic_tmp_experiments (x)")
    assert MlflowRegistry(home).alias("flows", "champion") is None
    assert sorted(path.name for path in home.iterdir()) == ["mlflow.db", "mlflow.lock"]


def test_a_database_that_is_none_is_one_clear_line(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "mlflow.db").write_text("garbage, and more of it\n" * 100)
    with pytest.raises(TrainingError, match=r"mlflow.db.*not a database") as raised:
        MlflowRegistry(home).alias("flows", "champion")
    assert "\n" not in str(raised.value)
