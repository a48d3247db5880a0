"""Every kind of bad file, through `check` and through the inbox: the outcome is stated, the next file is checked.

Each kind is made from the same stable batch, so whatever is remarked is due to what was done to it.
"""

from __future__ import annotations

import gzip
import io
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from bot.demo.traffic import IDENTIFIERS

STABLE, BROKEN = "stable", "broken feed"


@dataclass(frozen=True)
class Bad:
    """One kind of bad file.

    Attributes:
        make: writes it at the path, from the text of the stable batch.
        ends: the verdict, or empty where the file cannot be used.
        said: what a person reads.
        name: its file name.
    """

    make: Callable[[Path, str], object]
    ends: str
    said: str = ""
    name: str = "bad.csv"


def header(change: Callable[[list[str]], list[str]]) -> Callable[[Path, str], object]:
    def make(path: Path, text: str) -> None:
        first, rest = text.split("\n", 1)
        path.write_text(",".join(change(first.split(","))) + "\n" + rest, encoding="utf-8")

    return make


def cells(column: str, value: object, every: int = 1) -> Callable[[Path, str], object]:
    """The value in each n-th row of a column."""

    def make(path: Path, text: str) -> None:
        frame = table(text)
        frame[column] = [value if i % every == 0 else old for i, old in enumerate(frame[column])]
        frame.to_csv(path, index=False)

    return make


def table(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), dtype=str)


def with_label(name: bytes) -> Callable[[Path, str], object]:
    def make(path: Path, text: str) -> None:
        first, *rows = text.encode().splitlines()
        path.write_bytes(b"\n".join([first + b",Label", *(row + b"," + name for row in rows)]) + b"\n")

    return make


def twice(path: Path, text: str) -> None:
    """The first feature once more at the end, under the same name."""
    frame = table(text)
    pd.concat([frame, frame[["Flow Duration"]]], axis=1).to_csv(path, index=False)


