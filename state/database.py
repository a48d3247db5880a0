"""One SQLite connection: opened safely, shared between threads, written in short transactions."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from state.records import StateError

if TYPE_CHECKING:
    import sqlite_utils

APPLICATION_ID = 0x44524654  # "DRFT" in the file header: this SQLite file is ours
# Number of migrations, kept in the header as user_version: an up-to-date file opens without loading them.
SCHEMA = 19
BUSY_SECONDS = 10.0


class Database:
    """The state file.

    `write()` is one BEGIN IMMEDIATE transaction: what is read inside it is still true when it commits, also
    against other processes. `read()` is one snapshot. Inside a write both are part of it, and a failed one
    takes back only its own steps. WAL with synchronous=FULL: what a
    verb has returned survives a crash of the process and of the machine.

    Raises StateError if the file cannot be opened, is not ours, or is newer than this code.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = RLock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # sqlite3 itself must not open transactions: isolation_level=None leaves that to write()
            self._connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise StateError(f"cannot open the state file {self.path}: {error}") from error
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise StateError(f"cannot use {self.path} as state file: {error}") from error
        except StateError:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection; no verb works afterwards."""
        with self._lock:
            self._connection.close()

    @property
    def tables(self) -> sqlite_utils.Database:
        """The same connection as sqlite-utils, for the schema; late, since that imports pandas."""
        import sqlite_utils

        return sqlite_utils.Database(self._connection)

    @contextmanager
    def read(self) -> Iterator[None]:
        """One snapshot over several SELECTs."""
        with self._transaction("BEGIN"):
            yield

    @contextmanager
    def write(self) -> Iterator[None]:
        """One transaction that waits for other writers (up to 10 s) before it reads anything."""
        with self._transaction("BEGIN IMMEDIATE"):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._lock:
            commit: tuple[str, ...] = ("COMMIT",)
            rollback: tuple[str, ...] = ("ROLLBACK",)
            if self._connection.in_transaction:  # the lock is ours, so the transaction is too
                begin, commit = "SAVEPOINT verb", ("RELEASE verb",)
                rollback = ("ROLLBACK TO verb", "RELEASE verb")
            try:
                self._connection.execute(begin)
                try:
                    yield
                    self._run(commit)
                except BaseException:
                    if self._connection.in_transaction:
                        self._run(rollback)
                    raise
            except sqlite3.DatabaseError as error:  # busy, disk full, read-only, damaged
                if isinstance(error, (sqlite3.IntegrityError, sqlite3.ProgrammingError)):
                    raise  # our own mistake
                raise StateError(f"the state file {self.path} cannot be used now: {error}") from error

    def _run(self, statements: tuple[str, ...]) -> None:
        for statement in statements:
            self._connection.execute(statement)

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """All rows of a SELECT."""
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a SELECT, or None."""
        row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def value(self, sql: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.row(sql, *values)
        return None if row is None else row[0]

    def change(self, sql: str, *values: Any) -> int:
        """Run an UPDATE or DELETE; the number of rows it touched decides who was first."""
        return self._connection.execute(sql, values).rowcount

    def change_all(self, sql: str, values: Iterable[tuple[Any, ...]]) -> None:
        """Run an UPDATE, DELETE or INSERT for each of many values."""
        self._connection.executemany(sql, values)

    def insert(self, table: str, record: Mapping[str, Any]) -> int:
        """Insert one row; its id. Plain SQL: sqlite-utils would load pandas, which a check does not need."""
        return int(self._connection.execute(_insertion(table, record), tuple(record.values())).lastrowid or 0)

    def insert_all(self, table: str, records: Iterable[Mapping[str, Any]]) -> None:
        """Insert many rows, all with the same columns, into a table without an id of its own."""
        rows = list(records)
        if rows:
            self._connection.executemany(_insertion(table, rows[0]), [tuple(r.values()) for r in rows])

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._check_header()
        self._enter_wal()
        self._connection.execute("PRAGMA synchronous = FULL")
        if self._version() < SCHEMA:
            from state.migrations import migrate

            with (
                self.write()
            ):  # of several processes that open an old file, the first migrates, the others wait
                self._check_header()
                migrate(self.tables)

    def _version(self) -> int:
        return int(self.value("PRAGMA user_version"))

    def _check_header(self) -> None:
        """Refuse a file of another program, or of a newer version of this one, before anything is written."""
        owner = int(self.value("PRAGMA application_id"))
        ours = owner == APPLICATION_ID
        if not ours and (owner or self._version() or self.value("SELECT count(*) FROM sqlite_master")):
            raise StateError(
                f"{self.path} is a SQLite file of another program: "
                "name another state file in the configuration"
            )
        if self._version() > SCHEMA:
            raise StateError(
                f"{self.path} was written by a newer driftcatcher (schema {self._version()}, this one knows "
                f"{SCHEMA}): update driftcatcher, or restore the state file from before the update"
            )

    def _enter_wal(self) -> None:
        """Switch to WAL once; SQLite does not wait for others here, so several first openers retry."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                if (
                    self.value("PRAGMA journal_mode") == "wal"
                    or self.value("PRAGMA journal_mode = WAL") == "wal"
                ):
                    return
                raise StateError(
                    f"{self.path} lies on a file system without WAL (a network share?): use a local disk"
                )
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def of_model(model: str | None) -> tuple[str, tuple[str, ...]]:
    """The WHERE clause of a model's rows, or of all, and its values: an OR for both would use no index."""
    return ("", ()) if model is None else ("WHERE model = ?", (model,))


def _insertion(table: str, record: Mapping[str, Any]) -> str:
    columns = ", ".join(f'"{name}"' for name in record)
    return f'INSERT INTO "{table}" ({columns}) VALUES ({", ".join("?" * len(record))})'  # noqa: S608  our own names
