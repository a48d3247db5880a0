"""Three classes of real flows (CIC-IDS2017), and a fourth that comes: what is learned, what must not be forgotten."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bot import cli
from state.store import Store
from tests.benchmarks.quality.real import FOLDER
from trainers.base import Gate, LabelSpec, ModelVersion
from trainers.fingerprint import on_holdout, row_keys
from trainers.mlflow_registry import MlflowRegistry
from trainers.pipeline import retrain
from trainers.schema import typed_features
from trainers.scoring import champion
from trainers.sklearn_trainers import HistGradientBoosting

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the real data is not there: {FOLDER}")
NOT_FEATURES = (
    *("id", "Flow ID", "Src IP", "Src Port", "Dst IP", "Dst Port", "Timestamp", "Attempted Category"),
)
THREE = ("BENIGN", "DDoS", "PortScan")
FOUR = (*THREE, "DoS Slowloris")
FAST = HistGradientBoosting(max_iter=30)


class Forgetful:
    """A trainer that leaves port scans out; it remembers the rows that it learned from."""

    name = "forgetful"

    def __init__(self) -> None:
        self.seen: list[pd.DataFrame] = []

    def params(self) -> Mapping[str, Any]:
        return FAST.params()

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        self.seen.append(features)
        kept = labels != THREE.index("PortScan")
        return FAST.fit(features[kept].reset_index(drop=True), labels[kept], categorical)


class Site:
    """A folder with the files and the command line in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        flows = {
            name: pd.read_csv(FOLDER / f"{name}.csv.gz").sample(3800, random_state=0)
            for name in ("benign", "ddos", "portscan", "dos_slowloris")
        }
        self.configure(THREE)
        self.base = self.write("base", flows["benign"][:1500], flows["ddos"][:600], flows["portscan"][:600])
        self.slow = self.write("slow", flows["benign"][1500:1800], flows["dos_slowloris"][:500])
        self.later = self.write(
            "later", flows["benign"][2000:2800], flows["ddos"][1000:1320], flows["portscan"][1000:1320]
        )
        self.strange = self.write("strange", flows["benign"][2800:3600], flows["dos_slowloris"][600:900])

    def configure(self, classes: tuple[str, ...]) -> None:
        (self.folder / "driftcatcher.toml").write_text(
            f'home = "home"\nsettle_seconds = 0\n[[models]]\nname = "flows"\ninbox = "inbox"\nlabeled = "labeled"\n'
            f'ignore = {json.dumps(NOT_FEATURES)}\nretrain_cooldown = "0s"\n'
            f'label = {{ column = "Label", classes = {json.dumps(classes)} }}\n[models.trainer]\nmax_iter = 30\n'
        )

    def write(self, name: str, *parts: pd.DataFrame) -> Path:
        path = self.folder / f"{name}.csv"
        pd.concat(parts).sample(frac=1, random_state=1).to_csv(path, index=False)
        return path

    def run(self, *words: object) -> tuple[int, Any]:
        printed, code = io.StringIO(), 0
        words = ("driftcatcher", "--config", self.folder / "driftcatcher.toml", *words, "--json")
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
            patch.setattr(sys, "argv", list(map(str, words)))
            try:
                cli.main()
            except SystemExit as end:
                code = int(end.code or 0)
        return code, json.loads(printed.getvalue())

    def version(self, number: int) -> ModelVersion:
        store = Store(self.folder / "home" / "state.db")
        try:
            return store.version("flows", number).record
        finally:
            store.close()

    def predictions(self, batch: Path, number: int) -> Path:
        """What a version says of the rows of a file, beside what they are."""
        frame, version = pd.read_csv(batch), self.version(number)
        said, _ = champion(version)(typed_features(frame, version.schema, "it", []))
        path = self.folder / f"{batch.stem}_predictions.csv"
        pd.DataFrame({"y_true": frame["Label"], "y_pred": said}).to_csv(path, index=False)
        return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The whole story once: version 1 of three classes, version 2 of four."""
    made = Site(tmp_path_factory.mktemp("flows"))
    code, first = made.run("train", "--base-data", made.base)
    assert code == 0
    assert first["classes"] == list(THREE)
    return made


@pytest.fixture(scope="module")
def learned(site: Site) -> dict[str, Any]:
    site.configure(FOUR)
    code, done = site.run("retrain", "--new-labeled-data", site.slow)
    assert code == 0, done
    return done


def test_each_class_is_known_and_more_of_the_same_is_no_drift(site: Site) -> None:
    (old,) = site.version(1).evaluations
    assert min(old.metrics.recall.values()) > 0.97
    code, report = site.run("check", site.later)
    assert (code, report["verdict"]) == (0, "stable")
    assert report["estimate"]["low"] > 0.97
    code, found = site.run("performance", site.predictions(site.later, 1), "--batch", site.later)
    assert (code, found["case"]) == (0, "neither")
    assert found["classes"]["classes"] == list(THREE)


def test_an_attack_that_no_class_is_for_is_drift_and_then_harm(site: Site) -> None:
    code, report = site.run("check", site.strange)
    assert (code, report["verdict"], report["recommendation"]) == (1, "drift", "label")
    code, found = site.run("performance", site.predictions(site.strange, 1), "--batch", site.strange)
    assert (code, found["case"]) == (1, "both")
    assert found["classes"]["recall"]["DoS Slowloris"] == 0


def test_the_new_class_is_learned_and_the_gate_promotes(learned: dict[str, Any]) -> None:
    assert learned["recommendation"] == "promote", learned["reasons"]
    before, after = (
        next(e["metrics"] for e in learned[who] if e["holdout"] == "new")
        for who in ("champion", "challenger")
    )
    assert before["recall"]["DoS Slowloris"] == 0
    assert after["recall"]["DoS Slowloris"] > 0.97
    assert "recall on the old hold-out: no class lost more than the gate allows" in learned["reasons"]


def test_a_challenger_that_forgot_port_scans_is_blocked_and_says_so(
    site: Site, learned: dict[str, Any]
) -> None:
    trainer, spec = Forgetful(), LabelSpec("Label", classes=FOUR, ignore=NOT_FEATURES)
    home = site.folder / "home"
    registry = MlflowRegistry(home)
    outcome = retrain(site.version(1), [site.slow], spec, trainer, registry, home, gate=Gate())
    assert outcome.recommendation == "keep"
    assert any(
        reason.startswith('recall of "PortScan" on the old hold-out ') and '"PortScan" is forgotten' in reason
        for reason in outcome.reasons
    ), outcome.reasons
    assert not any('"DDoS"' in reason for reason in outcome.reasons)
    for seen in trainer.seen:  # which no row that measures may be in
        assert not on_holdout(row_keys(seen, outcome.version.schema)).any()


def test_both_versions_are_made_again_to_1e_12(site: Site, learned: dict[str, Any]) -> None:
    for number in (1, 2):
        code, found = site.run("reproduce", number)
        assert (code, found["same"]) == (0, True), found["differences"]
