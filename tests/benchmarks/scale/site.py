"""A site of many models and many files: a baseline that all models share, and the folders of a bot.

The champion has no estimator and PSI alone looks at the batches: what is measured is the bot around a check, whose
own cost is the matter of other benchmarks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from bot.bootstrap import Application
from bot.config import FILE_NAME
from detectors import Baseline
from detectors.digest import sha256_file
from state.store import Store
from tests.benchmarks.quality.population import Pool, frame_of, make_pool
from trainers.base import DataFile, ModelVersion

ROWS = 100  # of a batch
FEATURES = 10
REFERENCE = 10_000  # rows of the baseline
LABEL = "label"


@dataclass(frozen=True, slots=True)
class Site:
    """Where the folders of bots are made, and the baseline that their models share."""

    folder: Path
    pool: Pool
    baseline: Path

    @classmethod
    def make(cls, folder: Path) -> Site:
        pool = make_pool(FEATURES, 60_000, 1)
        frame = frame_of(pool.take(np.arange(REFERENCE))).assign(**{LABEL: 0})
        Baseline.fit(frame, label=LABEL, version="1").save(folder / "baseline.npz")
        return cls(folder, pool, folder / "baseline.npz")

    def application(self, name: str, models: int) -> Application:
        """A bot's folder with so many models, an inbox each, each with a champion."""
        folder = self.folder / name
        blocks = ['home = "home"\nsettle_seconds = 0\n[slack]\nchannel = "ml-alerts"\napprovers = []\n']
        for number in range(models):
            for kind in ("inbox", "labeled"):
                (folder / kind / f"m{number}").mkdir(parents=True)
            blocks.append(
                f'[[models]]\nname = "m{number}"\nlabel = {{ column = "{LABEL}", positive = ["1"] }}\n'
                "detectors = { psi = { moderate = 0.3, significant = 0.5 } }\n"  # 100 rows tell no less apart
            )
        (folder / FILE_NAME).write_text("".join(blocks))
        app = Application.load(folder / FILE_NAME)
        for model in app.config.models:
            crown(app.store, self._record(model.name))
        return app

    @staticmethod
    def folder_of(app: Application) -> Path:
        """Where the configuration of a bot lies."""
        return app.config.home.parent

    def _record(self, model: str) -> ModelVersion:
        return ModelVersion(
            model=model,
            version=1,
            run_id="run",
            run_url="",
            model_uri="models:/none",
            artifact_sha256="",
            baseline_path=str(self.baseline),
            baseline_sha256=sha256_file(self.baseline),
            data=(DataFile("base.csv", "b" * 64, REFERENCE),),
            evaluations=(),
            trainer="hist_gradient_boosting",
        )

    def drop(self, inbox: Path, batches: int, seed: int = 1) -> None:
        """Finished files of fresh rows, each of other bytes, oldest first by name."""
        random = np.random.default_rng(seed)
        for number in range(batches):
            columns = self.pool.take(
                REFERENCE + random.choice(self.pool.rows - REFERENCE, ROWS, replace=False)
            )
            table = pa.table({key: pa.array(values, from_pandas=True) for key, values in columns.items()})
            path = inbox / f"batch{number:06}.csv"
            pyarrow.csv.write_csv(table, path)
            os.utime(path, (1_700_000_000 + number,) * 2)


def crown(store: Store, record: ModelVersion) -> None:
    """Make a version the champion in the state file, without a registry."""
    now = datetime.now(UTC)
    store.add_version(record, now)
    begun = store.begin_promotion(record.model, record.version, "train", "benchmark", now)
    store.finish_promotion(begun.id, now)