def truncated_gz(path: Path, text: str) -> None:
    whole = gzip.compress(text.encode())
    path.write_bytes(whole[: len(whole) // 2])


def parquet(path: Path, text: str, cut: int = 0) -> None:
    pd.read_csv(io.StringIO(text)).to_parquet(path)
    if cut:
        path.write_bytes(path.read_bytes()[:-cut])


def uneven(path: Path, text: str) -> None:
    """One row in three has two cells more."""
    first, *rows = text.splitlines()
    path.write_text("\n".join([first, *(f"{r},1,2" if i % 3 == 0 else r for i, r in enumerate(rows))]) + "\n")


KINDS = {
    "repeated column": Bad(twice, STABLE, 'column "Flow Duration" occurs more than once'),
    "Infinity": Bad(cells("Flow Bytes/s", "Infinity", 400), STABLE),
    "NaN": Bad(cells("Flow Bytes/s", "NaN", 400), STABLE),
    "empty cells": Bad(cells("Flow Bytes/s", "", 400), STABLE),
    "mixed types, a few": Bad(cells("Flow Duration", "n.d.", 400), STABLE),
    "mixed types, most": Bad(cells("Flow Duration", "soon"), BROKEN, "100 % of the cells are not numbers"),
    "a byte that is not UTF-8": Bad(with_label(b"Web Attack \x96 XSS"), STABLE),
    "byte order mark": Bad(lambda p, t: p.write_text("\ufeff" + t, encoding="utf-8"), STABLE),
    "padded header names": Bad(header(lambda names: [f"  {n} " for n in names]), STABLE),
    "missing column": Bad(
        lambda p, t: table(t).drop(columns="Flow Duration").to_csv(p, index=False),
        BROKEN,
        '1 feature column is missing: "Flow Duration"',
    ),
    "extra column": Bad(
        lambda p, t: table(t).assign(extra=1).to_csv(p, index=False),
        STABLE,
        '1 column that the baseline does not know was ignored: "extra"',
    ),
    "all values missing": Bad(cells("Flow Duration", ""), BROKEN, '"Flow Duration": no values at all'),
    "semicolons": Bad(lambda p, t: p.write_text(t.replace(",", ";")), STABLE),
    "carriage returns": Bad(lambda p, t: p.write_bytes(t.replace("\n", "\r\n").encode()), STABLE),
    "one row": Bad(
        lambda p, t: p.write_text("\n".join(t.splitlines()[:2]) + "\n"),
        "insufficient data",
        "rows would be enough",
    ),
    "no line break at the end": Bad(lambda p, t: p.write_text(t.rstrip("\n")), STABLE),
    "empty": Bad(lambda p, t: p.write_bytes(b""), "", "is empty (0 bytes)"),
    "blank lines only": Bad(lambda p, t: p.write_text("\n \n"), "", "holds only blanks"),
    "header without rows": Bad(
        lambda p, t: p.write_text(t.split("\n", 1)[0] + "\n"), "", "has a header but no rows"
    ),
    "truncated last line": Bad(lambda p, t: p.write_text(t[: t.rstrip().rfind(",")]), "", "is cut off"),
    "truncated gz": Bad(truncated_gz, "", "is damaged or cut off", "bad.csv.gz"),
    "a picture": Bad(lambda p, t: p.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "", "not a CSV"),
    "a letter": Bad(
        lambda p, t: p.write_text("Dear all,\nthe export failed.\n"), "", "has none of the 27 features"
    ),
    "rows of uneven length": Bad(uneven, "", "400 of 1,200 rows do not have 32 cells"),
    "no header": Bad(lambda p, t: p.write_text(t.split("\n", 1)[1]), "", "has none of the 27 features"),
    "parquet": Bad(parquet, STABLE, name="good.parquet"),
    "parquet with a damaged footer": Bad(
        lambda p, t: parquet(p, t, cut=9), "", "damaged or cut off Parquet file", "bad.parquet"
    ),
    "parquet in name only": Bad(lambda p, t: p.write_text(t), "", "is no Parquet file", "bad.parquet"),
}


@pytest.fixture
def text(traffic) -> str:
    return traffic.stable.read_text(encoding="utf-8")


@pytest.mark.parametrize("bad", KINDS.values(), ids=list(KINDS))
def test_check_states_the_outcome(watched, run, text, tmp_path, bad: Bad) -> None:
    path = tmp_path / bad.name
    bad.make(path, text)
    done = run(watched.folder, "check", path)
    if not bad.ends:
        assert (done.code, done.out) == (2, "")
        (line,) = done.err.splitlines()
        assert line.startswith(f"error: {path}")
        assert bad.said in line
        batch = watched.app.store.last_batch("netflow")
        assert batch is not None
        assert (batch.state, bad.said in str(batch.error)) == ("failed", True)
        return
    assert done.code == (1 if bad.ends == BROKEN else 0), done
    assert done.out.startswith(f"netflow: {bad.ends}  (recommendation: ")
    assert bad.said in done.out
    assert done.err == ""
    if not bad.said:
        assert "note:" not in done.out, "read as it was meant, nothing to remark"


@pytest.mark.parametrize("bad", KINDS.values(), ids=list(KINDS))
def test_the_inbox_states_the_outcome_once_and_checks_the_next_file(watched, traffic, text, bad: Bad) -> None:
    path = watched.model.inbox / bad.name
    bad.make(path, text)
    os.utime(path, (1_700_000_000, 1_700_000_000))  # older than the good one: it comes first
    watched.drop(traffic.drifted, "next.csv")
    inbox = watched.inbox()

    batches = {Path(b.path).name: b for b in watched.app.monitoring.scan(watched.model, inbox)}
    assert batches.keys() == {bad.name, "next.csv"}
    assert batches["next.csv"].verdict == "drift"
    said = watched.said()
    told = [payload for kind, payload in said if kind in ("failed_batches", "broken_feed")]
    outcome = batches[bad.name]
    if not bad.ends:
        assert (outcome.state, bad.said in str(outcome.error)) == ("failed", True)
        assert told == [{"batch_ids": [outcome.id]}]
    else:
        assert outcome.verdict == bad.ends.replace(" ", "_")
        assert told == ([{"batch_id": outcome.id}] if bad.ends == BROKEN else [])
    assert "incident" in [kind for kind, _ in said], "the next file alerts"

    assert watched.app.monitoring.scan(watched.model, inbox) == []
    assert watched.app.monitoring.scan(watched.model, watched.inbox()) == [], "nor after a restart"
    assert watched.said() == []


def test_all_bad_files_at_once_cost_one_message(watched, traffic, text) -> None:
    bad = {name: kind for name, kind in KINDS.items() if not kind.ends}
    for i, kind in enumerate(bad.values()):
        kind.make(watched.model.inbox / f"{i}_{kind.name}", text)
    watched.drop(traffic.drifted, "z.csv")
    batches = watched.app.monitoring.scan(watched.model, watched.inbox())
    assert [b.state for b in batches] == ["checked"] + ["failed"] * len(bad)
    assert [kind for kind, _ in watched.said()].count("failed_batches") == 1
    assert watched.app.store.counters("netflow")["failed"] == len(bad)


def test_a_folder_that_is_called_like_a_file_is_no_batch(watched, traffic, run) -> None:
    (watched.model.inbox / "x.csv").mkdir()
    watched.drop(traffic.stable, "next.csv")
    (only,) = watched.app.monitoring.scan(watched.model, watched.inbox())
    assert Path(only.path).name == "next.csv"
    done = run(watched.folder, "check", watched.model.inbox / "x.csv")
    assert (done.code, done.out) == (2, "")
    assert "is a folder without data files" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(watched, traffic, run) -> None:
    path = watched.drop(traffic.stable, "secret.csv")
    path.chmod(0)
    assert_unreadable(watched, traffic, run, path, "Permission denied")


def test_a_file_whose_disk_fails(watched, traffic, run) -> None:
    path = watched.model.inbox / "sick.csv"
    path.symlink_to("/proc/self/mem")  # a regular file whose first byte cannot be read: EIO
    if not path.is_file():
        pytest.skip("there is no /proc here")
    assert_unreadable(watched, traffic, run, path, "Input/output error")


def assert_unreadable(watched, traffic, run, path: Path, reason: str) -> None:
    done = run(watched.folder, "check", path)
    assert (done.code, done.out) == (2, "")
    assert reason in done.err
    watched.drop(traffic.drifted, "next.csv")
    inbox = watched.inbox()
    batches = {Path(b.path).name: b for b in watched.app.monitoring.scan(watched.model, inbox)}
    assert batches["next.csv"].verdict == "drift"
    assert (batches[path.name].state, batches[path.name].error_kind) == ("failed", "unreadable")
    assert reason in str(batches[path.name].error)
    assert "failed_batches" in [kind for kind, _ in watched.said()]
    assert watched.app.monitoring.scan(watched.model, inbox) == []
    assert watched.said() == []


def test_identifiers_and_the_label_are_not_remarked(watched, run, text, tmp_path) -> None:
    """What the configuration calls no feature may be in a batch or not."""
    path = tmp_path / "without.csv"
    table(text).drop(columns=list(IDENTIFIERS)).to_csv(path, index=False)
    done = run(watched.folder, "check", path)
    assert done.code == 0
    assert "note:" not in done.out


def test_the_same_bad_bytes_under_a_new_name_are_looked_at_again(watch, traffic) -> None:
    """An ending that was wrong is mended by renaming; an export that is empty every day is told every day."""
    watched = watch('alert_cooldown = "0s"')  # the days pass quickly here
    inbox = watched.inbox()
    wrong = watched.drop(traffic.stable, "monday.parquet")
    (failed,) = watched.app.monitoring.scan(watched.model, inbox)
    assert failed.state == "failed"
    time.sleep(0.05)
    wrong.rename(wrong.with_suffix(".csv"))
    (checked,) = watched.app.monitoring.scan(watched.model, inbox)
    assert (checked.verdict, Path(checked.path).name) == ("stable", "monday.csv")

    for day in ("tuesday", "wednesday"):
        time.sleep(0.05)  # a file system's clock may be a tick behind
        (watched.model.inbox / f"{day}.csv").touch()
        (empty,) = watched.app.monitoring.scan(watched.model, inbox)
        assert Path(empty.path).name == f"{day}.csv"
    assert [kind for kind, _ in watched.said()] == ["failed_batches"] * 3
    watched.app.monitoring.scan(watched.model, watched.inbox())  # after a restart
    assert watched.said() == []
