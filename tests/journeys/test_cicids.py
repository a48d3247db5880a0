"""The whole story on real flows of CIC-IDS2017 (improved version): drift, labels, retrain, and nothing forgotten.

The files are not part of the project: see ../shared/data/README.md beside the repository. `pytest -s` prints
what was measured.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bot import cli
from state.store import Store
from trainers.base import ModelVersion
from trainers.mlflow_registry import MlflowRegistry

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "cicids2017"
NOT_FEATURES = [
    "id",
    "Flow ID",
    "Src IP",
    "Src Port",
    "Dst IP",
    "Dst Port",
    "Timestamp",
    "Attempted Category",
]

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data is not there: {DATA}")


def configuration(name: str, home: str, more: str = "") -> str:
    return f"""\
home = "{home}"
settle_seconds = 0

[[models]]
name = "flows"
inbox = "inbox"
labeled = "labeled-{name}"
ignore = {json.dumps(NOT_FEATURES)}
{more}
[models.label]
column = "Label"
negative = ["BENIGN"]
"""


@dataclass(frozen=True)
class Project:
    """Files of the story; no row is in two of them."""

    folder: Path
    base: Path  # 70 % of benign and DDoS
    rest: Path  # the other 30 %
    half: Path  # half of it port scan
    sample: Path  # 500 labelled port scans
    scans: pd.DataFrame  # port scans in no file that is trained on
    ddos: pd.DataFrame  # DDoS rows in no file that is trained on
    new_scans: pd.DataFrame  # those of the port scans whose features are not those of any trained row either

    def run(self, *words: object, config: str = "driftcatcher.toml") -> tuple[int, Any]:
        """Exit status and the printed JSON object of a command, run in this process: MLflow is loaded once."""
        arguments = ["driftcatcher", "--config", str(self.folder / config), *map(str, words), "--json"]
        printed, code = io.StringIO(), 0
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
            patch.setattr(sys, "argv", arguments)
            try:
                cli.main()
            except SystemExit as end:
                code = int(end.code or 0)
        assert code in (0, 1), f"{' '.join(arguments)} ended with {code}"
        return code, json.loads(printed.getvalue())

    def registry(self) -> MlflowRegistry:
        return MlflowRegistry(self.folder / "home")

    def versions(self) -> dict[int, ModelVersion]:
        store = Store(self.folder / "home" / "state.db")
        try:
            return {known.record.version: known.record for known in store.versions("flows")}
        finally:
            store.close()


def read(kind: str) -> pd.DataFrame:
    """The rows of one kind in random order, as they are written."""
    frame = pd.read_csv(DATA / f"{kind}.csv.gz", dtype=str, keep_default_na=False)
    return frame.drop_duplicates().sample(frac=1, random_state=2017)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("cicids")
    benign, ddos, scan = read("benign"), read("ddos"), read("portscan")
    features = [c for c in benign.columns if c not in (*NOT_FEATURES, "Label")]
    cut = {"benign": int(0.7 * len(benign)), "ddos": int(0.7 * len(ddos))}
    base = pd.concat([benign[: cut["benign"]], ddos[: cut["ddos"]]])
    rest = pd.concat([benign[cut["benign"] :], ddos[cut["ddos"] :]]).sample(frac=1, random_state=1)
    half = pd.concat([rest[:1500], scan[500:2000]]).sample(frac=1, random_state=1)
    trained_on = {tuple(row) for row in pd.concat([base, scan[:500]])[features].itertuples(index=False)}

    def unseen(frame: pd.DataFrame) -> pd.DataFrame:
        rows = frame[features].itertuples(index=False)
        return frame[[tuple(row) not in trained_on for row in rows]]

    made = Project(
        folder,
        *(folder / f"{name}.csv" for name in ("base", "rest", "half", "sample")),
        scans=scan[500:],
        ddos=ddos[cut["ddos"] :],
        new_scans=unseen(scan[500:]),
    )
    base.to_csv(made.base, index=False)
    rest.to_csv(made.rest, index=False)
    half.drop(columns="Label").to_csv(made.half, index=False)
    scan[:500].to_csv(made.sample, index=False)
    (folder / "driftcatcher.toml").write_text(configuration("main", "home"))
    code, version = made.run("train", "--base-data", made.base)
    assert (code, version["version"]) == (0, 1)
    return made


def test_a_batch_of_the_same_traffic_is_stable(project: Project) -> None:
    code, report = project.run("check", project.rest)
    print(f"\nheld-out benign + ddos: {report['verdict']}, overall PSI {report['overall_psi']:.4f}")
    assert (code, report["verdict"], report["recommendation"]) == (0, "stable", "none")
    assert report["batch"]["rows"] > 2900
    assert report["errors"] == []


def test_a_batch_with_port_scans_drifts_and_asks_for_labels_until_they_come(project: Project) -> None:
    code, report = project.run("check", project.half)
    drifted = [f["feature"] for f in report["features"] if f["drifted"]]
    print(
        f"\nhalf port scan: overall PSI {report['overall_psi']:.3f}, {len(drifted)} features; {drifted[:3]}"
    )
    assert (code, report["verdict"], report["recommendation"]) == (1, "drift", "label")
    labeled = project.folder / "labeled-main"
    labeled.mkdir()
    shutil.copy(project.sample, labeled)
    try:
        assert project.run("check", project.half)[1]["recommendation"] == "retrain", "the same file, today"
        another = project.folder / "another.csv"
        another.write_text("".join(project.half.read_text().splitlines(keepends=True)[:-1]))
        assert project.run("check", another)[1]["recommendation"] == "retrain"
    finally:
        shutil.rmtree(labeled)


def test_the_classic_policy_retrains_above_a_mean_of_two_tenths(project: Project) -> None:
    """On the same state: another policy makes another check of the same bytes."""
    (project.folder / "classic.toml").write_text(configuration("none", "home", 'policy = "classic"'))
    code, report = project.run("check", project.half, config="classic.toml")
    assert report["overall_psi"] > 0.2
    assert (code, report["verdict"], report["recommendation"]) == (1, "drift", "retrain")
    code, report = project.run("check", project.rest, config="classic.toml")
    assert report["overall_psi"] <= 0.1
    assert (code, report["verdict"], report["recommendation"]) == (0, "stable", "none")


@pytest.fixture(scope="module")
def outcome(project: Project) -> dict[str, Any]:
    """The result of retraining on the 500 labelled port scans."""
    code, printed = project.run("retrain", "--new-labeled-data", project.sample)
    assert code == 0
    return dict(printed)


def recall(predict: Callable[[pd.DataFrame], Any], version: ModelVersion, rows: pd.DataFrame) -> float:
    """Share of the rows, all of them attacks, that are called attacks."""
    features = rows[list(version.schema.features)].apply(pd.to_numeric)
    return float((predict(features.astype("float64")) == 1).mean())


def test_the_new_model_knows_the_port_scan_and_still_the_flood(
    project: Project, outcome: dict[str, Any]
) -> None:
    versions, registry = project.versions(), project.registry()
    found = {
        (number, name): recall(registry.load(version).predict, version, rows)
        for number, version in versions.items()
        for name, rows in (("scans", project.scans), ("new", project.new_scans), ("ddos", project.ddos))
    }
    print(
        f"\nrecall, champion -> challenger: port scan {found[1, 'scans']:.4f} -> {found[2, 'scans']:.4f} "
        f"({len(project.scans):,} rows; {found[1, 'new']:.4f} -> {found[2, 'new']:.4f} on the "
        f"{len(project.new_scans):,} with features of their own), ddos {found[1, 'ddos']:.4f} -> "
        f"{found[2, 'ddos']:.4f} ({len(project.ddos):,} rows); gate: {outcome['recommendation']}"
    )
    assert len(project.new_scans) > 500
    assert found[1, "scans"] < 0.5
    assert found[2, "scans"] > 0.95
    assert found[2, "new"] > 0.95
    assert abs(found[2, "ddos"] - found[1, "ddos"]) <= 0.01
    assert outcome["recommendation"] == "promote"


def test_the_run_in_mlflow_holds_what_was_done_and_its_model_predicts(
    project: Project, outcome: dict[str, Any]
) -> None:
    import mlflow
    from mlflow import MlflowClient

    version = project.versions()[2]
    client = MlflowClient(project.registry().tracking_uri)
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["trainer"] == "hist_gradient_boosting"
    assert run.data.params["label.column"] == "Label"
    for side in ("old", "new"):
        for who, printed in (("champion", outcome["champion"]), ("challenger", outcome["challenger"])):
            metrics = next(e["metrics"] for e in printed if e["holdout"] == side)
            assert run.data.metrics[f"{side}_holdout.{who}.recall"] == pytest.approx(metrics["recall"])
    logged = {i.dataset.name: json.loads(i.dataset.profile)["sha256"] for i in run.inputs.dataset_inputs}
    assert logged == {Path(f.path).name: f.sha256 for f in version.data}
    assert logged.keys() == {"base.csv", "sample.csv"}

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(project.registry().tracking_uri)
    mlflow.set_registry_uri(project.registry().tracking_uri)
    try:
        plain = mlflow.pyfunc.load_model("models:/flows@challenger")
        assert recall(plain.predict, version, project.scans[:200]) > 0.9
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
