"""Which files of an inbox are finished: real files, written slowly, moved in whole, replaced."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from bot import inbox as inbox_module
from bot.config import load
from bot.inbox import Inbox, InboxFile, Unreadable
from bot.listing import candidates, inbox_exists
from detectors.digest import sha256_file
from detectors.errors import DataError
from state.records import StateError
from state.store import Store
from tests.bot.conftest import deal


def names(found: list[InboxFile | Unreadable]) -> list[str]:
    return [f.path.name for f in found if isinstance(f, InboxFile)]


def old(path: Path, text: str = "a\n1\n", age: float = 60) -> Path:
    path.write_text(text)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_only_data_files_count_and_the_oldest_comes_first(tmp_path: Path) -> None:
    for age, name in enumerate(
        ["c.csv", "b.csv.gz", "a.parquet", "notes.txt", ".hidden.csv", "~lock.csv", "x.part"]
    ):
        old(tmp_path / name, age=100 - age)
    (tmp_path / "folder.csv").mkdir()
    assert [p.name for p in candidates(tmp_path)] == ["c.csv", "b.csv.gz", "a.parquet"]


def test_an_inbox_may_be_a_glob_and_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    old(tmp_path / "x" / "batch_1.csv")
    old(tmp_path / "x" / "other.csv")
    assert [p.name for p in candidates(tmp_path / "*" / "batch_*.csv")] == ["batch_1.csv"]
    assert candidates(tmp_path / "nowhere") == []


def test_a_file_that_still_grows_is_left_for_the_next_scan(tmp_path: Path) -> None:
    growing = tmp_path / "growing.csv"
    growing.write_text("a\n1\n")

    def somebody_writes(seconds: float) -> None:
        with growing.open("a") as file:
            file.write("2\n")

    inbox = Inbox(tmp_path, settle=5, sleep=somebody_writes)
    assert list(inbox.finished()) == []
    inbox.sleep = lambda seconds: None
    assert names(list(inbox.finished())) == ["growing.csv"]


def test_a_file_moved_in_whole_is_taken_without_waiting(tmp_path: Path) -> None:
    def must_not_wait(seconds: float) -> None:
        raise AssertionError("waited for a finished file")

    old(tmp_path / ".batch.part").rename(tmp_path / "batch.csv")
    assert names(list(Inbox(tmp_path, sleep=must_not_wait).finished())) == ["batch.csv"]


def test_a_file_is_offered_until_it_is_done_and_again_when_its_bytes_change(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, settle=0)
    path = old(tmp_path / "batch.csv")
    first = list(inbox.finished())
    assert names(first) == names(list(inbox.finished())) == ["batch.csv"]
    assert isinstance(first[0], InboxFile)
    inbox.done(first[0])
    assert list(inbox.finished()) == []
    old(path, "a\n1\n2\n", age=30)
    assert names(list(inbox.finished())) == ["batch.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_reported_once(tmp_path: Path) -> None:
    path = old(tmp_path / "secret.csv")
    path.chmod(0)
    inbox = Inbox(tmp_path)
    (found,) = list(inbox.finished())
    assert isinstance(found, Unreadable)
    assert "Permission denied" in found.reason
    assert list(inbox.finished()) == []


@pytest.mark.parametrize("name", ["pro[d]", "what?", "a*b"])
def test_a_folder_with_wildcards_in_its_name_is_a_folder(tmp_path: Path, name: str) -> None:
    base = tmp_path / name
    (base / "inbox").mkdir(parents=True)
    (base / "inbox" / "a.csv").write_text("x\n1\n")
    (base / "driftcatcher.toml").write_text(
        "".join(
            f'[[models]]\nname = "m{n}"\ninbox = "{where}"\nlabel = {{ column = "y", negative = ["0"] }}\n'
            for n, where in enumerate(["inbox", "inbox/*.csv", "inb?x"])
        )
    )
    models = load(base / "driftcatcher.toml").models
    assert [[p.name for p in candidates(m.inbox)] for m in models] == [["a.csv"], ["a.csv"], []]
    assert [inbox_exists(m.inbox) for m in models] == [True, True, True]


def folder(path: Path, parts: int = 2, age: float = 60) -> Path:
    path.mkdir()
    for i in range(parts):
        old(path / f"part-{i}.csv", age=age)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_folder_of_parts_is_one_batch_by_its_name_or_by_success(tmp_path: Path) -> None:
    folder(tmp_path / "named.parquet", age=90)
    (folder(tmp_path / "marked") / "_SUCCESS").touch()
    folder(tmp_path / "folder.csv")
    assert [p.name for p in candidates(tmp_path)] == ["named.parquet", "marked"]
    assert [p.name for p in candidates(tmp_path / "*.parquet")] == ["named.parquet"]
    assert [p.name for p in candidates(tmp_path / "**" / "*")] == [
        "named.parquet",
        "part-0.csv",
        "part-1.csv",
        "marked",
    ]
    assert names(list(Inbox(tmp_path, settle=0).finished())) == ["named.parquet", "marked"]


def test_a_folder_that_cannot_be_the_batch_it_says_it_is_is_told_of(tmp_path: Path) -> None:
    folder(tmp_path / "empty.parquet", parts=0)
    hive = folder(tmp_path / "hive.parquet", parts=0, age=90) / "day=1"
    hive.mkdir()
    old(hive / "part-0.csv")
    inbox = Inbox(tmp_path, settle=0)
    found = {file.path.name: file for file in inbox.finished()}
    assert isinstance(found["empty.parquet"], Unreadable)
    assert "without data files" in found["empty.parquet"].reason
    assert "folders of its own" in found["hive.parquet"].reason
    assert list(inbox.finished()) == []


def test_a_folder_that_may_not_be_entered_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old(tmp_path / "a.csv")
    (tmp_path / "lost+found").mkdir()
    exists = Path.exists

    def refused(path: Path, **how: bool) -> bool:
        if path.parent.name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path, **how)

    monkeypatch.setattr(Path, "exists", refused)
    assert [p.name for p in candidates(tmp_path)] == ["a.csv"]


def test_a_folder_that_spark_writes_or_that_still_grows_is_left_for_the_next_scan(tmp_path: Path) -> None:
    batch = folder(tmp_path / "b.parquet")
    (batch / "_temporary").mkdir()
    assert candidates(tmp_path) == candidates(tmp_path / "**" / "*") == []
    (batch / "_temporary").rmdir()

    def somebody_writes(seconds: float) -> None:
        (batch / "part-1.csv").write_text("a\n1\n2\n")

    inbox = Inbox(tmp_path, settle=5, sleep=somebody_writes)
    assert list(inbox.finished()) == []
    inbox.sleep = lambda seconds: None
    (found,) = inbox.finished()
    inbox.done(found)
    assert list(inbox.finished()) == []
    old(batch / "part-2.csv", age=3600)
    assert names(list(inbox.finished())) == ["b.parquet"], "a part that is old but new here is a change"


Restart = Callable[[], Inbox]


@pytest.fixture
def restart(tmp_path: Path) -> Iterator[Restart]:
    """`restart()`: the inbox as a new process finds it, on a state file that stays."""
    (tmp_path / "inbox").mkdir()
    with Store(tmp_path / "state.db") as store:
        yield lambda: Inbox(tmp_path / "inbox", settle=0, memory=store.dealt_with("m"))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose bytes are read from now on."""
    names: list[str] = []

    def sha256(path: Path) -> str:
        names.append(path.name)
        return sha256_file(path)

    monkeypatch.setattr(inbox_module, "sha256_file", sha256)
    return names


