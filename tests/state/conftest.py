"""Real state files, and real processes that use them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from detectors.metrics import Metrics
from detectors.report import DriftReport, FeatureDrift
from state.records import Incident, Promotion, Retrain
from state.store import Store
from trainers.base import DataFile, Evaluation, ModelVersion, RetrainOutcome

NOW = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as store:
        yield store


def metrics(recall: float) -> Metrics:
    return Metrics(
        rows=100, accuracy=0.95, precision=None, recall=recall, f1=0.9, roc_auc=None,
        fpr=0.02, fnr=1 - recall, tn=49, fp=1, fn=4, tp=46,
    )  # fmt: skip


def model_version(number: int, *extra: DataFile, model: str = "ids") -> ModelVersion:
    base = (DataFile("/data/base.csv", "b" * 64, 1000),)
    return ModelVersion(
        model=model,
        version=number,
        run_id=f"run{number}",
        run_url=f"http://127.0.0.1:5000/#/experiments/1/runs/run{number}",
        model_uri=f"models:/m-{number}",
        artifact_sha256="a" * 64,
        baseline_path=f"/home/models/{model}/v{number}/baseline.npz",
        baseline_sha256="c" * 64,
        data=base + extra,
        evaluations=(Evaluation("old", 100, metrics(0.92)),),
        trainer="hist_gradient_boosting",
        params={"max_iter": 100, "learning_rate": 0.1, "classes": ["0", "1"], "depth": None},
        code_version="0.1.0",
    )


@dataclass(frozen=True)
class Scene:
    """The usual course of events, so that a test starts where its subject begins."""

    store: Store
    files: tuple[DataFile, ...] = (DataFile("/labeled/new.csv", "d" * 64, 500),)
    model: str = "ids"

    def report(self, verdict: str = "drift") -> DriftReport:
        drifted = verdict == "drift"
        features = (
            FeatureDrift("Flow Duration", "psi", 0.8312, 0.82, 1e-9, "significant", True, "median 12 → 88"),
            FeatureDrift("Länge <b>", "psi", 0.01, 0.0, None, "none", False),
        )
        return DriftReport(
            verdict=verdict,  # type: ignore[arg-type]
            recommendation="retrain" if drifted else "none",
            overall_psi=0.42,
            rows=1234,
            features=features if drifted else features[1:],
            errors=("ks could not measure 2 features: too few values",),
            notes=("extra column x ignored",),
            baseline_version="1",
        )

    def batch(self, content: str = "1", now: datetime = NOW) -> int:
        """A checked batch with drift."""
        claim = self.store.claim_batch(self.model, content * 64, f"/inbox/{content}.csv", "1", "p", now)
        assert claim.kind == "mine"
        return self.store.save_report(claim.batch.id, self.report(), b"profile", now).id

    def champion(self, number: int = 1, now: datetime = NOW) -> None:
        """A trained version in use."""
        self.store.add_version(model_version(number, model=self.model), now)
        promotion = self.store.begin_promotion(self.model, number, "train", "cli", now)
        self.store.finish_promotion(promotion.id, now)

    def incident(self, now: datetime = NOW) -> Incident:
        """An open incident of a model with a champion."""
        if self.store.champion(self.model) is None:
            self.champion(now=now)
        return self.store.open_incident(self.model, self.batch(now=now), "C1", now)

    def outcome(self, number: int = 2) -> RetrainOutcome:
        return RetrainOutcome(
            champion=(Evaluation("old", 100, metrics(0.92)), Evaluation("new", 30, metrics(0.1))),
            challenger=(Evaluation("old", 100, metrics(0.93)), Evaluation("new", 30, metrics(0.97))),
            version=model_version(number, *self.files, model=self.model),
            recommendation="promote",
            reasons=("recall on the new hold-out rose from 0.10 to 0.97",),
            duplicates=3,
        )

    def approve(self, incident_id: int | None, **changes: Any) -> Retrain:
        from datetime import timedelta

        request: dict[str, Any] = {
            "model": self.model, "files": self.files, "champion_version": 1, "by": "U1", "now": NOW,
            "forced": False, "cooldown": timedelta(hours=24),
        }  # fmt: skip
        return self.store.approve(incident_id, **{**request, **changes})

    def trained(self, incident_id: int | None, number: int = 2, **changes: Any) -> Retrain:
        """A retrain that waits for a decision."""
        retrain = self.approve(incident_id, **changes)
        assert self.store.start_retrain(retrain.id, NOW)
        return self.store.finish_retrain(retrain.id, self.outcome(number), NOW)

    def promote(self, version: int, now: datetime = NOW) -> Promotion:
        promotion = self.store.begin_promotion(self.model, version, "promote", "U2", now)
        return self.store.finish_promotion(promotion.id, now)


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


@pytest.fixture
def scene_of() -> Callable[[Store], Scene]:
    return Scene


class Worker:
    """Another process, see worker.py."""

    def __init__(self, path: Path) -> None:
        script = Path(__file__).with_name("worker.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def send(self, expression: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def ask(self, expression: str) -> Any:
        self.send(expression)
        answer = self.answer()
        assert "value" in answer, answer
        return answer["value"]

    def kill(self) -> None:
        """kill -9; the process stays a zombie until `end`, as the child of a busy parent does."""
        self.process.kill()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def workers(path: Path) -> Iterator[Callable[[int], list[Worker]]]:
    """Start so many processes on the state file; all are ready when this returns."""
    started: list[Worker] = []

    def start(count: int) -> list[Worker]:
        new = [Worker(path) for _ in range(count)]
        started.extend(new)
        assert [worker.answer()["value"] for worker in new] == ["ready"] * count
        return new

    yield start
    for worker in started:
        worker.end()
