"""Verbs on what is only ever added: the audit log, performance evaluations, and counters over everything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from sqlite3 import Row
from types import MappingProxyType
from typing import Any

from detectors.metrics import Interval
from state.codec import moment, stamp, to_json
from state.database import Database, of_model
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

# Beside the metrics in their JSON column, so that an older release still reads the file.
_MORE = "(more)"


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
        where, values = of_model(model)
        with self._db.read():
            rows = self._db.rows(
                f"SELECT * FROM decisions {where} ORDER BY id DESC LIMIT ?",  # noqa: S608
                *values,
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
        *,
        batch_id: int | None = None,
        intervals: Mapping[str, Interval] | None = None,
        case: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> PerformanceRecord:
        """Keep one evaluation of labelled predictions; `details` in JSON types."""
        more = {
            "batch_id": batch_id,
            "intervals": {name: asdict(interval) for name, interval in (intervals or {}).items()},
            "case": case,
            "details": dict(details or {}),
        }
        row = {
            "model": model, "path": path, "sha256": sha256, "at": stamp(now), "rows": rows,
            "metrics": to_json({**metrics, _MORE: more}), "breaches": to_json(breaches), "run_url": run_url,
        }  # fmt: skip
        with self._db.write():
            return self.performance(self._db.insert("performance", row))

    def set_run_url(self, performance_id: int, url: str) -> None:
        """Where an evaluation was logged, later than it was made."""
        with self._db.write():
            self._db.change("UPDATE performance SET run_url = ? WHERE id = ?", url, performance_id)

    def performance(self, performance_id: int) -> PerformanceRecord:
        """One evaluation; StateError if there is none."""
        found = self._performance("id = ?", performance_id)
        if found is None:
            raise StateError(f"there is no evaluation {performance_id}")
        return found

    def last_performance(self, model: str) -> PerformanceRecord | None:
        """The newest evaluation of a model."""
        return self._performance("model = ?", model)

    def performances(self, model: str, limit: int = 100) -> tuple[PerformanceRecord, ...]:
        """The evaluations of a model, newest first."""
        return self._performances("model = ?", model, limit)

    def _performance(self, where: str, value: Any) -> PerformanceRecord | None:
        return next(iter(self._performances(where, value, 1)), None)

    def _performances(self, where: str, value: Any, limit: int) -> tuple[PerformanceRecord, ...]:
        with self._db.read():
            rows = self._db.rows(
                f"SELECT * FROM performance WHERE {where} ORDER BY id DESC LIMIT ?",  # noqa: S608
                value,
                limit,
            )
        return tuple(_record(row) for row in rows)

    def counters(self, model: str) -> Mapping[str, int]:
        """How often each thing happened to a model.

        batches (checked), failed (batches), alerts (incidents), dismissed, retrains,
        retrains_failed, promotions, rollbacks.
        """
        with self._db.read():
            return {name: int(self._db.value(sql, model)) for name, sql in _COUNTERS.items()}


def _record(row: Row) -> PerformanceRecord:
    metrics = json.loads(row["metrics"])
    more = metrics.pop(_MORE, {})  # absent in the records of an earlier release
    intervals = {name: Interval(**interval) for name, interval in more.get("intervals", {}).items()}
    return PerformanceRecord(
        id=row["id"],
        model=row["model"],
        path=row["path"],
        sha256=row["sha256"],
        at=moment(row["at"]),
        rows=row["rows"],
        metrics=MappingProxyType(metrics),
        breaches=tuple(json.loads(row["breaches"])),
        run_url=row["run_url"],
        batch_id=more.get("batch_id"),
        intervals=MappingProxyType(intervals),
        case=more.get("case", ""),
        details=MappingProxyType(more.get("details", {})),
    )


def note(db: Database, who: str, what: str, model: str, subject: str, why: str, now: datetime) -> Decision:
    """Add a line to the audit log, inside the transaction of the decision itself."""
    row = {"at": stamp(now), "who": who, "what": what, "model": model, "subject": subject, "why": why}
    return Decision(db.insert("decisions", row), now, who, what, model, subject, why)
