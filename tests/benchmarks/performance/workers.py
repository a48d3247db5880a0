"""What runs in a process of its own: `python -m tests.benchmarks.performance.workers NAME TASK`, answering in JSON.

Imports are those that each function needs, since some are there to tell how much memory it takes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bot.processor import sort_fast
from tests.benchmarks.performance.measuring import in_turns

_LABEL = "Label"  # as in `data`, which would load NumPy and pyarrow


def fit(reference: str, baseline: str) -> int:
    """Baseline of a file; its size in bytes."""
    from detectors import Baseline

    Baseline.fit(reference, label=_LABEL).save(baseline)
    return Path(baseline).stat().st_size


def noise(features: int, rows: int, baseline: str) -> int:
    """Baseline of nothing but different numbers, which compress worst; its size in bytes."""
    import numpy as np
    import pandas as pd

    from detectors import Baseline

    drawn = np.random.default_rng(1).normal(size=(rows, features))
    Baseline.fit(pd.DataFrame(drawn, columns=[f"f{i}" for i in range(features)])).save(baseline)
    return Path(baseline).stat().st_size


def one_check(baseline: str, batch: str) -> float:
    """Seconds of the first check in a process."""
    from detectors import Baseline, check
    from detectors.ks import KS
    from detectors.psi import PSI

    learned = Baseline.load(baseline)
    return _timed(lambda: check(learned, batch, detectors=[PSI(), KS()]))


def warm_csv(baseline: str, batch: str, repetitions: int) -> dict[str, list[float]]:
    """Checks of a CSV beside the bare parse of it."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    from detectors import Baseline, check
    from detectors.ks import KS
    from detectors.psi import PSI

    pa.set_cpu_count(2)
    learned = Baseline.load(baseline)
    numbers = pacsv.ConvertOptions(column_types=dict.fromkeys(learned.numeric, pa.float64()))
    return _warm(
        {
            "read": lambda: pacsv.read_csv(batch, convert_options=numbers),
            "psi": lambda: check(learned, batch, detectors=[PSI()]),
            "psi_ks": lambda: check(learned, batch, detectors=[PSI(), KS()]),
        },
        repetitions,
    )


def warm_parquet(baseline: str, batch: str, repetitions: int) -> dict[str, list[float]]:
    """A check of a Parquet file beside the bare streamed read of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from detectors import Baseline, check
    from detectors.ks import KS
    from detectors.psi import PSI

    pa.set_cpu_count(2)
    learned = Baseline.load(baseline)

    def read() -> None:
        with pq.ParquetFile(batch) as file:
            for _ in file.iter_batches():
                pass

    return _warm(
        {"read": read, "psi_ks": lambda: check(learned, batch, detectors=[PSI(), KS()])}, repetitions
    )


def train(trainer: str, reference: str, repetitions: int) -> dict[str, list[float]]:
    """A default trainer beside plain scikit-learn, which is given the same rows and parameters."""
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from trainers import sklearn_trainers

    ours = {
        "hist_gradient_boosting": sklearn_trainers.HistGradientBoosting,
        "random_forest": sklearn_trainers.RandomForest,
        "logistic_regression": sklearn_trainers.LogisticRegression,
    }[trainer]()
    plain: dict[str, Callable[..., Any]] = {
        "hist_gradient_boosting": lambda **given: HistGradientBoostingClassifier(
            early_stopping=False, **given
        ),
        "random_forest": lambda **given: RandomForestClassifier(n_jobs=-1, **given),
        "logistic_regression": lambda **given: make_pipeline(StandardScaler(), LogisticRegression(**given)),
    }
    table = pd.read_csv(reference)
    features, labels = table.drop(columns=_LABEL).astype(float), table[_LABEL].ne("BENIGN").to_numpy(int)
    return _warm(
        {
            "plain": lambda: plain[trainer](**ours.params()).fit(features, labels),
            "ours": lambda: ours.fit(features, labels, ()),
        },
        repetitions,
    )


def _warm(things: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, list[float]]:
    for thing in things.values():
        thing()  # not counted: imports, the page cache, the allocator
    return in_turns({name: partial(_timed, thing) for name, thing in things.items()}, repetitions)


def _timed(thing: Callable[[], object]) -> float:
    started = time.perf_counter()
    thing()
    return time.perf_counter() - started


WORKERS: dict[str, Callable[..., Any]] = {
    each.__name__: each for each in (fit, noise, one_check, warm_csv, warm_parquet, train)
}

if __name__ == "__main__":
    sort_fast()  # as the command does
    print(json.dumps(WORKERS[sys.argv[1]](**json.loads(sys.argv[2]))))
