"""The champion scores each batch: prediction drift, what the batch has cost, and a model that cannot be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bot.bootstrap import Application
from bot.config import FILE_NAME
from bot.monitoring import Checked
from detectors.digest import sha256_file
from detectors.report import DriftReport
from detectors.track_record import PREDICTION
from trainers.base import Gate, LabelSpec
from trainers.mlflow_registry import MlflowRegistry
from trainers.pipeline import train
from trainers.sklearn_trainers import LogisticRegression

CONFIGURATION = """\
home = "home"
[[models]]
name = "loans"
inbox = "inbox"
labeled = "labeled"
label = { column = "label", negative = ["0"] }
"""


def loans(rows: int, seed: int, centre: float = 3.0) -> pd.DataFrame:
    """Two income groups at +centre and -centre; within a group the label follows a logistic curve of income.

    The model is right with probability 1 / (1 + exp(-|income|)), whatever the seed: nearer to 0 it errs more.
    """
    rng = np.random.default_rng(seed)
    income = rng.choice([-centre, centre], rows) + rng.normal(0, 0.7, rows)
    return pd.DataFrame(
        {
            "income": income,
            "age": rng.normal(45, 10, rows),
            "region": rng.choice(["north", "south", "west"], rows),
            "label": (rng.random(rows) < 1 / (1 + np.exp(-income))).astype(int),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose version 1 was trained with real MLflow."""
    made = tmp_path_factory.mktemp("loans")
    (made / FILE_NAME).write_text(CONFIGURATION)
    loans(6000, 1).to_csv(made / "base.csv", index=False)
    app = Application.load(made / FILE_NAME)
    outcome = train(
        "loans", [made / "base.csv"], [], LabelSpec("label", negative=("0",)), LogisticRegression(),
        MlflowRegistry(app.config.home), app.config.home, gate=Gate(),
    )  # fmt: skip
    now = datetime.now(UTC)
    app.store.add_version(outcome.version, now)
    app.store.finish_promotion(app.store.begin_promotion("loans", 1, "train", "test", now).id, now)
    app.close()
    return made


@pytest.fixture
def project(folder: Path) -> Iterator[Application]:
    opened = Application.load(folder / FILE_NAME)
    yield opened
    opened.close()


@pytest.fixture
def check(project: Application, tmp_path: Path) -> Callable[[pd.DataFrame], DriftReport]:
    """Checks rows without their labels, by the whole way from a file to the state."""

    def run(frame: pd.DataFrame) -> DriftReport:
        frame.drop(columns="label").to_csv(tmp_path / "batch.csv", index=False)
        checked: Checked = project.monitoring.check(project.config.model(None), tmp_path / "batch.csv")
        assert checked.batch.report is not None
        return project.store.batch(checked.batch.id).report or checked.batch.report

    return run


def test_without_drift_nothing_is_lost_and_the_score_is_watched(check):
    report = check(loans(1000, 2))
    assert (report.verdict, report.recommendation, report.errors) == ("stable", "none", ())
    score = next(f for f in report.features if f.feature == PREDICTION)
    assert not score.drifted and score.detector == "psi"
    assert report.estimate is not None and report.estimate.valid and not report.estimate.harm


def test_a_batch_nearer_to_the_border_costs_what_is_estimated(check):
    batch = loans(2000, 3, centre=1.0)
    truth = float((1 / (1 + np.exp(-np.abs(batch["income"])))).mean())  # of the best and of this model
    report = check(batch)
    assert (report.verdict, report.recommendation) == ("drift", "retrain")
    assert report.estimate is not None and report.estimate.harm
    assert report.estimate.accuracy == pytest.approx(truth, abs=0.02)
    assert report.estimate.low <= truth <= report.estimate.high
    assert report.causes[0].features[0] == "income" and report.causes[0].contribution > 0.9
    assert any(f.feature == PREDICTION and f.drifted for f in report.features)


def test_drift_that_the_model_does_not_mind_asks_for_labels_and_not_for_a_retrain(check):
    report = check(loans(4000, 4).assign(age=lambda f: f["age"] + 5))
    assert (report.verdict, report.recommendation) == ("drift", "label")
    assert report.estimate is not None and report.estimate.valid and not report.estimate.harm
    assert abs(report.estimate.loss) < 0.01
    assert not any(f.feature == PREDICTION and f.drifted for f in report.features)


def test_a_model_that_cannot_be_asked_is_said_and_the_check_goes_on(project, check, tmp_path):
    champion = project.store.champion("loans")
    assert champion is not None
    copy = tmp_path / "model.skops"
    copy.write_bytes(Path(champion.record.model_path).read_bytes()[:-100])
    now = datetime.now(UTC)
    changes = {
        "gone": {"model_path": str(tmp_path / "gone.skops")},
        "changed": {"model_path": str(copy)},
        "damaged": {"model_path": str(copy), "model_sha256": sha256_file(copy)},
    }
    said = []
    for number, change in enumerate(changes.values(), 2):
        project.store.add_version(replace(champion.record, version=number, **change), now)
        move = project.store.begin_promotion("loans", number, "promote", "test", now)
        project.store.finish_promotion(move.id, now)
        report = check(loans(1000, 2))
        assert (report.verdict, report.estimate) == ("stable", None)
        said += report.errors
    back = project.store.begin_promotion("loans", 1, "promote", "test", now)
    project.store.finish_promotion(back.id, now)
    assert [text.split(": ")[0] for text in said] == [
        "the batch was not scored, so its prediction drift and cost are not known"
    ] * 3
    assert "has no model file" in said[0] and "has changed since training" in said[1]
    assert "model.skops cannot be read" in said[2]


def test_scoring_can_be_switched_off(folder, tmp_path):
    quiet = folder / "quiet.toml"
    quiet.write_text(CONFIGURATION + "scoring = false\n")
    app = Application.load(quiet)
    loans(1000, 9).to_csv(tmp_path / "batch.csv", index=False)
    report = app.monitoring.check(app.config.model(None), tmp_path / "batch.csv").batch.report
    app.close()
    assert report is not None and report.estimate is None
    assert PREDICTION not in {f.feature for f in report.features}


def test_another_version_that_knows_such_data_better_is_named(project, check, tmp_path):
    other = loans(5000, 20).assign(age=lambda f: f["age"] + 12)
    other.to_csv(tmp_path / "other.csv", index=False)
    outcome = train(
        "loans", [tmp_path / "other.csv"], [], LabelSpec("label", negative=("0",)), LogisticRegression(),
        MlflowRegistry(project.config.home), project.config.home, gate=Gate(),
    )  # fmt: skip
    project.store.add_version(replace(outcome.version, version=50), datetime.now(UTC))
    report = check(loans(1500, 5).assign(age=lambda f: f["age"] + 12))
    assert report.verdict == "drift"
    named = [note for note in report.notes if "fit this batch clearly better" in note]
    assert len(named) == 1 and "`driftcatcher promote 50`" in named[0]
