"""Finished files in a folder: what is still being written is left alone until it is whole."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from bot.listing import Listed, Stamp, inbox_trouble, listing, stamp_of
from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.location import Location, location
from detectors.objects import UNREACHED, ObjectPath
from state.records import StateError

log = logging.getLogger(__name__)

KEPT_AT_ONCE = 100  # files that are dealt with before they are remembered in one write
AWAY_IN_A_ROW = 3  # objects that a store did not answer for: the others would wait for it too


@dataclass(frozen=True, slots=True)
class InboxFile:
    """A finished file: path, SHA-256 of its bytes, the stamp it was read under, and when it came here."""

    path: Location
    sha256: str
    stamp: Stamp
    came: datetime


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file whose bytes cannot be read, and why: "unreadable", or "denied" by a store."""

    path: Location
    stamp: Stamp
    reason: str
    kind: str = "unreadable"


class Memory(Protocol):
    """Remembers across restarts which files were dealt with: path -> stamp, as `state.inboxes.DealtWith` does."""

    def load(self) -> dict[str, Stamp]: ...
    def keep(self, stamps: Mapping[str, Stamp], /) -> None: ...
    def drop(self, paths: Iterable[str], /) -> None: ...


@dataclass(slots=True)
class Inbox:
    """The finished files of one model's inbox, each offered once while its bytes stay the same.

    A file counts as finished when it has not changed for `settle` seconds. Files that were moved in whole keep
    their old time and are taken at once. With a `memory` what was dealt with is known after a restart too, by its
    path and stamp, and is not read again to find that out.
    """

    where: Location
    settle: float = 2.0
    sleep: Callable[[float], object] = time.sleep
    memory: Memory | None = None
    _seen: dict[str, Stamp] | None = None
    _unkept: dict[str, Stamp] = field(default_factory=dict)  # dealt with, and not in the memory yet
    _held: dict[str, set[str]] = field(default_factory=dict)  # digest -> files whose alert waits
    _lock: threading.RLock = field(default_factory=threading.RLock)  # several threads may scan

    def finished(self) -> Iterator[InboxFile | Unreadable]:
        """New finished files, oldest first; one that cannot be read is offered once."""
        seen, listed = self._known(), listing(self.where)
        if listed is None:
            return
        self._drop_gone(seen, listed)
        new = [file for file in listed if seen.get(file.path) != file.stamp]
        horizon = time.time_ns() - int(self.settle * 1e9)
        whole = isinstance(self.where, ObjectPath)  # an object is there whole or not at all
        if not whole and any(file.modified > horizon for file in new):
            self.sleep(self.settle)
        away = 0
        try:
            for file in new:
                try:
                    found, away = self._read(file), 0
                except DataError as error:
                    log.warning("left for the next scan: %s", error.message)
                    away += 1
                    if away == AWAY_IN_A_ROW:
                        return
                    continue
                if isinstance(found, Unreadable) and found.kind not in UNREACHED:
                    seen[file.path] = (
                        file.stamp
                    )  # a permission that is given later changes no stamp of an object
                if found is not None:
                    yield found
                if len(self._unkept) >= KEPT_AT_ONCE:
                    self._keep()
        finally:
            self._keep()

    def _read(self, file: Listed) -> InboxFile | Unreadable | None:
        """The file with its digest; None of one that is still being written. DataError "away" of a store."""
        path = location(file.path)
        if isinstance(path, Path) and stamp_of(path) != file.stamp:
            log.info("still being written, left for the next scan: %s", path.name)
            return None
        try:
            digest = sha256_file(path)
            unchanged = stamp_of(path) == file.stamp
        except DataError as error:
            if error.kind == "away":
                raise
            if error.kind == "changed":
                log.warning("left for the next scan: %s", error.message)
                return None
            return Unreadable(path, file.stamp, error.message, error.kind)
        if not unchanged:
            return None
        return InboxFile(path, digest, file.stamp, datetime.fromtimestamp(file.came / 1e9, UTC))

    def _known(self) -> dict[str, Stamp]:
        if self._seen is None:
            loaded = {} if self.memory is None else self.memory.load()
            self._seen = loaded if self._seen is None else self._seen  # another thread may have been faster
        return self._seen

    def _drop_gone(self, seen: dict[str, Stamp], listed: Iterable[Listed]) -> None:
        """What lies there no longer need not be remembered; a folder that is away may come back."""
        gone = seen.keys() - {file.path for file in listed}
        # a listing of a store has said already that it is there
        if not gone or (isinstance(self.where, Path) and inbox_trouble(self.where)):
            return
        with self._lock:
            for path in gone:
                seen.pop(path, None)
                self._unkept.pop(path, None)
            if self.memory is not None:
                self.memory.drop(gone)

    def _keep(self) -> None:
        """Many files in one write; one that a crash loses is read once more after the restart."""
        with self._lock:
            if self.memory is None or not self._unkept:
                return
            try:
                self.memory.keep(self._unkept)
            except StateError as error:
                log.warning("the files that were dealt with are remembered later: %s", error)
            else:
                self._unkept = {}

    def done(self, file: InboxFile | Unreadable, *, held: bool = False) -> None:
        """Remember that a file was dealt with; the same bytes are not offered again.

        `held`: its alert waits. Then it is remembered in this process alone, until it is said or offered again.
        """
        with self._lock:
            self._known()[str(file.path)] = file.stamp
            if held and isinstance(file, InboxFile):
                self._held.setdefault(file.sha256, set()).add(str(file.path))
            else:
                self._unkept[str(file.path)] = file.stamp

    def again(self, file: InboxFile | Unreadable) -> None:
        """Offer a file once more: it could not be dealt with."""
        self.forget(str(file.path))

    def forget(self, path: str, sha256: str = "") -> None:
        """Offer what lies under this path once more, if anything does, also if this process ends now.

        With a digest also what lies elsewhere and had the same bytes: a held file may have been renamed.
        """
        with self._lock:
            for one in {path, *self._held.pop(sha256, ())}:
                self._unkept.pop(one, None)
                if self._known().pop(one, None) is not None and self.memory is not None:
                    self.memory.drop([one])
