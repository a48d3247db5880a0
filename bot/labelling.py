"""Labelled files that wait in a model's folder: what a retrain could use and has not used yet."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from time import monotonic

from bot.config import ModelSection
from bot.listing import Listed, listing
from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.location import Location, location
from detectors.objects import UNREACHED, ObjectPath
from state.store import Store
from trainers.base import ROW_ID, DataFile

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A file in the labelled folder; `error` says why it cannot be used, rows is 0 then."""

    path: Location
    sha256: str
    rows: int
    modified: datetime
    error: str = ""
    again: bool = False  # the fault was the store's: the next look may find it usable

    def data_file(self) -> DataFile:
        """The file as a training records it."""
        return DataFile(str(self.path), self.sha256, self.rows)


_looked: dict[tuple[str, str], tuple[str, LabelledFile]] = {}  # by path and label column
# by place and label column: when a store was asked, and what it said last
_listed: dict[tuple[ObjectPath, str], tuple[float, list[Listed]]] = {}
_looking = threading.Lock()
RELIST = 60.0  # seconds for which a store is not asked again: many ask, one of them the thread of Slack


def found(model: ModelSection, store: Store | None, *, read: bool = True) -> tuple[LabelledFile, ...]:
    """Every data file in the model's labelled folder, newest last, used or not.

    Each is read once while its stamp stays the same. `read=False` leaves out those that were not read
    yet, for answers that may not wait. The store knows the samples that were given out: without it nothing is read.
    """
    files = []
    there, read = _there(model, read and store is not None)
    for listed in there:
        key = (listed.path, model.label.column)
        if read and store is not None:
            with _looking:  # several threads may ask for the same large file
                if (known := _known(key, listed.stamp)) is None or known.again:
                    looked = _look(location(listed.path), model, store, listed.modified)
                    _looked[key] = (listed.stamp, looked)
        if (file := _known(key, listed.stamp)) is not None:
            files.append(file)
    return tuple(files)


def _there(model: ModelSection, read: bool) -> tuple[list[Listed], bool]:
    """The files, and whether new ones may be read; of a store those of the last listing that came."""
    where = model.labeled
    if not isinstance(where, ObjectPath):
        return listing(where) or [], read
    key = (where, model.label.column)
    asked, last = _listed.get(key, (None, []))
    if not read or (asked is not None and monotonic() - asked < RELIST):
        return last, False
    if asked is not None:
        _listed[key] = monotonic(), last  # nobody else waits for a store that does not answer
    answer = listing(where)  # None: it is away, and what it had may be there all the same
    _listed[key] = monotonic(), last if answer is None else answer
    return _listed[key][1], answer is not None


def _known(key: tuple[str, str], stamp: str) -> LabelledFile | None:
    seen, file = _looked.get(key, (None, None))
    return file if seen == stamp else None


def waiting(model: ModelSection, store: Store, *, read: bool = True) -> tuple[LabelledFile, ...]:
    """Usable labelled files that no version was trained on yet, each content once; `read` as in `found`."""
    used = store.used_labelled_sha256s(model.name)
    fresh = {f.sha256: f for f in found(model, store, read=read) if not f.error and f.sha256 not in used}
    return tuple(fresh.values())


def folder_name(model: ModelSection) -> str:
    """Where labelled files belong, as people know it: the last two parts of a folder, the URL in a store."""
    where = model.labeled
    return f"{where if isinstance(where, ObjectPath) else '/'.join(where.parts[-2:])}/"


def unusable(model: ModelSection) -> tuple[LabelledFile, ...]:
    """Files in the labelled folder that nothing can be learned from; each says why."""
    return tuple(f for f in found(model, None, read=False) if f.error)


def label_mark(files: tuple[LabelledFile, ...]) -> str:
    """A short digest of which files wait, to see whether a message still says the truth about them."""
    return sha256("".join(sorted(f.sha256 for f in files)).encode()).hexdigest()[:16]


def _look(path: Location, model: ModelSection, store: Store, mtime_ns: int) -> LabelledFile:
    """Read a file's header and count its labelled rows; every row of a sample that came back is looked at."""
    from detectors.source import header_of, stream  # brings the readers of files along

    label = model.label.column
    modified = datetime.fromtimestamp(mtime_ns / 1e9, UTC)
    try:
        digest = sha256_file(path)
        if ROW_ID in (header := header_of(path)):
            from bot.samples import read_returned

            read_returned(store, model, path)
        if label not in header:
            return LabelledFile(path, digest, 0, modified, f'no column "{label}"')
        chunks = stream(path, frozenset(), frozenset({label}))  # one column: status must stay quick
        rows = sum(int((chunk.categorical[label] != None).sum()) for chunk in chunks)  # noqa: E711  element-wise
        error = "" if rows else f'no row has a label in "{label}"'
        return LabelledFile(path, digest, rows, modified, error)
    except DataError as error:
        return LabelledFile(path, "", 0, modified, error.message, error.kind in UNREACHED)
