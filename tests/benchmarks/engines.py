"""What a cluster gains: the same parts counted by this process, and by one and two Dask workers on this machine.

    python -m tests.benchmarks.engines                   # 8 parts of 250,000 rows x 20 columns
    python -m tests.benchmarks.engines --rows 50000      # smaller parts

The engines take turns in one run, after one round that warms them up; medians. On one machine the workers share its
cores with each other, so this shows what the way costs; what more machines gain is theirs to show.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bot.engine import DaskEngine
from detectors.baseline import Baseline
from detectors.batch_profile import profile_batch
from detectors.parts import Engine, here


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one profile by one engine (median), and whether its bytes are those of the local engine."""

    engine: str
    seconds: float
    same: bool


def measure(
    baseline: Baseline, folder: Path, *, workers: Sequence[int] = (1, 2), rounds: int = 3
) -> list[Timing]:
    """The wall time of a profile of a folder of parts: locally, then on each number of worker processes."""
    with ExitStack() as stack:
        engines: dict[str, Engine] = {"local": here}
        for number in workers:
            many = "s" * (number != 1)
            engines[f"Dask, {number} worker{many}"] = stack.enter_context(cluster(number))
        seconds: dict[str, list[float]] = {name: [] for name in engines}
        profiles = {
            name: profile_batch(baseline, folder, engine=engine).to_bytes()
            for name, engine in engines.items()
        }
        for _ in range(rounds):
            for name, engine in engines.items():
                started = time.perf_counter()
                profile_batch(baseline, folder, engine=engine)
                seconds[name].append(time.perf_counter() - started)
    return [Timing(n, statistics.median(s), profiles[n] == profiles["local"]) for n, s in seconds.items()]


@contextmanager
def cluster(workers: int) -> Iterator[DaskEngine]:
    """An engine on so many local worker processes of one thread each."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0"
    ) as started:
        engine = DaskEngine(started.scheduler_address)
        try:
            yield engine
        finally:
            engine.close()


def write_parts(folder: Path, *, parts: int, rows: int, columns: int, seed: int = 0) -> Baseline:
    """A folder of Parquet parts of normal numbers, and a baseline of the same kind."""
    rng = np.random.default_rng(seed)
    names = [f"x{i}" for i in range(columns)]
    folder.mkdir(parents=True)
    for number in range(parts):
        part = pd.DataFrame(rng.normal(size=(rows, columns)), columns=names)
        part.to_parquet(folder / f"part-{number:03}.parquet", index=False)
    return Baseline.fit(pd.DataFrame(rng.normal(size=(10_000, columns)), columns=names))


def main() -> None:
    """Print one line an engine."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in (("parts", 8), ("rows", 250_000), ("columns", 20), ("rounds", 3)):
        options.add_argument(f"--{name}", type=int, default=value)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "batch.parquet"
        baseline = write_parts(folder, parts=asked.parts, rows=asked.rows, columns=asked.columns)
        print(f"{asked.parts} Parquet parts of {asked.rows:,} rows × {asked.columns} columns")
        for timing in measure(baseline, folder, rounds=asked.rounds):
            same = "the same bytes" if timing.same else "OTHER BYTES"
            print(f"  {timing.engine:16} {timing.seconds:6.2f} s  {same}")


if __name__ == "__main__":
    main()
