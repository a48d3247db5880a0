"""Verbs on expectations: what a retrain of a champion on certain files would bring, as was estimated before it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

from state.codec import expectation_from_json, expectation_to_json, stamp
from state.database import Database
from trainers.base import DataFile
from trainers.judgement import Expectation


class Expectations:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def keep_expectation(
        self, model: str, version: int, files: Iterable[DataFile], found: Expectation, now: datetime
    ) -> None:
        """Keep what was estimated for the champion and these new files; a newer estimate takes its place."""
        row = {"model": model, "version": version, "files": _mark(files)}
        with self._db.write():
            self._db.change(
                "DELETE FROM expectations WHERE model = ? AND version = ? AND files = ?", *row.values()
            )
            self._db.insert("expectations", {**row, "at": stamp(now), "record": expectation_to_json(found)})

    def expectation(self, model: str, version: int, files: Iterable[DataFile]) -> Expectation | None:
        """What was estimated for the champion and exactly these files, None where nothing was."""
        with self._db.read():
            text = self._db.value(
                "SELECT record FROM expectations WHERE model = ? AND version = ? AND files = ?",
                model,
                version,
                _mark(files),
            )
        return None if text is None else expectation_from_json(text)


def _mark(files: Iterable[DataFile]) -> str:
    """A digest of the contents, in whatever order they are named."""
    return sha256(" ".join(sorted({file.sha256 for file in files})).encode()).hexdigest()
