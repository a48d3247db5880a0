"""What lies in a folder or in a store: data files and folders of parts, and what tells one state of each from another.

A folder of parts (see `detectors.parts`) is one file here.
"""

from __future__ import annotations

import glob
import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from detectors.errors import DataError
from detectors.location import Location, location
from detectors.objects import ObjectPath, ObjectStat
from detectors.parts import is_being_written, is_table, parts_of

log = logging.getLogger(__name__)

QUARANTINE = "quarantine"  # folders of this name hold files that were set aside
SUFFIXES = (".csv", ".csv.gz", ".csv.zst", ".parquet")
_ESCAPED = re.compile(r"\[([*?[])\]")  # what `glob.escape` makes of a wildcard in the name of a folder
# Tells one state of a file from another; nobody takes it apart. Of a local file: size, mtime, inode and ctime; of a
# folder of parts the sum of the sizes and the newest times; of an object a number of its ETag instead of the inode.
Stamp = str


@dataclass(frozen=True, slots=True)
class Listed:
    """What a listing alone tells of a file: nothing of it was read.

    Attributes:
        path: as text.
        stamp: another file under an old name has another stamp.
        modified: when it was last written, in ns since 1970.
        came: when it was written, renamed or moved here, in ns.
    """

    path: str
    stamp: Stamp
    modified: int
    came: int


def candidates(where: Location) -> list[Location]:
    """Data files in a folder, or those a glob names, oldest first; hidden and foreign files are not batches.

    A folder that says of itself that it is one batch is offered as such, and none of the files in it.
    """
    return [location(file.path) for file in listing(where) or ()]


def listing(where: Location) -> list[Listed] | None:
    """`candidates` with their stamps; None where the folder or the store cannot be read.

    It costs one look at each file; of objects a store's listing says all there is to know.
    """
    listed = _objects(where) if isinstance(where, ObjectPath) else _files(where)
    return None if listed is None else sorted(listed, key=lambda file: (file.modified, _name(file.path)))


def _objects(where: ObjectPath) -> list[Listed] | None:
    below = len(where.root.parts) if where.is_pattern else None  # parts that the pattern leaves open
    try:
        return [
            _listed(path.url, stat.st_size, stat.st_ino, [stat])
            for path, stat in where.listing()
            if _is_data(path.name) and not (below is not None and QUARANTINE in path.parts[below:])
        ]
    except (OSError, DataError) as error:
        said = error.strerror if isinstance(error, OSError) else ""
        log.warning("%s cannot be read (%s): nothing is found there", where, said or error)
        return None


def _is_data(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith((".", "~"))


def _files(where: Path) -> list[Listed] | None:
    try:
        found = [pair for pair in _matching(where) if not _name(pair[0]).startswith((".", "~"))]
    except OSError as error:
        log.warning("%s cannot be read (%s): nothing is found there", where, error.strerror or error)
        return None
    tables = {path for path, folder in found if folder and is_table(Path(path))}
    listed = []
    for path, folder in found:
        if folder:
            file = _folder(path) if path in tables and not is_being_written(Path(path)) else None
        elif _is_data(_name(path)) and not _within(path, tables):
            file = _file(path)
        else:
            file = None
        if file is not None:
            listed.append(file)
    return listed


def _matching(where: Path) -> Iterator[tuple[str, bool]]:
    """What is in a folder, or what a glob names, and whether it is a folder; one that is there is one, whatever its
    name."""
    if where.is_dir():
        with os.scandir(where) as entries:
            yield from [(entry.path, entry.is_dir()) for entry in entries]
    elif glob.has_magic(str(where)):
        named = glob.iglob(str(where), recursive=True)  # noqa: PTH207
        depth = len(where.parts) - 1 if "**" not in where.parts else where.parts.index("**")
        for path in named:
            if QUARANTINE not in Path(path).parts[depth:]:
                yield path, os.path.isdir(path)  # noqa: PTH112  a Path for each of ten thousand files costs more


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _within(path: str, tables: set[str]) -> bool:
    return bool(tables) and not tables.isdisjoint(map(str, Path(path).parents))


def _look(path: str) -> Listed | None:
    """One look at a file or a folder of parts; None where there is none: the next scan sees what is there then."""
    file = _file(path)
    return file if file is not None else _folder(path)


def _file(path: str) -> Listed | None:
    try:
        own = os.stat(path)  # noqa: PTH116  a Path for each of ten thousand files costs more than the look
    except (OSError, ValueError):
        return None
    return _listed(path, own.st_size, own.st_ino, [own]) if S_ISREG(own.st_mode) else None


def _folder(path: str) -> Listed | None:
    try:
        own = os.stat(path)  # noqa: PTH116
        if not S_ISDIR(own.st_mode):
            return None
    except (OSError, ValueError):
        return None
    try:
        parts = [part.path.stat() for part in parts_of(Path(path))]
    except (OSError, DataError):
        parts = []  # who reads it says what is wrong with it
    # the folder's own time tells of parts that came and went
    return _listed(path, sum(part.st_size for part in parts), own.st_ino, [own, *parts])


def _listed(path: str, size: int, inode: int, looks: Sequence[os.stat_result | ObjectStat]) -> Listed:
    modified, came = max(look.st_mtime_ns for look in looks), max(look.st_ctime_ns for look in looks)
    return Listed(path, f"{size}-{modified}-{inode}-{came}", modified, came)


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
    file = _look(str(path))
    # a clock that goes ahead elsewhere must not make a file look unfinished until then
    return file is not None and abs(time.time_ns() - file.modified) >= int(seconds * 1e9)


def stamp_of(path: Location) -> Stamp | None:
    """What tells one state of a file from another; None where there is none. DataError where a store is away."""
    if isinstance(path, ObjectPath):
        try:
            stat = path.stat()
        except OSError:
            return None
        return _listed(path.url, stat.st_size, stat.st_ino, [stat]).stamp
    file = _look(str(path))
    return None if file is None else file.stamp
