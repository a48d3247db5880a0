"""Finished files in a folder: what is still being written is left alone until it is whole.

A folder of parts (see `detectors.parts`) is one file here.
"""

from __future__ import annotations

import glob
import logging
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.parts import is_being_written, is_table, parts_of

log = logging.getLogger(__name__)

QUARANTINE = "quarantine"  # folders of this name hold files that were set aside
SUFFIXES = (".csv", ".csv.gz", ".csv.zst", ".parquet")
_ESCAPED = re.compile(r"\[([*?[])\]")  # what `glob.escape` makes of a wildcard in the name of a folder
# Size, mtime in ns, inode, ctime in ns: another file under an old name is another stamp. Of a folder, the sum of the
# sizes and the newest times.
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class InboxFile:
    """A finished file: path, SHA-256 of its bytes, and the stamp it was read under."""

    path: Path
    sha256: str
    stamp: Stamp

    @property
    def came(self) -> datetime:
        """When it was written, renamed or moved here."""
        return datetime.fromtimestamp(self.stamp[3] / 1e9, UTC)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file whose bytes cannot be read, and why."""

    path: Path
    stamp: Stamp
    reason: str


def candidates(where: Path) -> list[Path]:
    """Data files in a folder, or those a glob names, oldest first; hidden and foreign files are not batches.

    A folder that says of itself that it is one batch is offered as such, and none of the files in it.
    """
    try:
        found = [p for p in _matching(where) if not p.name.startswith((".", "~"))]
    except OSError as error:
        log.warning("%s cannot be read (%s): nothing is found there", where, error.strerror or error)
        return []
    folders = {p for p in found if p.is_dir()}
    tables = {p for p in folders if is_table(p)}
    whole = [p for p in tables if not is_being_written(p)]
    files = [
        p
        for p in found
        if p.name.lower().endswith(SUFFIXES) and p not in folders and tables.isdisjoint(p.parents)
    ]
    stamped = [(stamp, p) for p in (*files, *whole) if (stamp := stamp_of(p)) is not None]
    return [p for stamp, p in sorted(stamped, key=lambda pair: (pair[0][1], pair[1].name))]


def _matching(where: Path) -> Iterator[Path]:
    """What lies in a folder, or what a glob names; a folder that is there is one, whatever its name."""
    if where.is_dir():
        return where.iterdir()
    if glob.has_magic(str(where)):
        found = (Path(p) for p in glob.iglob(str(where), recursive=True))  # noqa: PTH207
        depth = len(where.parts) - 1 if "**" not in where.parts else where.parts.index("**")
        return (p for p in found if QUARANTINE not in p.parts[depth:])
    return iter(())


def inbox_exists(where: Path) -> bool:
    """Whether the folder is there; of a glob, the part before its first wildcard."""
    if where.is_dir():
        return True
    parts = where.parts
    wild = next((i for i, part in enumerate(parts) if glob.has_magic(_ESCAPED.sub("", part))), len(parts))
    plain = (_ESCAPED.sub(r"\1", part) for part in parts[:wild])
    return wild < len(parts) and Path(*plain).is_dir()


def settled(path: Path, seconds: float) -> bool:
    """Whether a file has not changed for so long that it counts as finished."""
    stamp = stamp_of(path)
    # a clock that goes ahead elsewhere must not make a file look unfinished until then
    return stamp is not None and abs(time.time_ns() - stamp[1]) >= int(seconds * 1e9)


def stamp_of(path: Path) -> Stamp | None:
    """What tells one state of a file, or of a folder of parts, from another; None where there is none."""
    try:
        own = path.stat()
        if stat.S_ISREG(own.st_mode):
            return own.st_size, own.st_mtime_ns, own.st_ino, own.st_ctime_ns
        if not stat.S_ISDIR(own.st_mode):
            return None
        looks = [part.path.stat() for part in parts_of(path)]
    except (OSError, DataError):
        return None  # renamed or removed between two looks: the next scan sees what is there then
    return (
        sum(look.st_size for look in looks),
        max(
            look.st_mtime_ns for look in (own, *looks)
        ),  # the folder's own time tells of parts that came and went
        own.st_ino,
        max(look.st_ctime_ns for look in (own, *looks)),
    )


@dataclass(slots=True)
class Inbox:
    """The finished files of one model's inbox, each offered once while its bytes stay the same.

    A file counts as finished when it has not changed for `settle` seconds. Files that were moved in whole keep
    their old time and are taken at once.
    """

    where: Path
    settle: float = 2.0
    sleep: Callable[[float], object] = time.sleep
    _seen: dict[Path, Stamp] = field(default_factory=dict)

    def finished(self) -> Iterator[InboxFile | Unreadable]:
        """New finished files, oldest first; one that cannot be read is offered once."""
        looks = {
            p: stamp for p in candidates(self.where) if (stamp := stamp_of(p)) and self._seen.get(p) != stamp
        }
        horizon = time.time_ns() - int(self.settle * 1e9)
        if any(stamp[1] > horizon for stamp in looks.values()):
            self.sleep(self.settle)
        for path, stamp in looks.items():
            if stamp_of(path) != stamp:
                log.info("still being written, left for the next scan: %s", path.name)
                continue
            try:
                digest = sha256_file(path)
            except DataError as error:
                self._seen[path] = stamp
                yield Unreadable(path, stamp, error.message)
                continue
            if stamp_of(path) == stamp:
                yield InboxFile(path, digest, stamp)

    def done(self, file: InboxFile | Unreadable) -> None:
        """Remember that a file was dealt with; the same bytes are not offered again."""
        self._seen[file.path] = file.stamp

    def again(self, file: InboxFile | Unreadable) -> None:
        """Offer a file once more: it could not be dealt with."""
        self.forget(file.path)

    def forget(self, path: Path) -> None:
        """Offer what lies under this path once more, if anything does."""
        self._seen.pop(path, None)
