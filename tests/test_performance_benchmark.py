"""The performance benchmark itself, at toy sizes: that it runs from end to end and says what it found. No timing."""

from __future__ import annotations

import sys

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.performance import command, sections
from tests.benchmarks.performance.bench import TINY, Bench
from tests.benchmarks.performance.data import COLUMNS, LABEL, write_csv, write_parquet
from tests.benchmarks.performance.measuring import Failed, cores, in_turns, run
from tests.benchmarks.performance.peers import Peer
from tests.benchmarks.performance.sections import SECTIONS
from tests.benchmarks.performance.table import Line, Target, at_least, at_most, markdown


@pytest.mark.timeout(900)  # some twenty processes, one after the other
def test_every_section_runs_and_says_what_it_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.benchmarks.quality.environments.ENVIRONMENTS", tmp_path / "none")
    monkeypatch.setattr(sections, "PEERS", (*sections.PEERS, Peer("some monitor", "that_is_not.py")))
    found, failed = command.measure(Bench(TINY, tmp_path, told=lambda _: None), list(SECTIONS))
    assert failed == []
    assert set(found) == set(SECTIONS) and all(found.values())
    targets = [row for rows in found.values() for row in rows if isinstance(row, Target)]
    unmeasured = {target.who for target in targets if target.met is None}
    assert unmeasured == {"Evidently 0.7.23, PSI report"}  # the classic workflow runs in our environment
    lengths = [row.cells["rows"] for row in found["rows"] if isinstance(row, Line)]
    assert lengths == list(TINY.lengths)
    text = markdown(found, "some machine")
    assert "| Evidently 0.7.23, PSI report | not installed | – | – | – | 0 |" in text
    assert "| some monitor | " in text and "that_is_not.py" in text  # what others cannot do fails nothing
    assert text.count("| ≤ 300 MB |") == 2 and "### training" in text


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


def test_what_fails_is_named_and_the_other_sections_go_on(tmp_path, monkeypatch):
    def broken(bench):
        yield Line({"what": "before"})
        run([sys.executable, "-c", "raise SystemExit('no room left')"], cpus=())

    def fine(bench):
        yield at_most("a", "b", 1.5, 1.0, "×")

    monkeypatch.setitem(SECTIONS, "broken", broken)
    monkeypatch.setitem(SECTIONS, "fine", fine)
    found, [said] = command.measure(Bench(TINY, tmp_path, told=lambda _: None), ["broken", "fine"])
    assert said.startswith("Section broken failed: ") and said.endswith("no room left")
    assert found == {"broken": [Line({"what": "before"})], "fine": [Target("a", "b", "≤ 1.5 ×", "1 ×", True)]}
    with pytest.raises(Failed, match="no room left"):
        list(broken(None))


def test_the_command_writes_its_tables_to_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(SECTIONS, "small", lambda bench: iter([at_least("us", "speed", 2, 1.0, "×")]))
    assert command.main(["--only", "small", "--out", str(tmp_path / "p.md")]) == 0
    text = (tmp_path / "p.md").read_text()
    assert "| us | speed | ≥ 2 × | 1 × | no |" in text and text in capsys.readouterr().out
    assert '"met": false' in (tmp_path / "p.json").read_text()


def test_things_are_run_in_turns():
    order = []
    found = in_turns({name: lambda name=name: order.append(name) or len(order) for name in "ab"}, 3)
    assert "".join(order) == "ababab" and found == {"a": [1, 3, 5], "b": [2, 4, 6]}
