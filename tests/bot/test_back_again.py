"""Two promotions later the first version comes back: what it finds and says is the same to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from bot.bootstrap import Application
from bot.demo.traffic import IDENTIFIERS, NEW_MIX, mix
from bot.jobs import job_for, perform
from detectors.digest import sha256_file
from trainers.base import DataFile, quiet

MODEL = "my-model"


@pytest.fixture
def app(trained) -> Iterator[Application]:
    application = Application.load(trained.config)
    yield application
    application.close()


def retrain(app: Application, labelled: Path) -> int:
    """A retrain on the file, promoted; the number of the new version."""
    file = DataFile(str(labelled), sha256_file(labelled), len(pd.read_csv(labelled)))
    approved = app.retraining.approve(app.config.model(MODEL), [file], "U0ANNA", force=True)
    done = app.run_retrain(
        approved, lambda one, progress: perform(job_for(app.config, app.store, one), progress), quiet
    )
    assert done is not None and done.outcome is not None, done
    app.retraining.promote(done, "U0ANNA")
    return done.outcome.version.version


def seen(app: Application, batch: Path, copy: Path) -> tuple[object, object, object]:
    """What the batch is found to be, the bytes of the baseline, and the predictions of the registry's champion."""
    copy.write_bytes(batch.read_bytes() + b"\n" * len(copy.name))  # the same rows in bytes not seen before
    report = app.monitoring.check(app.config.model(MODEL), copy).batch.report
    registry = app.retraining.registry()
    record = app.store.version(MODEL, registry.alias(MODEL, "champion") or 0).record
    rows = pd.read_csv(batch).drop(columns=list(IDENTIFIERS))
    return (
        report,
        Path(record.baseline_path).read_bytes(),
        registry.load(record).predict_proba(rows).tobytes(),
    )


def test_back_by_two_promotions(app: Application, traffic, tmp_path: Path) -> None:
    first = seen(app, traffic.stable, tmp_path / "a.csv")
    for seed in (11, 12):
        labelled = tmp_path / f"labelled_{seed}.csv"
        mix(NEW_MIX, 400, seed, day=8).to_csv(labelled, index=False)
        version = retrain(app, labelled)
    assert version == 3
    later = seen(app, traffic.stable, tmp_path / "bb.csv")
    assert [one == other for one, other in zip(first, later, strict=True)] == [False, False, False]
    app.retraining.roll_back(app.config.model(MODEL), "U0ANNA", to=1)
    assert seen(app, traffic.stable, tmp_path / "ccc.csv") == first
    assert [one.record.version for one in app.store.past_champions(MODEL)] == []
