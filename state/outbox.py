"""Verbs on the outbox: what is to be said in Slack, kept until it is said, in order within an incident."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from sqlite3 import Row
from typing import Any

from state.codec import maybe, stamp, to_json
from state.database import Database
from state.records import OutboxItem, StateError

_SELECT = (
    "SELECT o.*, (SELECT key FROM outbox_keys k WHERE k.item_id = o.id ORDER BY k.id LIMIT 1) AS key"
    " FROM outbox o"
)


class Outbox:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def enqueue(
        self, kind: str, key: str, payload: Mapping[str, Any], incident_id: int | None, now: datetime
    ) -> OutboxItem | None:
        """Something to say; None if the key is known.

        Edits coalesce: an item of kind "incident" whose delivery has not begun takes the new payload and
        keeps its place. Once its delivery has begun the next edit is an item of its own: none is lost.
        """
        with self._db.write():
            waiting = self._waiting_edit(incident_id) if kind == "incident" else None
            known = self._db.value("SELECT item_id FROM outbox_keys WHERE key = ?", key)
            if known is not None and known != waiting:
                return None
            if waiting is not None:
                self._db.change("UPDATE outbox SET payload = ? WHERE id = ?", to_json(dict(payload)), waiting)
                item_id = waiting
            else:
                row = {
                    "kind": kind, "payload": to_json(dict(payload)), "incident_id": incident_id,
                    "state": "pending", "attempts": 0, "last_error": "", "started": 0,
                    "created_at": stamp(now),
                }  # fmt: skip
                item_id = self._db.insert("outbox", row)
            self._db.change("INSERT OR IGNORE INTO outbox_keys (key, item_id) VALUES (?, ?)", key, item_id)
            return _load(self._db, item_id)

    def due(self, now: datetime, limit: int = 20) -> tuple[OutboxItem, ...]:
        """What may be delivered now, oldest first; of each incident only its first undelivered item.

        While an incident's message is not in Slack, that comes first: all else belongs into its thread.
        """
        with self._db.read():
            rows = self._db.rows(
                f"{_SELECT} WHERE o.state = 'pending' AND (o.not_before IS NULL OR o.not_before <= ?)"  # noqa: S608
                " AND (o.incident_id IS NULL OR o.id = (SELECT e.id FROM outbox e"
                " JOIN incidents i ON i.id = e.incident_id"
                " WHERE e.incident_id = o.incident_id AND e.state = 'pending'"
                " ORDER BY e.kind = 'incident' AND i.ts IS NULL DESC, e.id LIMIT 1)) ORDER BY o.id LIMIT ?",
                stamp(now),
                limit,
            )
        return tuple(_item(row) for row in rows)

    def mark_started(self, item_id: int, now: datetime) -> OutboxItem:
        """Delivery begins: counts the attempt, and keeps the time of the first.

        Deliver what this returns, not what `due` returned: an edit may have come in between.
        """
        with self._db.write():
            self._change(
                item_id,
                "UPDATE outbox SET started = 1, attempts = attempts + 1,"
                " started_at = coalesce(started_at, ?) WHERE",
                stamp(now),
            )
            return _load(self._db, item_id)

    def delivered(self, item_id: int, now: datetime) -> None:
        """Slack has it."""
        with self._db.write():
            self._change(item_id, "UPDATE outbox SET state = 'delivered', finished_at = ? WHERE", stamp(now))

    def retry_later(self, item_id: int, not_before: datetime, error: str) -> None:
        """Not this time; the later items of its incident wait with it."""
        with self._db.write():
            self._change(
                item_id, "UPDATE outbox SET not_before = ?, last_error = ? WHERE", stamp(not_before), error
            )

    def give_up(self, item_id: int, error: str, now: datetime) -> None:
        """It will never be delivered; the later items of its incident go on."""
        with self._db.write():
            self._change(
                item_id,
                "UPDATE outbox SET state = 'given_up', last_error = ?, finished_at = ? WHERE",
                error,
                stamp(now),
            )

    def _waiting_edit(self, incident_id: int | None) -> int | None:
        key: int | None = self._db.value(
            "SELECT id FROM outbox WHERE incident_id = ? AND kind = 'incident' AND state = 'pending'"
            " AND started = 0",
            incident_id,
        )
        return key

    def _change(self, item_id: int, update: str, *values: Any) -> None:
        changed = self._db.change(f"{update} id = ? AND state = 'pending'", *values, item_id)
        if not changed:
            _load(self._db, item_id)
            raise StateError(f"outbox item {item_id} is delivered or given up already")


def _load(db: Database, item_id: int) -> OutboxItem:
    row = db.row(f"{_SELECT} WHERE o.id = ?", item_id)
    if row is None:
        raise StateError(f"there is no outbox item {item_id}")
    return _item(row)


def _item(row: Row) -> OutboxItem:
    return OutboxItem(
        id=row["id"],
        kind=row["kind"],
        key=row["key"],
        payload=json.loads(row["payload"]),
        incident_id=row["incident_id"],
        attempts=row["attempts"],
        not_before=maybe(row["not_before"]),
        last_error=row["last_error"],
        started=bool(row["started"]),
        started_at=maybe(row["started_at"]),
    )
