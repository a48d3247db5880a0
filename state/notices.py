"""Verbs on notices: when a model last said something that is no incident, of each kind."""

from __future__ import annotations

from datetime import datetime

from state.codec import maybe, stamp
from state.database import Database


class Notices:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def mark_said(self, model: str, kind: str, now: datetime) -> None:
        """A notice of this kind ("broken_feed", "performance") goes out: its cool-down counts from here."""
        with self._db.write():
            self._db.change(
                "INSERT INTO notices (model, kind, said_at) VALUES (?, ?, ?)"
                " ON CONFLICT (model, kind) DO UPDATE SET said_at = excluded.said_at",
                model,
                kind,
                stamp(now),
            )

    def last_said(self, model: str, kind: str) -> datetime | None:
        """When the newest notice of this kind went out."""
        with self._db.read():
            return maybe(
                self._db.value("SELECT said_at FROM notices WHERE model = ? AND kind = ?", model, kind)
            )
