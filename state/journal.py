"""Verbs on what is only ever added: the audit log, performance evaluations, and counters over everything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from state.codec import moment, stamp, to_json
from state.database import Database
from state.records import Decision, PerformanceRecord, StateError

_COUNTERS = {
    "batches": "SELECT count(*) FROM batches WHERE model = ? AND state = 'checked'",
    "failed": "SELECT count(*) FROM batches WHERE model = ? AND state = 'failed'",
    "alerts": "SELECT count(*) FROM incidents WHERE model = ?",
    "dismissed": "SELECT count(*) FROM incidents WHERE model = ? AND state = 'dismissed'",
    "retrains": "SELECT count(*) FROM retrains WHERE model = ?",
    "retrains_failed": "SELECT count(*) FROM retrains WHERE model = ? AND state IN ('failed', 'interrupted')",
    "promotions": "SELECT count(*) FROM promotions WHERE model = ? AND state = 'done' AND kind = 'promote'",
    "rollbacks": "SELECT count(*) FROM promotions WHERE model = ? AND state = 'done' AND kind = 'roll_back'",
}


class Journal:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def record_decision(
        self, who: str, what: str, model: str, subject: str, why: str, now: datetime
    ) -> Decision:
        """Add a line to the audit log: refusals and the like. The deciding verbs write their own line."""
        with self._db.write():
            return note(self._db, who, what, model, subject, why, now)

    def decisions(self, model: str | None = None, limit: int = 20) -> tuple[Decision, ...]:
        """The audit log of a model (or of all), newest first."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT * FROM decisions WHERE ? IS NULL OR model = ? ORDER BY id DESC LIMIT ?",
                model,
                model,
                limit,
            )
        return tuple(
            Decision(r["id"], moment(r["at"]), r["who"], r["what"], r["model"], r["subject"], r["why"])
            for r in rows
        )

    def save_performance(
        self,
        model: str,
        path: str,
        sha256: str,
        rows: int,
        metrics: Mapping[str, float | None],
        breaches: tuple[str, ...],
        run_url: str,
        now: datetime,
    ) -> PerformanceRecord:
        """Keep one evaluation of labelled predictions."""
        row = {
            "model": model, "path": path, "sha256": sha256, "at": stamp(now), "rows": rows,
            "metrics": to_json(dict(metrics)), "breaches": to_json(breaches), "run_url": run_url,
        }  # fmt: skip
        with self._db.write():
            key = self._db.insert("performance", row)
        return PerformanceRecord(
            key, model, path, sha256, now, rows, MappingProxyType(dict(metrics)), breaches, run_url
        )

    def performance(self, performance_id: int) -> PerformanceRecord:
        """One evaluation; StateError if there is none."""
        found = self._performance("id = ?", performance_id)
        if found is None:
            raise StateError(f"there is no evaluation {performance_id}")
        return found

    def last_performance(self, model: str) -> PerformanceRecord | None:
        """The newest evaluation of a model."""
        return self._performance("model = ?", model)

    def _performance(self, where: str, value: Any) -> PerformanceRecord | None:
        with self._db.read():
            r = self._db.row(f"SELECT * FROM performance WHERE {where} ORDER BY id DESC LIMIT 1", value)  # noqa: S608
        if r is None:
            return None
        metrics = MappingProxyType(json.loads(r["metrics"]))
        breaches = tuple(json.loads(r["breaches"]))
        return PerformanceRecord(
            r["id"],
            r["model"],
            r["path"],
            r["sha256"],
            moment(r["at"]),
            r["rows"],
            metrics,
            breaches,
            r["run_url"],
        )

    def counters(self, model: str) -> Mapping[str, int]:
        """How often each thing happened to a model.

        batches (checked), failed (batches), alerts (incidents), dismissed, retrains,
        retrains_failed, promotions, rollbacks.
        """
        with self._db.read():
            return {name: int(self._db.value(sql, model)) for name, sql in _COUNTERS.items()}


def note(db: Database, who: str, what: str, model: str, subject: str, why: str, now: datetime) -> Decision:
    """Add a line to the audit log, inside the transaction of the decision itself."""
    row = {"at": stamp(now), "who": who, "what": what, "model": model, "subject": subject, "why": why}
    return Decision(db.insert("decisions", row), now, who, what, model, subject, why)
