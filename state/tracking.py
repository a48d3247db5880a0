"""Verbs on what is still to be logged to MLflow: kept with the result it is about until the tracking store has it."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Mapping
from datetime import datetime
from sqlite3 import Row
from typing import Any

from state.codec import moment, stamp, to_json
from state.database import Database, of_model
from state.records import ToLog, TrackingRun

log = logging.getLogger(__name__)

MOST = (
    10_000  # entries of a model that may wait; the oldest go: a store that never comes must not fill the disk
)
_OFTEN = 5
_LOOK = 100  # entries between two looks at how many wait


class Tracking:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def queue_run(
        self, kind: str, model: str, version: str, payload: Mapping[str, Any], now: datetime
    ) -> int:
        """Something to log of a model's version; returns its step: 1, 2, … for each kind of a model.

        Call it in one transaction with what it is about. `payload` in JSON types.
        """
        with self._db.write():
            self._db.change(
                "INSERT INTO tracking_steps (model, kind, step) VALUES (?, ?, 1)"
                " ON CONFLICT (model, kind) DO UPDATE SET step = step + 1",
                model,
                kind,
            )
            step = int(
                self._db.value("SELECT step FROM tracking_steps WHERE model = ? AND kind = ?", model, kind)
            )
            row = {
                "kind": kind, "model": model, "version": version, "step": step, "at": stamp(now),
                "payload": zlib.compress(to_json(dict(payload)).encode()), "attempts": 0, "last_error": "",
            }  # fmt: skip
            self._db.insert("tracking", row)
            if step % _LOOK == 0:
                self._drop_oldest(model)
            return step

    def _drop_oldest(self, model: str) -> None:
        dropped = self._db.change(
            "DELETE FROM tracking WHERE model = ?1 AND id <="
            " (SELECT id FROM tracking WHERE model = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            model,
            MOST,
        )
        if dropped:
            log.warning("%s: %s old results were never logged to MLflow: too many wait", model, dropped)

    def to_log(self, now: datetime | None, limit: int) -> tuple[ToLog, ...]:
        """What is to be logged now, oldest first; with None, also what was to wait after a failure.

        What has failed often comes last: it must not keep the others from being tried.
        """
        with self._db.read():
            rows = self._db.rows(
                "SELECT * FROM tracking WHERE ?1 IS NULL OR not_before IS NULL OR not_before <= ?1"
                " ORDER BY attempts > ?3, id LIMIT ?2",
                None if now is None else stamp(now),
                limit,
                _OFTEN,
            )
        return tuple(_entry(row) for row in rows)

    def logging_begins(self, entry_id: int) -> None:
        """An attempt begins: it may reach the store although nobody hears of it."""
        with self._db.write():
            self._db.change("UPDATE tracking SET attempts = attempts + 1 WHERE id = ?", entry_id)

    def logged(self, entry_id: int) -> None:
        """The store has it."""
        with self._db.write():
            self._db.change("DELETE FROM tracking WHERE id = ?", entry_id)

    def log_later(self, entry_id: int, not_before: datetime, error: str) -> None:
        """Not this time."""
        with self._db.write():
            self._db.change(
                "UPDATE tracking SET not_before = ?, last_error = ? WHERE id = ?",
                stamp(not_before),
                error,
                entry_id,
            )

    def waiting_to_log(self, model: str | None = None) -> int:
        """How many entries wait, of a model or of all."""
        where, values = of_model(model)
        with self._db.read():
            return int(self._db.value(f"SELECT count(*) FROM tracking {where}", *values))  # noqa: S608

    def remember_tracking_run(
        self, place: str, model: str, version: str, run: TrackingRun, now: datetime
    ) -> None:
        """The long-lived run of a model's version in a tracking store."""
        with self._db.write():
            self._db.change(
                "INSERT INTO tracking_runs (place, model, version, run_id, url, at) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (place, model, version) DO UPDATE SET run_id = excluded.run_id, url = excluded.url",
                place,
                model,
                version,
                run.run_id,
                run.url,
                stamp(now),
            )

    def tracking_run(self, place: str, model: str, version: str) -> TrackingRun | None:
        """The long-lived run, None before anything of the version was logged there."""
        with self._db.read():
            row = self._db.row(
                "SELECT run_id, url FROM tracking_runs WHERE place = ? AND model = ? AND version = ?",
                place,
                model,
                version,
            )
        return None if row is None else TrackingRun(row["run_id"], row["url"])


def _entry(row: Row) -> ToLog:
    return ToLog(
        id=row["id"],
        kind=row["kind"],
        model=row["model"],
        version=row["version"],
        step=row["step"],
        at=moment(row["at"]),
        payload=json.loads(zlib.decompress(row["payload"])),
        attempts=row["attempts"],
        last_error=row["last_error"],
    )
