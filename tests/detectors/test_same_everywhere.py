"""A file never drifts from itself: training, baseline and check read every column alike, whatever is in it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from detectors import Baseline, DataError, check
from detectors.policy import Policy
from detectors.source import read_frame

ROWS = 600
VOCABULARIES = {
    "times of day": ["12:15", "08:30", "17:45"],
    "hexadecimal": ["0x1F", "0x2A", "0xFF"],
    "prices": ["1.10", "1.20", "2.50"],
    "postcodes": ["01234", "20095", "80331"],
    "long numbers": ["4000000000000001", "4000000000000002"],
    "signs": ["+1", "-1", "+2"],
    "truth": ["True", "False"],
    "words": ["tcp", "udp", "a b"],
}


def written(folder: Path, name: str, words: list[str], seed: int) -> Path:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"v": rng.choice(words, ROWS), "x": rng.normal(size=ROWS).round(3)})
    path = folder / f"{name}.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("forced", [False, True], ids=["as found", "forced"])
@pytest.mark.parametrize("words", VOCABULARIES.values(), ids=VOCABULARIES)
def test_a_file_does_not_drift_from_itself(tmp_path: Path, words: list[str], forced: bool) -> None:
    path = written(tmp_path, "base", words, 1)
    categorical = ("v",) if forced else ()
    for source in (path, read_frame(path, categorical=categorical)):
        baseline = Baseline.fit(source, categorical=categorical)
        for batch in (path, source):
            report = check(baseline, batch)
            assert (report.verdict, report.errors) == ("stable", ())
            assert {f.statistic for f in report.features} == {0.0}


def test_the_precision_of_a_column_is_no_drift(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"v": rng.choice([0.1, 0.3, 0.7], ROWS)})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.astype("float32").to_parquet(tmp_path / "a.parquet")
    sources = [tmp_path / "a.csv", tmp_path / "a.parquet", frame.astype("float32"), frame]
    for reference in sources:
        for batch in sources:
            assert check(Baseline.fit(reference), batch).overall_psi == 0.0


PARQUET = {
    "durations": pa.array([timedelta(microseconds=n) for n in (1, 1_000_000, 2_500_000)], pa.duration("us")),
    "nanosecond durations": pa.array([1, 1_000_000_001, 7], pa.duration("ns")),
    "nanosecond times": pa.array([1, 1_000_000_001, 7], pa.time64("ns")),
    "lists": pa.array([[1, 2], [3], []]),
    "structs": pa.array([{"a": 1}, {"a": 2}, None]),
    "fixed bytes": pa.array([b"ab", b"cd", None], pa.binary(2)),
    "bytes": pa.array([b"ab", b"\x96", None]),
    "decimals": pa.array([Decimal("1.10"), Decimal("2.50"), None]),
    "large integers": pa.array([4000000000000001, 4000000000000003, None]),
    "dates": pa.array([date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]),
    "times": pa.array([datetime(2026, 1, 1, 8, n) for n in range(3)]),
    "dictionary": pa.array(["a", "b", "a"]).dictionary_encode(),
    "float32": pa.array([0.1, 0.7, 0.3], pa.float32()),
    "nothing": pa.nulls(3),
    "truth": pa.array([True, False, None]),
}


@pytest.mark.parametrize("forced", [False, True], ids=["as found", "forced"])
@pytest.mark.parametrize("values", PARQUET.values(), ids=PARQUET)
def test_a_parquet_file_does_not_drift_from_itself(tmp_path: Path, values: pa.Array, forced: bool) -> None:
    path = tmp_path / "base.parquet"
    index = np.random.default_rng(1).integers(0, len(values), ROWS)
    number = pa.array(np.arange(ROWS) % 7)
    parquet.write_table(pa.table({"v": values.take(pa.array(index)), "x": number}), path)
    baseline = Baseline.fit(path, categorical=("v",) if forced else ())
    for batch in (path, read_frame(path)):
        report = check(baseline, batch)
        assert (report.verdict, report.errors) == ("stable", ())
        assert {f.statistic for f in report.features} == {0.0}


def test_a_duration_is_a_number_of_seconds(tmp_path: Path) -> None:
    values = pa.array([timedelta(seconds=1.5)] * 50 + [None] * 50, pa.duration("ms"))
    parquet.write_table(pa.table({"v": values}), tmp_path / "d.parquet")
    for source in (
        tmp_path / "d.parquet",
        read_frame(tmp_path / "d.parquet"),
        pd.DataFrame({"v": pd.to_timedelta([1.5, None], "s")}),
    ):
        part = Baseline.fit(source).features["v"]
        assert (part.kind, part.minimum, part.maximum, part.missing * 2) == ("numeric", 1.5, 1.5, part.rows)


@pytest.mark.parametrize("column", ["first", "middle", "last"])
def test_a_stray_quote_is_said_and_never_swallows_rows(tmp_path: Path, column: str) -> None:
    cells = {"first": '"1,2,3', "middle": '1,"2,3', "last": '1,2,"3'}
    lines = ["a,b,c", *["1,2,3"] * 60_000, cells[column], *["1,2,3"] * 300_000]
    path = tmp_path / "quote.csv"
    path.write_text("\n".join(lines) + "\n")
    baseline = Baseline.fit(pd.DataFrame({"a": [1.0, 2], "b": [2.0, 3], "c": [3.0, 4]}))
    for use in (lambda: check(baseline, path), lambda: read_frame(path)):
        with pytest.raises(DataError) as caught:
            use()
        assert caught.value.kind in ("truncated", "unreadable", "malformed")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(60, 60, 40), (200, 2000, 300), (2000, 2000, 1000)]))
def test_many_categories_do_not_cry_wolf_on_a_small_reference(seed: int, sizes: tuple[int, int, int]) -> None:
    # Honest p-values make an alarm at 0.008 rare; 60 examples at 100 % as before would fail at once.
    m, n, categories = sizes
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, categories + 1)
    words = np.array([f"c{i}" for i in range(categories)], dtype=object)

    def draw(rows: int) -> pd.DataFrame:
        return pd.DataFrame({"v": rng.choice(words, rows, p=weights / weights.sum())})

    alarms = sum(
        check(Baseline.fit(draw(m), categorical=["v"]), draw(n), policy=Policy(alpha=0.0005)).verdict
        == "drift"
        for _ in range(2)
    )
    assert alarms < 2


def test_one_row_of_the_wrong_type_is_chance_where_the_reference_has_some(tmp_path: Path) -> None:
    values = ["x"] * 50 + [str(i) for i in range(950)]
    baseline = Baseline.fit(pd.DataFrame({"v": values}))
    assert check(baseline, pd.DataFrame({"v": ["x"]})).verdict == "insufficient_data"
    assert check(baseline, pd.DataFrame({"v": ["x"] * 300})).verdict == "broken_feed"
