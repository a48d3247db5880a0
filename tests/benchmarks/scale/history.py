"""A long history: what is asked of it, and how long the answers take."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median

from bot import status
from bot.bootstrap import Application
from bot.config import FILE_NAME, ModelSection
from bot.feedback import listed
from detectors.report import DriftReport
from state.codec import stamp, to_json
from state.database import Database

FEATURES = 40
PROFILE = 4_000  # bytes
BLOCK = 500  # batches in one write


def fill(app: Application, scores: int, seed: int = 1) -> int:
    """Write checks of past years into the state, evenly over the models; returns how many batches."""
    draw = random.Random(seed)
    batches, models = scores // FEATURES, app.config.models
    begin = datetime.now(UTC) - timedelta(hours=batches // len(models) + 1)
    for start in range(0, batches, BLOCK):
        with app.store.together():
            for number in range(start, min(start + BLOCK, batches)):
                at = begin + timedelta(hours=number // len(models))
                _insert(app.store._db, models[number % len(models)], number, at, draw)
    for number in range(1, 50):  # what people have said of some checks
        truth = "false_alarm" if number % 3 else "true_drift"
        app.store.give_feedback(truth, "U1", "", datetime.now(UTC), batch_id=number * batches // 50)
    return batches


def _insert(db: Database, model: ModelSection, number: int, at: datetime, draw: random.Random) -> None:
    report = DriftReport(
        verdict="drift" if number % 100 == 0 else "stable",
        recommendation="none",
        overall_psi=draw.random() / 10,
        rows=100,
        features=(),
        notes=("a note of the length that notes have in real reports, more or less",) * 3,
        baseline_version="1",
    )
    head = report.to_dict()
    head.pop("features")
    row = {
        "model": model.name, "sha256": f"{number:064x}", "path": f"/data/{model.name}/batch{number}.csv",
        "baseline_version": "1", "policy_sha": model.policy_sha, "state": "checked", "claimed_at": stamp(at),
        "host": "h", "pid": 1, "started": "1", "checked_at": stamp(at), "rows": 100, "verdict": report.verdict,
        "overall_psi": report.overall_psi, "worst": "", "report": to_json(head), "reported_at": stamp(at),
    }  # fmt: skip
    batch_id = db.insert("batches", row)
    scores = (
        {
            "batch_id": batch_id, "feature": f"feature {n}", "detector": "psi", "statistic": draw.random(),
            "effect": draw.random() / 10, "p_value": draw.random(), "severity": "none", "drifted": 0,
            "detail": "median 12 → 13",
        }
        for n in range(FEATURES)
    )  # fmt: skip
    db.insert_all("scores", scores)
    db.insert("profiles", {"batch_id": batch_id, "data": draw.randbytes(PROFILE)})


def questions(app: Application) -> dict[str, float]:
    """What is asked -> seconds, the median of five answers."""
    model, store, now = app.config.models[0], app.store, datetime.now(UTC)
    newest = store.history(model.name, 1)[0]
    batch_id = store.last_checked(model.name).id  # type: ignore[union-attr]
    asked: dict[str, Callable[[], object]] = {
        "driftcatcher status, the whole process": lambda: _command(app, "status", "--model", model.name),
        "status": lambda: status.read(model, store, now, look=True),
        "status of all models": lambda: [status.read(m, store, now, look=True) for m in app.config.models],
        "history": lambda: store.history(model.name, 30),
        "feedback": lambda: listed(store),
        "feedback by file name": lambda: store.batches_named(newest.path.rpartition("/")[2]),
        "what creep looks at, for each check": lambda: store.checks_before(batch_id),
        "what tune looks at": lambda: store.checked_batches(model.name, 50),
        "incidents": lambda: store.incidents(model.name),
    }
    return {name: median(_seconds(ask) for _ in range(5)) for name, ask in asked.items()}


def roll_up(app: Application) -> tuple[int, float, float]:
    """Roll up the older half: how many batches, the longest write and all of them, in seconds."""
    half = app.store._db.value(
        "SELECT checked_at FROM batches ORDER BY checked_at LIMIT 1 OFFSET (SELECT count(*) / 2 FROM batches)"
    )
    rolled, longest, begun = 0, 0.0, time.perf_counter()
    while True:
        start = time.perf_counter()
        done = app.store.roll_up(datetime.fromisoformat(half))
        longest = max(longest, time.perf_counter() - start)
        rolled += done
        if not done:
            return rolled, longest, time.perf_counter() - begun


def _command(app: Application, *words: str) -> None:
    config = app.config.home.parent / FILE_NAME
    command = [sys.executable, "-m", "bot", "--config", str(config), *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _seconds(ask: Callable[[], object]) -> float:
    begun = time.perf_counter()
    ask()
    return time.perf_counter() - begun
