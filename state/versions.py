"""Verbs on versions: what was trained, and which one is the champion."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row

from state.codec import moment, stamp, version_from_json, version_to_json
from state.database import Database
from state.records import StateError, Trained
from trainers.base import ModelVersion


class Versions:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add_version(self, record: ModelVersion, now: datetime) -> Trained:
        """Keep a registered version; the same record again changes nothing, another one is a StateError."""
        with self._db.write():
            add(self._db, record, now)
            return load(self._db, record.model, record.version)

    def version(self, model: str, number: int) -> Trained:
        """One version; StateError if there is none."""
        with self._db.read():
            return load(self._db, model, number)

    def versions(self, model: str) -> tuple[Trained, ...]:
        """All versions of a model, newest first."""
        with self._db.read():
            rows = self._db.rows("SELECT * FROM versions WHERE model = ? ORDER BY version DESC", model)
        return tuple(_trained(row) for row in rows)

    def champion(self, model: str) -> Trained | None:
        """The version in use, None before the first is promoted."""
        with self._db.read():
            row = self._db.row("SELECT * FROM versions WHERE model = ? AND is_champion = 1", model)
        return None if row is None else _trained(row)

    def used_labelled_sha256s(self, model: str) -> frozenset[str]:
        """Digests of the labelled files that the champion was trained on.

        A retrain's version lists the old files and the new ones, so this holds all promoted retrains.
        Files of a challenger that was not promoted, or was rolled back, may be trained on again.
        """
        champion = self.champion(model)
        return frozenset() if champion is None else frozenset(file.sha256 for file in champion.record.data)


def add(db: Database, record: ModelVersion, now: datetime) -> None:
    """Keep a version, inside a transaction."""
    text = version_to_json(record)
    known = db.value(
        "SELECT record FROM versions WHERE model = ? AND version = ?", record.model, record.version
    )
    if known is None:
        row = {"model": record.model, "version": record.version, "record": text}
        db.insert("versions", {**row, "created_at": stamp(now), "is_champion": 0})
    elif known != text:
        raise StateError(f"version {record.version} of {record.model} is already known, with other content")


def load(db: Database, model: str, number: int) -> Trained:
    """One version, inside a transaction."""
    row = db.row("SELECT * FROM versions WHERE model = ? AND version = ?", model, number)
    if row is None:
        raise StateError(f"{model} has no version {number}")
    return _trained(row)


def champion_of(db: Database, model: str) -> int | None:
    """Number of the champion, inside a transaction."""
    number: int | None = db.value("SELECT version FROM versions WHERE model = ? AND is_champion = 1", model)
    return number


def pending_promotion(db: Database, model: str) -> Row | None:
    """The promotion of a model that is under way, inside a transaction."""
    return db.row("SELECT * FROM promotions WHERE model = ? AND state = 'pending'", model)


def crown(db: Database, model: str, number: int) -> None:
    """Make a version the only champion, inside a transaction."""
    db.change("UPDATE versions SET is_champion = 0 WHERE model = ? AND is_champion = 1", model)
    db.change("UPDATE versions SET is_champion = 1 WHERE model = ? AND version = ?", model, number)


def _trained(row: Row) -> Trained:
    return Trained(version_from_json(row["record"]), moment(row["created_at"]), bool(row["is_champion"]))
