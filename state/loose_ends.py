"""Verbs on loose ends: what the registry must still be brought to, because something died or was away in between.

The state file is the truth. A training that ended without a result may have left runs and versions behind
("leftovers"), and an alias whose move failed may have moved all the same ("alias"): both are written down in the
transaction that decides, and stay until the registry was seen to agree. So is what the serving side has yet to be
handed ("folder", "webhook"), until it has it; which version each folder and webhook has is kept beside them.
"""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row
from typing import Literal

from state.codec import moment, stamp
from state.database import Database
from state.records import LooseEnd

Kind = Literal["leftovers", "alias", "folder", "webhook"]


class LooseEnds:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def loose_ends(self, now: datetime) -> tuple[LooseEnd, ...]:
        """Those to be looked at now, oldest first."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT * FROM loose_ends WHERE not_before <= ? ORDER BY id LIMIT 100", stamp(now)
            )
        return tuple(_loose_end(row) for row in rows)

    def to_hand_over(self, model: str) -> tuple[LooseEnd, ...]:
        """What the serving side of a model has yet to be handed."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT * FROM loose_ends WHERE model = ? AND kind IN ('folder', 'webhook') ORDER BY id",
                model,
            )
        return tuple(_loose_end(row) for row in rows)

    def leave(self, model: str, kind: Kind, now: datetime, *, again: bool = False) -> None:
        """Write one down; one of the same kind that waits already will do, unless `again`: it may be tied just now."""
        with self._db.write():
            known = "SELECT 1 FROM loose_ends WHERE model = ? AND kind = ? AND job = ''"
            if again or self._db.value(known, model, kind) is None:
                leave(self._db, model, kind, "", now)

    def handed(self, model: str, kind: Kind, place: str) -> int | None:
        """The version that a place of the serving side was handed last; None for none."""
        with self._db.read():
            number: int | None = self._db.value(
                "SELECT version FROM handed WHERE model = ? AND kind = ? AND place = ?", model, kind, place
            )
            return number

    def hand(self, model: str, kind: Kind, place: str, version: int) -> None:
        """It has it now."""
        with self._db.write():
            self._db.change(
                "INSERT INTO handed (model, kind, place, version) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (model, kind, place) DO UPDATE SET version = excluded.version",
                model,
                kind,
                place,
                version,
            )

    def tie_later(self, key: int, at: datetime) -> None:
        """Look at it again from then on."""
        with self._db.write():
            self._db.change("UPDATE loose_ends SET not_before = ? WHERE id = ?", stamp(at), key)

    def tied(self, key: int) -> None:
        """The registry agrees."""
        with self._db.write():
            self._db.change("DELETE FROM loose_ends WHERE id = ?", key)


def _loose_end(row: Row) -> LooseEnd:
    return LooseEnd(row["id"], row["model"], row["kind"], row["job"], moment(row["since"]))


def leave(db: Database, model: str, kind: Kind, job: str, now: datetime) -> None:
    """Write one down, inside a transaction."""
    row = {"model": model, "kind": kind, "job": job, "since": stamp(now), "not_before": stamp(now)}
    db.insert("loose_ends", row)
