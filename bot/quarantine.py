"""A batch that is set aside: its file is moved out of the inbox, and back; never deleted, never overwritten."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bot.config import ModelSection
from bot.listing import QUARANTINE, SUFFIXES, Stamp, stamp_of
from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.location import Location, location
from detectors.objects import ObjectPath
from state.records import Batch, StateError
from state.store import Store


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Moves files of batches and remembers it. Permission is checked by the caller."""

    store: Store
    now: Callable[[], datetime]

    def find(self, model: ModelSection, what: str) -> Batch:
        """The batch of this number, or the newest one with this file's content, path or name. StateError if none."""
        if what.isdecimal() and not Path(what).exists():
            batch = self.store.batch(int(what))
            if batch.model != model.name:
                raise StateError(f"batch {what} belongs to {batch.model}, not to {model.name}")
            return batch
        path = location(what).absolute()
        for batch in self.store.in_quarantine(model.name):
            if batch.quarantine == str(path) or (not path.exists() and Path(batch.path).name == path.name):
                return batch
        try:
            seen = self.store.seen(model.name, sha256_file(path))
        except DataError as error:
            raise StateError(error.message) from error
        if seen is None:
            raise StateError(f"{path} was never checked as a batch of {model.name}: check it first")
        return seen

    def put(self, model: ModelSection, batch: Batch, by: str, why: str = "") -> Location:
        """Move the batch's file aside. StateError if it is there already, has gone, or has changed."""
        here = location(batch.path)
        stamp = self._require_file(batch, here, self.store.batch(batch.id).quarantine)
        with self.store.together():
            self._require_still(batch, here, stamp, self.store.batch(batch.id).quarantine)
            aside = free_name(folder_of(model) / here.name)
            self.store.quarantine_batch(batch.id, str(aside), by, why, self.now())
            self._tell(batch, "quarantined")
            move(here, aside)  # last: what fails before it takes the record back
        return aside

    def release(self, model: ModelSection, batch: Batch, by: str, why: str = "") -> Location:
        """Move the file back to where it was; it is checked again."""
        aside = self.store.batch(batch.id).quarantine
        if aside is None:
            raise StateError(f"batch {batch.id} is not in quarantine")
        stamp = self._require_file(batch, location(aside), None)
        with self.store.together():
            if self.store.batch(batch.id).quarantine != aside:
                raise StateError(f"batch {batch.id} is not in quarantine any more")
            self._require_still(batch, location(aside), stamp, None)
            back = free_name(location(batch.path))
            self.store.release_batch(batch.id, str(back), by, why, self.now())
            self._tell(batch, "released")
            move(location(aside), back)
        return back

    def _require_file(self, batch: Batch, path: Location, aside: str | None) -> Stamp | None:
        """The stamp of the file that was checked: to hash it takes long, so no other writer waits for that."""
        if aside is not None:
            raise StateError(f"batch {batch.id} is in quarantine already, at {aside}")
        try:
            stamp = stamp_of(path)
            same = sha256_file(path) == batch.sha256
        except DataError as error:
            raise StateError(f"the file of batch {batch.id} cannot be moved: {error.message}") from error
        if not same:
            raise StateError(f"{path} has changed since it was checked as batch {batch.id}: check it again")
        return stamp

    def _require_still(self, batch: Batch, path: Location, stamp: Stamp | None, aside: str | None) -> None:
        """In the transaction: nobody has been faster, and nobody has written to the file meanwhile."""
        if aside is not None or stamp_of(path) != stamp:
            self._require_file(batch, path, aside)

    def _tell(self, batch: Batch, what: str) -> None:
        """Edit the message about the batch, and the open incident, which may be approved now or no longer."""
        now = self.now()
        key = f"{what}:{batch.id}:{now.timestamp():.3f}"
        if self.store.post_of(f"broken_feed:{batch.id}") is not None:
            self.store.enqueue("broken_feed", key, {"batch_id": batch.id}, None, now)
        incident = self.store.open_incident_of(batch.model)
        if incident is not None:
            self.store.enqueue("incident", f"incident:{incident.id}:{key}", {}, incident.id, now)


def folder_of(model: ModelSection) -> Location:
    """The model's folder for files set aside: beside its inbox."""
    root = model.inbox
    if isinstance(root, ObjectPath):
        root = root.root
    else:
        while glob.has_magic(str(root)) and not root.is_dir() and root != root.parent:
            root = root.parent
    return root.parent / QUARANTINE / model.name


def free_name(path: Location) -> Location:
    """The path, or the next one beside it that is free: batch.csv, batch-2.csv, ..."""
    suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), path.suffix)
    stem, number, free = path.name[: len(path.name) - len(suffix)], 1, path
    while free.exists() or free.is_symlink():
        number += 1
        free = path.with_name(f"{stem}-{number}{path.name[len(path.name) - len(suffix) :]}")
    return free


def move(source: Location, target: Location) -> None:
    """Move a file, or a folder of parts, to a name that is free, whole or not at all; StateError says why not."""
    try:
        if isinstance(source, ObjectPath) and isinstance(target, ObjectPath):
            source.move(target)
            return
        if isinstance(source, ObjectPath) or isinstance(target, ObjectPath):
            raise StateError(
                f"{source} is not moved to {target}, between this machine and a store: move it yourself"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            _move_folder(source, target)
            return
        try:
            os.link(source, target)
        except FileExistsError:
            raise
        except OSError:  # another file system, or one without links
            _copy(source, target)
        try:
            source.unlink()
        except OSError:
            target.unlink()  # the file stays where it was, under one name
            raise
    except DataError as error:
        raise StateError(f"{source} cannot be moved to {target}: {error.message}") from error
    except OSError as error:
        raise StateError(f"{source} cannot be moved to {target}: {error.strerror or error}") from error


def _move_folder(source: Path, target: Path) -> None:
    try:
        source.rename(target)
        return
    except OSError:  # another file system: what is hidden is no batch, whatever becomes of it
        copy, gone = target.with_name(f".{target.name}.copy"), source.with_name(f".{source.name}.moved")
    try:
        shutil.copytree(source, copy)
        source.rename(gone)
        try:
            copy.rename(target)
        except OSError:
            gone.rename(source)
            raise
    except (OSError, shutil.Error) as error:
        shutil.rmtree(copy, ignore_errors=True)
        raise OSError(str(error)) from error
    shutil.rmtree(gone, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    with target.open("xb") as new:
        try:
            with source.open("rb") as old:
                shutil.copyfileobj(old, new)
        except OSError:
            target.unlink()
            raise
