"""What a dead training leaves in a real MLflow store, and that nothing of it can be served or promoted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainers.test_mlflow_registry import client, log
from trainers.mlflow_registry import MlflowRegistry

JOB = "driftcatcher.job"


def runs(registry: MlflowRegistry) -> dict[str, str]:
    experiment = client(registry).get_experiment_by_name("driftcatcher/flows")
    return {
        run.data.tags[JOB]: run.info.status
        for run in client(registry).search_runs([experiment.experiment_id])
    }


@pytest.fixture
def note(tmp_path: Path) -> Path:
    file = tmp_path / "note.txt"
    file.write_text("kept")
    return file


def test_versions_that_nobody_knows_are_deleted_with_their_aliases(
    registry: MlflowRegistry, note: Path
) -> None:
    log(registry, lambda _: (note,), tags={JOB: "first"})
    registry.set_alias("flows", "champion", 1)
    log(registry, lambda _: (note,), tags={JOB: "second"})
    assert registry.alias("flows", "challenger") == 2
    assert registry.clear("flows", "second", {1}) == (2,)
    assert [v.version for v in client(registry).search_model_versions("name='flows'")] == [1]
    assert (registry.alias("flows", "challenger"), registry.alias("flows", "champion")) == (None, 1)
    assert runs(registry) == {"first": "FINISHED", "second": "KILLED"}
    assert registry.clear("flows", "second", {1}) == (), "a second look finds nothing"
    assert registry.clear("flows", "first", {1}) == (), "a known version stays, whoever asks"
    assert log(registry, lambda _: (note,), tags={JOB: "third"}).version == 3, "no number is given twice"
    registry.drop_alias("flows", "champion")
    registry.drop_alias("flows", "champion")
    assert registry.alias("flows", "champion") is None


def test_a_run_that_was_cut_off_is_ended(
    registry: MlflowRegistry, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after kill -9: nothing was taken back, and the logged model is still pending."""

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    log(registry, lambda _: (note,), tags={JOB: "first"})
    monkeypatch.setattr("mlflow.MlflowClient.log_model_artifacts", cut_off)
    monkeypatch.setattr("mlflow.MlflowClient.set_terminated", cut_off)
    with pytest.raises(KeyboardInterrupt):
        log(registry, lambda _: (note,), tags={JOB: "second"})
    monkeypatch.undo()
    assert runs(registry)["second"] == "RUNNING"
    assert registry.clear("flows", "second", {1}) == ()
    assert runs(registry) == {"first": "FINISHED", "second": "KILLED"}
    experiment = client(registry).get_experiment_by_name("driftcatcher/flows").experiment_id
    assert sorted(m.status for m in client(registry).search_logged_models([experiment])) == [
        "FAILED",
        "READY",
    ]