def test_after_a_restart_a_listing_tells_what_is_new(
    tmp_path: Path, restart: Restart, read: list[str]
) -> None:
    for age in range(250):
        old(tmp_path / "inbox" / f"{age:03}.csv", text=f"a\n{age}\n", age=1000 - age)
    assert len(deal(restart())) == 250
    read.clear()
    new = old(tmp_path / "inbox" / "new.csv")
    assert deal(restart()) == read == ["new.csv"]
    stat = new.stat()
    new.unlink()
    os.utime(
        old(new, text="a\n2\n"), ns=(stat.st_atime_ns, stat.st_mtime_ns)
    )  # as large and as old as before
    assert deal(restart()) == ["new.csv"]
    assert deal(restart()) == []


def test_what_was_offered_and_not_dealt_with_is_offered_after_a_restart(
    tmp_path: Path, restart: Restart
) -> None:
    for name in ("a.csv", "b.csv"):
        old(tmp_path / "inbox" / name, text=name)
    for file in (inbox := restart()).finished():
        if file.path.name == "a.csv":
            inbox.done(file)
    assert names(list(restart().finished())) == ["b.csv"]


def test_a_file_to_look_at_again_is_one_though_the_process_ends_at_once(
    tmp_path: Path, restart: Restart
) -> None:
    path = old(tmp_path / "inbox" / "a.csv")
    assert deal(restart()) == ["a.csv"]
    restart().forget(str(path))
    assert deal(restart()) == ["a.csv"]


