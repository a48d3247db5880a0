"""The verb that rolls old batches up: verdict and scores stay, in one row a batch; what is large goes."""

from __future__ import annotations

import json
import zlib
from datetime import datetime
from typing import Any

from state.codec import stamp, to_json
from state.database import Database

IN_FULL = 100  # the newest checks of each model are never rolled up: creep and `tune` look at 50
ROLLED_UP = "this check is rolled up: what it found beside its scores is not kept any longer"

# What is left of a report.
_KEPT = (
    "verdict", "recommendation", "overall_psi", "rows", "rows_needed", "baseline_version", "policy", "unmeasured",
    "estimate", "creeping", "faults",
)  # fmt: skip
_SCORE = ("feature", "detector", "statistic", "effect", "p_value", "severity", "drifted")

# Of batches on which people have spoken, or may still decide, everything is kept.
_OLD = f"""
SELECT id FROM batches AS b
WHERE state = 'checked' AND rolled_up = 0 AND checked_at < ? AND quarantine IS NULL
AND NOT (held = 1 AND reported_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM incident_batches m JOIN incidents i ON i.id = m.incident_id
    WHERE m.batch_id = b.id AND i.closed_at IS NULL)
AND id NOT IN (
    SELECT same.id FROM feedback f
    LEFT JOIN incident_batches m ON m.incident_id = f.incident_id
    JOIN batches own ON own.id = coalesce(f.batch_id, m.batch_id)
    JOIN batches same ON same.model = own.model AND same.sha256 = own.sha256
    UNION
    SELECT same.id FROM retrains r
    JOIN incident_batches m ON m.incident_id = r.incident_id
    JOIN batches own ON own.id = m.batch_id
    JOIN batches same ON same.model = own.model AND same.sha256 = own.sha256
    WHERE r.state = 'promoted'
)
AND id < (SELECT n.id FROM batches AS n WHERE n.model = b.model AND n.state = 'checked' AND n.quarantine IS NULL
    ORDER BY n.id DESC LIMIT 1 OFFSET {IN_FULL - 1})
{{among}}
ORDER BY checked_at LIMIT ?
"""  # noqa: S608  our own number
_STILL = "AND id IN (SELECT value FROM json_each(?))"


class RollUp:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def roll_up(self, before: datetime, limit: int = 20) -> int:
        """Roll up the oldest batches that were checked before a time; returns how many.

        Few at a time, so that no other writer waits. Left alone are the newest 100 checks of each model, batches of
        incidents that are not closed, those of which somebody said what they were, and those set aside or held.
        """
        with self._db.read():  # what takes long keeps nobody from writing
            old = self._db.rows(_OLD.format(among=""), stamp(before), limit)
        which = json.dumps([row["id"] for row in old])
        with self._db.write():
            still = self._db.rows(_OLD.format(among=_STILL), stamp(before), which, limit) if old else []
            for row in still:
                self._one(row["id"])
        return len(still)

    def _one(self, batch_id: int) -> None:
        report = json.loads(self._db.value("SELECT report FROM batches WHERE id = ?", batch_id))
        scores = self._db.rows(
            f"SELECT {', '.join(_SCORE)} FROM scores WHERE batch_id = ? ORDER BY id",  # noqa: S608
            batch_id,
        )
        packed = zlib.compress(to_json([tuple(score) for score in scores]).encode())
        self._db.insert("rollups", {"batch_id": batch_id, "scores": packed})
        for table in ("scores", "profiles"):
            self._db.change(f"DELETE FROM {table} WHERE batch_id = ?", batch_id)  # noqa: S608
        head = {key: report[key] for key in _KEPT if key in report} | {"notes": [ROLLED_UP]}
        self._db.change("UPDATE batches SET rolled_up = 1, report = ? WHERE id = ?", to_json(head), batch_id)


def scores_of(db: Database, batch_id: int) -> list[dict[str, Any]]:
    """The scores of a batch that is rolled up, in their order, as the table `scores` had them."""
    packed = db.value("SELECT scores FROM rollups WHERE batch_id = ?", batch_id)
    return [dict(zip(_SCORE, score, strict=True)) for score in json.loads(zlib.decompress(packed))]
