"""The performance benchmark itself: that its tables are what they should be, and that it measures what it says."""

from __future__ import annotations

import sys

import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from tests.benchmarks.performance.data import COLUMNS, LABEL, write_csv, write_parquet
from tests.benchmarks.performance.measuring import cores, in_turns, run


def test_the_same_seed_gives_the_same_table_and_both_formats_hold_it(tmp_path):
    write_csv(tmp_path / "a.csv", 60_000, 14, 1)  # more than one block
    write_csv(tmp_path / "b.csv", 60_000, 14, 1)
    write_csv(tmp_path / "other.csv", 60_000, 14, 2)
    write_parquet(tmp_path / "a.parquet", 60_000, 14, 1)
    text = (tmp_path / "a.csv").read_bytes()
    assert text == (tmp_path / "b.csv").read_bytes() != (tmp_path / "other.csv").read_bytes()
    assert b'"' not in text
    table = pq.read_table(tmp_path / "a.parquet")
    assert pacsv.read_csv(tmp_path / "a.csv").cast(table.schema) == table
    assert table.num_rows == 60_000 and len(set(table.column_names) - {LABEL}) == 14


def test_a_row_is_about_as_long_as_one_of_the_original(tmp_path):
    write_csv(tmp_path / "a.csv", 2_000, COLUMNS, 1)
    lines = (tmp_path / "a.csv").read_text().splitlines()[1:]
    assert 300 < sum(map(len, lines)) / len(lines) < 380  # 75 MB on 225,745 rows are 332


def test_the_peak_of_a_process_is_its_own_and_not_that_of_the_runner():
    ballast = b"x" * 100_000_000
    small = run([sys.executable, "-I", "-S", "-c", "pass"], cpus=())
    large = run([sys.executable, "-I", "-S", "-c", "b'x' * 200_000_000"], cpus=cores(1))
    assert small.peak_mb < 50 < len(ballast) / 1e6
    assert 200 < large.peak_mb < 250


def test_things_are_run_in_turns():
    order = []
    found = in_turns({name: lambda name=name: order.append(name) or len(order) for name in "ab"}, 3)
    assert "".join(order) == "ababab" and found == {"a": [1, 3, 5], "b": [2, 4, 6]}