def test_files_that_have_gone_are_not_remembered_but_those_of_a_folder_that_is_away_are(
    tmp_path: Path, restart: Restart
) -> None:
    for name in ("a.csv", "b.csv"):
        old(tmp_path / "inbox" / name, text=name)
    inbox = restart()
    deal(inbox)
    assert inbox.memory is not None
    (tmp_path / "inbox").rename(tmp_path / "away")
    assert deal(inbox) == []
    assert len(inbox.memory.load()) == 2
    (tmp_path / "away").rename(tmp_path / "inbox")
    (tmp_path / "inbox" / "a.csv").unlink()
    assert deal(inbox) == []
    assert list(inbox.memory.load()) == [str(tmp_path / "inbox" / "b.csv")]
    shutil.rmtree(tmp_path / "inbox")
    (tmp_path / "inbox").mkdir()
    assert deal(restart()) == []
    assert inbox.memory.load() == {}


def test_a_file_that_cannot_be_read_is_remembered_once_somebody_was_told(
    tmp_path: Path, restart: Restart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(path: Path) -> str:
        raise DataError("unreadable", f"{path}: Input/output error")

    monkeypatch.setattr(inbox_module, "sha256_file", unreadable)
    old(tmp_path / "inbox" / "a.csv")
    inbox = restart()
    assert len(list(inbox.finished())) == 1
    assert list(inbox.finished()) == []
    (again,) = (inbox := restart()).finished()
    assert isinstance(again, Unreadable)
    inbox.done(again)
    assert list(inbox.finished()) == []
    assert list(restart().finished()) == []


def test_a_memory_that_is_busy_costs_nothing_but_another_reading(tmp_path: Path) -> None:
    class Busy:
        kept: dict[str, str] = {}  # noqa: RUF012

        def load(self) -> dict[str, str]:
            return {}

        def keep(self, stamps: Mapping[str, str], /) -> None:
            if len(stamps) == 1:
                raise StateError("the state file cannot be used now: database is locked")
            self.kept.update(stamps)

        def drop(self, paths: object, /) -> None:
            raise AssertionError

    inbox = Inbox(tmp_path, settle=0, memory=Busy())
    paths = [old(tmp_path / "a.csv")]
    assert deal(inbox) == ["a.csv"]
    assert deal(inbox) == []
    paths.append(old(tmp_path / "b.csv"))
    assert deal(inbox) == ["b.csv"]
    assert Busy.kept.keys() == {str(path) for path in paths}


def test_a_link_to_a_file_is_a_file_and_a_broken_one_is_none(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "a.csv").symlink_to(old(tmp_path / "there.csv"))
    (tmp_path / "inbox" / "b.csv").symlink_to(tmp_path / "nowhere.csv")
    assert [path.name for path in candidates(tmp_path / "inbox")] == ["a.csv"]


def test_a_file_whose_alert_waits_is_offered_after_a_restart_and_when_its_bytes_are_asked_for(
    tmp_path: Path, restart: Restart
) -> None:
    path = old(tmp_path / "inbox" / "a.csv")
    inbox = restart()
    (found,) = inbox.finished()
    assert isinstance(found, InboxFile)
    inbox.done(found, held=True)
    assert list(inbox.finished()) == []
    assert names(list(restart().finished())) == ["a.csv"]
    inbox.forget("/where/it/was/before.csv", found.sha256)
    assert names(list(inbox.finished())) == ["a.csv"]
    assert path.exists()


def test_a_file_that_is_to_be_offered_again_while_others_are_written_down_is_not_among_them(
    tmp_path: Path, restart: Restart
) -> None:
    old(tmp_path / "inbox" / "a.csv")
    inbox = restart()
    memory, asked, forgotten = inbox.memory, threading.Event(), threading.Event()
    assert memory is not None

    class Slow:
        load, drop = memory.load, memory.drop

        def keep(self, stamps: Mapping[str, str]) -> None:
            asked.set()
            forgotten.wait(0.3)  # as long as it may: who forgets has to wait for us
            memory.keep(stamps)

    inbox.memory = Slow()
    for file in inbox.finished():
        inbox.done(file)
        kept = threading.Thread(target=inbox._keep)
        kept.start()
        assert asked.wait(10)
        inbox.forget(str(file.path))
        forgotten.set()
        kept.join()
    assert memory.load() == {}
