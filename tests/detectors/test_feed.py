"""Broken feed or drift: each kind of fault is told from drift, and no drift is called a fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from detectors import Baseline, Policy, check
from detectors.batch_profile import profile_batch
from detectors.feed import find_faults
from detectors.policy import FeaturePolicy
from detectors.profile import Profile
from detectors.psi import PSI
from detectors.report import DriftReport, Fault
from detectors.sample import RowSample

TRIES = 100
LEAST = 98  # of them that must be told right
SIZES = (200, 1_000)
Rng = np.random.Generator
Spoil = Callable[[pd.DataFrame, Rng], pd.DataFrame]


def draw(rows: int, rng: Rng, clock: bool = False) -> pd.DataFrame:
    """A table of several kinds of columns."""
    table = {
        "duration": rng.lognormal(3, 1, rows),
        "price": np.round(rng.gamma(3, 20, rows) + 1, 2),
        "temperature": rng.normal(15, 6, rows),
        "load": rng.normal(0, 1, rows),
        "zeros": np.where(rng.random(rows) < 0.6, 0.0, rng.lognormal(2, 1, rows)),
        "count": rng.poisson(6, rows).astype(float),
        "gaps": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(50, 5, rows)),
        "protocol": rng.choice(np.array(["tcp", "udp", "icmp"], dtype=object), rows, p=[0.6, 0.3, 0.1]),
    }
    if clock:
        hours = np.sort(rng.uniform(0, 24 * 90, rows))
        table |= {"at": np.datetime64("2025-01-01") + (3600 * hours).astype("m8[s]")}
    return pd.DataFrame(table)


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return Baseline.fit(draw(5_000, np.random.default_rng(1), clock=True), version="1")


def faults(baseline: Baseline, batch: pd.DataFrame) -> tuple[Fault, ...]:
    return find_faults(baseline, profile_batch(baseline, batch), Policy())


def quick_faults(baseline: Baseline, batch: pd.DataFrame) -> tuple[Fault, ...]:
    """The same for columns of the right type, without reading the frame as a stream."""
    columns = {name: batch[name].to_numpy() for name in baseline.features}
    numeric = {name: columns[name] for name in baseline.numeric}
    words = {name: columns[name] for name in baseline.categorical}
    keys = np.random.default_rng(0).permutation(len(batch)) / len(batch)
    order = np.argsort(keys)
    sample = RowSample(
        keys[order], {n: v[order] for n, v in numeric.items()}, {n: v[order] for n, v in words.items()}
    )
    parts = {name: part.summarize(columns[name]) for name, part in baseline.features.items()}
    return find_faults(baseline, Profile(len(batch), parts, sample=sample), Policy())


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


def several(*spoils: Spoil) -> Spoil:
    def spoil(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
        for one in spoils:
            frame = one(frame, rng)
        return frame

    return spoil


# Faults that do not touch each other share a batch; each of them has to be told.
FAULTS: dict[str, tuple[dict[str, str], Spoil]] = {
    "columns": (
        {"load": "missing_column", "protocol": "renamed_column", "price": "renamed_column"},
        lambda f, r: f.rename(columns={"protocol": "proto", "price": "Amount"}).drop(columns="load"),
    ),
    "types": (
        {"load": "wrong_type", "price": "wrong_type", "protocol": "wrong_type", "gaps": "no_values"},
        several(
            as_text("load", lambda v: "high" if v > 0 else "low"),
            as_text("price", lambda v: f"{v:.2f}".replace(".", ",")),
            lambda f, r: f.assign(gaps=np.nan, protocol=f["protocol"].map({"tcp": 6, "udp": 17, "icmp": 1})),
        ),
    ),
    "frozen": (
        {"temperature": "frozen", "protocol": "frozen"},
        lambda f, r: f.assign(temperature=f["temperature"].iloc[0], protocol="udp"),
    ),
    "frozen at zero": ({"count": "frozen"}, lambda f, r: f.assign(count=0.0)),
    "larger numbers": (
        dict.fromkeys(("duration", "price", "temperature", "count", "zeros", "gaps"), "unit"),
        several(
            scaled("duration", 1_000), scaled("price", 100), scaled("count", 1_000), scaled("zeros", 1_024),
            scaled("gaps", 60), lambda f, r: f.assign(temperature=f["temperature"] * 1.8 + 32),
        ),
    ),
    "smaller numbers": (
        dict.fromkeys(("duration", "price", "load", "zeros", "gaps"), "unit"),
        several(
            scaled("duration", 1 / 1_000), scaled("price", 1 / 100), scaled("load", 1 / 3_600),
            scaled("zeros", 1 / 60), lambda f, r: f.assign(gaps=(f["gaps"] - 32) / 1.8),
        ),
    ),
    "ten times, and the sign": (
        dict.fromkeys(("price", "duration"), "unit"), several(scaled("price", 10), scaled("duration", -1))
    ),
    "another unit in some rows": (
        dict.fromkeys(("duration", "gaps", "price"), "unit"),
        several(scaled("duration", 1_000, 0.5), scaled("gaps", 1_000, 0.2), scaled("price", 1 / 100, 0.33)),
    ),
    "half of the rows twice": ({"": "duplicates"}, twice),
    "a fifth of the rows twice": ({"": "duplicates"}, partly_twice),
    "one row again and again": ({"": "duplicates"}, stuck),
}  # fmt: skip


def kinds(found: tuple[Fault, ...]) -> set[tuple[str, str]]:
    return {(name, fault.kind) for fault in found for name in fault.features or ("",)}


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_from_drift(baseline: Baseline, fault: str, rows: int) -> None:
    expected, spoil = FAULTS[fault]
    told = dict.fromkeys(expected.items(), 0)
    others = 0
    for k in range(TRIES):
        rng = np.random.default_rng([7, rows, k])
        find = faults if fault in ("columns", "types") else quick_faults
        found = kinds(find(baseline, spoil(draw(rows, rng), rng)))
        for each in told:
            told[each] += each in found
        others += bool({name for name, _ in found} - set(expected))
    assert min(told.values()) >= LEAST, told
    assert others <= TRIES - LEAST


CLOCKS: dict[str, Spoil] = {
    "stands still": lambda f, r: f.assign(at=f["at"].iloc[0]),
    "begins at zero": lambda f, r: f.assign(at=np.datetime64(0, "s") + (f["at"] - f["at"].min())),
    "is far ahead in some rows": lambda f, r: f.assign(
        at=f["at"].mask(r.random(len(f)) < 0.1, f["at"] + pd.Timedelta(days=40 * 365))
    ),
}


@pytest.mark.parametrize("trouble", CLOCKS)
def test_trouble_with_the_clock_is_told(baseline: Baseline, trouble: str) -> None:
    for k in range(20):
        rng = np.random.default_rng([9, k])
        frame = draw(200, rng, clock=True)
        assert kinds(faults(baseline, CLOCKS[trouble](frame, rng))) == {("at", "clock")}
        assert not faults(baseline, frame.assign(at=frame["at"] + pd.Timedelta(days=200)))


def heavy(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    return frame.assign(load=rng.standard_t(1.5, len(frame)), duration=rng.lognormal(3, 2, len(frame)))


def season(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    warm = 10 * np.sin(np.linspace(0, 2 * np.pi, len(frame)))
    return frame.assign(temperature=frame["temperature"] + warm, load=frame["load"] + warm / 10)


def prior(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    chance = np.where((frame["protocol"] == "icmp") | (frame["load"] > 1), 1.0, 0.2)
    return frame[rng.random(len(frame)) < chance]


def scan(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Half of the rows are of a new sort that hardly varies."""
    new = rng.random(len(frame)) < 0.5
    short = {"duration": 0.01, "price": 1.0, "zeros": 0.0, "count": 1.0, "protocol": "tcp", "load": -2.5}
    return frame.assign(**{name: frame[name].mask(new, value) for name, value in short.items()})


