"""Finished files in a folder: what is still being written is left alone until it is whole."""

from __future__ import annotations

import glob
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.location import Location
from detectors.objects import ObjectPath, ObjectStat

log = logging.getLogger(__name__)

QUARANTINE = "quarantine"  # folders of this name hold files that were set aside
SUFFIXES = (".csv", ".csv.gz", ".csv.zst", ".parquet")
_ESCAPED = re.compile(r"\[([*?[])\]")  # what `glob.escape` makes of a wildcard in the name of a folder
# Size, mtime in ns, inode, ctime in ns: another file under an old name is another stamp. For objects the inode is
# a number of the ETag.
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class InboxFile:
    """A finished file: path, SHA-256 of its bytes, and the stamp it was read under."""

    path: Location
    sha256: str
    stamp: Stamp

    @property
    def came(self) -> datetime:
        """When it was written, renamed or moved here."""
        return datetime.fromtimestamp(self.stamp[3] / 1e9, UTC)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file whose bytes cannot be read, and why: "unreadable", or "denied" by a store."""

    path: Location
    stamp: Stamp
    reason: str
    kind: str = "unreadable"


def candidates(where: Location) -> list[Location]:
    """Data files in a folder, or those a glob names, oldest first; hidden and foreign files are not batches."""
    return list(stamped(where))


def stamped(where: Location) -> dict[Location, Stamp]:
    """The same with their stamps; of objects, as the listing says them: none is looked at by itself."""
    found: list[tuple[Location, Stamp]]
    try:
        if isinstance(where, ObjectPath):
            found = [(p, _stamp(stat)) for p, stat in _objects(where) if _is_batch(p)]
        else:
            found = [(p, stamp) for p in _matching(where) if _is_batch(p) and (stamp := stamp_of(p))]
    except (OSError, DataError) as error:
        said = error.strerror if isinstance(error, OSError) else ""
        log.warning("%s cannot be read (%s): nothing is found there", where, said or error)
        return {}
    return dict(sorted(found, key=lambda pair: (pair[1][1], pair[0].name)))


def _is_batch(path: Location) -> bool:
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith((".", "~"))


def _objects(where: ObjectPath) -> Iterator[tuple[ObjectPath, ObjectStat]]:
    """As `_matching`, in a store."""
    wild = glob.has_magic(where.url)
    depth = len(where.parts) - 1 if "**" not in where.parts else where.parts.index("**")
    return ((p, s) for p, s in where.listing() if not wild or QUARANTINE not in p.parts[depth:])


def _matching(where: Path) -> Iterator[Path]:
    """What lies in a folder, or what a glob names; a folder that is there is one, whatever its name."""
    if where.is_dir():
        return where.iterdir()
    if glob.has_magic(str(where)):
        found = (Path(p) for p in glob.iglob(str(where), recursive=True))  # noqa: PTH207
        depth = len(where.parts) - 1 if "**" not in where.parts else where.parts.index("**")
        return (p for p in found if QUARANTINE not in p.parts[depth:])
    return iter(())


def inbox_trouble(where: Location) -> str:
    """Why nothing can come from there, for the end of a sentence; empty where it can."""
    if not isinstance(where, ObjectPath):
        return "" if inbox_exists(where) else f"it does not exist: {where}"
    try:
        where.require_bucket()
    except FileNotFoundError:
        return f"there is no bucket {where.bucket}"
    except DataError as error:
        return error.message
    return ""


def inbox_exists(where: Path) -> bool:
    """Whether the folder is there; of a glob, the part before its first wildcard."""
    if where.is_dir():
        return True
    parts = where.parts
    wild = next((i for i, part in enumerate(parts) if glob.has_magic(_ESCAPED.sub("", part))), len(parts))
    plain = (_ESCAPED.sub(r"\1", part) for part in parts[:wild])
    return wild < len(parts) and Path(*plain).is_dir()


def settled(path: Location, seconds: float) -> bool:
    """Whether a file has not changed for so long that it counts as finished; an object comes whole."""
    if isinstance(path, ObjectPath):
        return True
    stamp = stamp_of(path)
    # a clock that goes ahead elsewhere must not make a file look unfinished until then
    return stamp is not None and abs(time.time_ns() - stamp[1]) >= int(seconds * 1e9)


def stamp_of(path: Location) -> Stamp | None:
    """What tells one state of a file from another; None where there is none. DataError where a store is away."""
    try:
        if isinstance(path, Path) and not path.is_file():
            return None
        stat = path.stat()
    except OSError:
        return None  # renamed or removed between two looks: the next scan sees what is there then
    return _stamp(stat)


def _stamp(stat: os.stat_result | ObjectStat) -> Stamp:
    return stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns


@dataclass(slots=True)
class Inbox:
    """The finished files of one model's inbox, each offered once while its bytes stay the same.

    A file counts as finished when it has not changed for `settle` seconds. Files that were moved in whole keep
    their old time and are taken at once.
    """

    where: Location
    settle: float = 2.0
    sleep: Callable[[float], object] = time.sleep
    _seen: dict[Location, Stamp] = field(default_factory=dict)

    def finished(self) -> Iterator[InboxFile | Unreadable]:
        """New finished files, oldest first; one that cannot be read is offered once."""
        looks = {p: stamp for p, stamp in stamped(self.where).items() if self._seen.get(p) != stamp}
        horizon = time.time_ns() - int(self.settle * 1e9)
        whole = isinstance(self.where, ObjectPath)  # an object is there whole or not at all
        if not whole and any(stamp[1] > horizon for stamp in looks.values()):
            self.sleep(self.settle)
        for path, stamp in looks.items():
            try:
                if not whole and stamp_of(path) != stamp:
                    log.info("still being written, left for the next scan: %s", path.name)
                    continue
                digest = sha256_file(path)
                unchanged = stamp_of(path) == stamp
            except DataError as error:
                if error.kind in ("away", "changed"):
                    log.warning("left for the next scan: %s", error.message)
                    if error.kind == "away":  # the others would wait for the store too
                        return
                    continue
                if error.kind != "denied":  # a permission that is given later changes no stamp of an object
                    self._seen[path] = stamp
                yield Unreadable(path, stamp, error.message, error.kind)
                continue
            if unchanged:
                yield InboxFile(path, digest, stamp)

    def done(self, file: InboxFile | Unreadable) -> None:
        """Remember that a file was dealt with; the same bytes are not offered again."""
        self._seen[file.path] = file.stamp

    def again(self, file: InboxFile | Unreadable) -> None:
        """Offer a file once more: it could not be dealt with."""
        self.forget(file.path)

    def forget(self, path: Location) -> None:
        """Offer what lies under this path once more, if anything does."""
        self._seen.pop(path, None)
