"""Broken feed or drift: each kind of fault is told from drift, and no drift is called a fault."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from detectors import Baseline, Policy, check
from detectors.baseline import profile_batch
from detectors.feed import find_faults
from detectors.psi import PSI
from detectors.report import DriftReport, Fault

TRIES = 100
LEAST = 98  # of them that must be told right
SIZES = (200, 1_000)
Rng = np.random.Generator
Spoil = Callable[[pd.DataFrame, Rng], pd.DataFrame]


def draw(rows: int, rng: Rng) -> pd.DataFrame:
    """A table of several kinds of columns."""
    hours = rng.uniform(0, 24 * 90, rows)
    return pd.DataFrame(
        {
            "duration": rng.lognormal(3, 1, rows),
            "price": np.round(rng.gamma(3, 20, rows) + 1, 2),
            "temperature": rng.normal(15, 6, rows),
            "load": rng.normal(0, 1, rows),
            "zeros": np.where(rng.random(rows) < 0.6, 0.0, rng.lognormal(2, 1, rows)),
            "count": rng.poisson(6, rows).astype(float),
            "gaps": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(50, 5, rows)),
            "protocol": rng.choice(np.array(["tcp", "udp", "icmp"], dtype=object), rows, p=[0.6, 0.3, 0.1]),
            "at": pd.Timestamp("2025-01-01") + pd.to_timedelta(np.sort(hours), "h"),
        }
    )


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return Baseline.fit(draw(5_000, np.random.default_rng(1)), version="1")


def faults(baseline: Baseline, batch: pd.DataFrame) -> tuple[Fault, ...]:
    return find_faults(baseline, profile_batch(baseline, batch), Policy())


def scaled(column: str, factor: float, share: float = 1.0) -> Spoil:
    def spoil(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
        here = rng.random(len(frame)) < share
        return frame.assign(**{column: np.where(here, frame[column] * factor, frame[column])})

    return spoil


def as_text(column: str, write: Callable[[float], str]) -> Spoil:
    return lambda frame, rng: frame.assign(
        **{column: [None if pd.isna(v) else write(v) for v in frame[column]]}
    )


def twice(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    half = frame.head(len(frame) // 2)
    return pd.concat([half, half])


def partly_twice(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    kept = frame.head(int(0.8 * len(frame)))
    return pd.concat([kept, kept.head(len(frame) - len(kept))])


def stuck(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    tail = int(0.4 * len(frame))
    return pd.concat([frame.head(len(frame) - tail), frame.iloc[[-1] * tail]])


FAULTS: dict[str, tuple[str, str, Spoil]] = {
    "a missing column": ("missing_column", "load", lambda f, r: f.drop(columns="load")),
    "a renamed column": ("renamed_column", "load", lambda f, r: f.rename(columns={"load": "Load_1m"})),
    "a renamed category": ("renamed_column", "protocol", lambda f, r: f.rename(columns={"protocol": "proto"})),
    "words for numbers": ("wrong_type", "load", as_text("load", lambda v: "high" if v > 0 else "low")),
    "decimal commas": ("wrong_type", "price", as_text("price", lambda v: f"{v:.2f}".replace(".", ","))),
    "codes for names": (
        "wrong_type", "protocol",
        lambda f, r: f.assign(protocol=f["protocol"].map({"tcp": 6, "udp": 17, "icmp": 1})),
    ),
    "no values": ("no_values", "load", lambda f, r: f.assign(load=np.nan)),
    "a frozen number": ("frozen", "temperature", lambda f, r: f.assign(temperature=f["temperature"].iloc[0])),
    "a frozen zero": ("frozen", "count", lambda f, r: f.assign(count=0.0)),
    "a frozen category": ("frozen", "protocol", lambda f, r: f.assign(protocol="udp")),
    "seconds to milliseconds": ("unit", "duration", scaled("duration", 1_000)),
    "milliseconds to seconds": ("unit", "duration", scaled("duration", 1 / 1_000)),
    "cents": ("unit", "price", scaled("price", 100)),
    "a decimal place": ("unit", "price", scaled("price", 10)),
    "seconds": ("unit", "gaps", scaled("gaps", 60)),
    "bytes": ("unit", "zeros", scaled("zeros", 1_024)),
    "hours": ("unit", "load", scaled("load", 1 / 3_600)),
    "counts in thousands": ("unit", "count", scaled("count", 1_000)),
    "the sign": ("unit", "duration", scaled("duration", -1)),
    "Fahrenheit": ("unit", "temperature", lambda f, r: f.assign(temperature=f["temperature"] * 1.8 + 32)),
    "Celsius": ("unit", "gaps", lambda f, r: f.assign(gaps=(f["gaps"] - 32) / 1.8)),
    "another unit in half the rows": ("unit", "duration", scaled("duration", 1_000, 0.5)),
    "another unit in a fifth of the rows": ("unit", "gaps", scaled("gaps", 1_000, 0.2)),
    "a smaller unit in a third of the rows": ("unit", "price", scaled("price", 1 / 100, 0.33)),
    "all rows twice": ("duplicates", "", twice),
    "a fifth of the rows twice": ("duplicates", "", partly_twice),
    "one row again and again": ("duplicates", "", stuck),
    "a clock that stands still": ("clock", "at", lambda f, r: f.assign(at=f["at"].iloc[0])),
    "a clock at zero": ("clock", "at", lambda f, r: f.assign(at=pd.Timestamp("1970-01-01") + (f["at"] - f["at"].min()))),
    "a clock far ahead": ("clock", "at", lambda f, r: f.assign(at=f["at"] + pd.Timedelta(days=40 * 365))),
}  # fmt: skip


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_from_drift(baseline: Baseline, fault: str, rows: int) -> None:
    kind, column, spoil = FAULTS[fault]
    right = 0
    for k in range(TRIES):
        rng = np.random.default_rng([7, rows, k])
        found = faults(baseline, spoil(draw(rows, rng), rng))
        right += any(f.kind == kind and (not column or f.features == (column,)) for f in found)
    assert right >= LEAST


def heavy(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    return frame.assign(load=rng.standard_t(1.5, len(frame)), duration=rng.lognormal(3, 2, len(frame)))


def season(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    warm = 10 * np.sin(np.linspace(0, 2 * np.pi, len(frame)))
    return frame.assign(temperature=frame["temperature"] + warm, load=frame["load"] + warm / 10)


def prior(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    chance = np.where((frame["protocol"] == "icmp") | (frame["load"] > 1), 1.0, 0.2)
    return frame.sample(len(frame), replace=False, weights=chance, random_state=rng).head(len(frame) // 2)


def scan(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Half of the rows are of a new sort that hardly varies."""
    new = rng.random(len(frame)) < 0.5
    short = {"duration": 0.01, "price": 1.0, "zeros": 0.0, "count": 1.0, "protocol": "tcp", "load": -2.5}
    return frame.assign(**{name: frame[name].mask(new, value) for name, value in short.items()})