DRIFTS: dict[str, Spoil] = {
    "none": lambda f, r: f,
    "a shift by 1 sd": lambda f, r: f.assign(
        load=f["load"] + 1, temperature=f["temperature"] - 6, gaps=f["gaps"] + 5, duration=f["duration"] * np.e
    ),
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
}  # fmt: skip


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_no_fault(baseline: Baseline, drift: str, rows: int) -> None:
    wrong: list[tuple[Fault, ...]] = []
    for k in range(TRIES):
        rng = np.random.default_rng([8, rows, k])
        if found := quick_faults(baseline, DRIFTS[drift](draw(rows, rng), rng)):
            wrong.append(found)
    assert len(wrong) <= TRIES - LEAST, wrong[:3]


def test_a_broken_feed_names_columns_and_cause_and_survives_the_store(baseline: Baseline) -> None:
    rng = np.random.default_rng(5)
    batch = scaled("duration", 1_000)(draw(500, rng), rng)
    report = check(baseline, batch, detectors=(PSI(),))
    said = '"duration": values are 1,000 times what they were: seconds → milliseconds?'
    assert (report.verdict, report.recommendation, report.errors) == ("broken_feed", "investigate", (said,))
    assert DriftReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    old = report.to_dict()
    del old["faults"]
    assert DriftReport.from_dict(old).faults == ()


def test_what_the_baseline_knows_of_clocks_and_copies_is_saved(baseline: Baseline, tmp_path: Path) -> None:
    baseline.save(tmp_path / "b.npz")
    loaded = Baseline.load(tmp_path / "b.npz")
    assert (loaded.clocks, loaded.twins) == (baseline.clocks, baseline.twins) != ({}, None)
    older = replace(baseline, clocks={}, twins=None)
    rng = np.random.default_rng(6)
    assert faults(older, twice(draw(400, rng, clock=True), rng)) == ()


def test_an_ignored_feature_is_left_alone(baseline: Baseline) -> None:
    rng = np.random.default_rng(7)
    batch = scaled("duration", 1_000)(draw(500, rng), rng)
    policy = Policy(features={"duration": FeaturePolicy(ignore=True)})
    assert find_faults(baseline, profile_batch(baseline, batch), policy) == ()


def test_copies_are_found_in_a_sample_of_a_large_batch(baseline: Baseline) -> None:
    rng = np.random.default_rng(8)
    (fault,) = faults(baseline, twice(draw(60_000, rng), rng))
    assert fault.kind == "duplicates"
    assert fault.share > 0.8


@pytest.mark.parametrize("share", [1.0, 0.06])
@pytest.mark.parametrize("column", ["duration", "price", "zeros"])
def test_another_unit_is_found_in_a_large_batch_beside_columns_that_lie_still(
    column: str, share: float
) -> None:
    """In a large batch chance moves a column by less than any change of unit, which is passed over."""
    rng = np.random.default_rng(7)
    reference, batch = draw(200_000, rng), draw(100_000, rng)
    for frame in (reference, batch):  # mostly zeros
        frame["zeros"] = np.where(rng.random(len(frame)) < 0.9, 0.0, rng.lognormal(2, 1, len(frame)))
    large = Baseline.fit(reference, version="1")
    assert not faults(large, batch)
    assert kinds(faults(large, scaled(column, 1_000, share)(batch, rng))) == {(column, "unit")}