DRIFTS: dict[str, Spoil] = {
    "none": lambda f, r: f,
    "a shift by 1 sd": lambda f, r: f.assign(load=f["load"] + 1, temperature=f["temperature"] - 6),
    "a shift by 1 sd of the size": lambda f, r: f.assign(duration=f["duration"] * np.e),
    "twice the scale": lambda f, r: f.assign(**{c: f[c] * 2 for c in ("load", "duration", "price", "gaps", "zeros")}),
    "three times the scale": lambda f, r: f.assign(**{c: f[c] * 3 for c in ("load", "duration", "price", "count")}),
    "a third of the scale": lambda f, r: f.assign(**{c: f[c] / 3 for c in ("load", "duration", "price", "zeros")}),
    "a new category": lambda f, r: f.assign(protocol=f["protocol"].mask(r.random(len(f)) < 0.3, "sctp")),
    "missing 30 %": lambda f, r: f.assign(load=f["load"].mask(r.random(len(f)) < 0.3)),
    "no zeros less": lambda f, r: f.assign(zeros=f["zeros"].mask(r.random(len(f)) < 0.5, 0.0)),
    "fewer zeros": lambda f, r: f.assign(zeros=f["zeros"].mask(f["zeros"] == 0, r.lognormal(2, 1, len(f)))),
    "another prior": prior,
    "heavy tails": heavy,
    "a season": season,
    "a scan": scan,
    "the next month": lambda f, r: f.assign(at=f["at"] + pd.Timedelta(days=120)),
}  # fmt: skip


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_no_fault(baseline: Baseline, drift: str, rows: int) -> None:
    wrong: list[tuple[Fault, ...]] = []
    for k in range(TRIES):
        rng = np.random.default_rng([8, rows, k])
        if found := faults(baseline, DRIFTS[drift](draw(rows, rng), rng)):
            wrong.append(found)
    assert len(wrong) <= TRIES - LEAST, wrong[:3]
