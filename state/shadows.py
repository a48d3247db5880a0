"""Verbs on shadow periods: what a challenger says of the next batches while its retrain waits for a decision.

How many batches it is asked for is fixed when the retrain finishes. The period ends when they are scored, when somebody
decides, when another version comes into use, or when a newer retrain of the model has finished.
"""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row
from typing import Any

from detectors.disagreement import Disagreement
from state.codec import (
    disagreement_from_json,
    disagreement_to_json,
    labels_from_json,
    labels_to_json,
    moment,
    stamp,
)
from state.database import Database
from state.records import Batch, ByLabels, Shadow, ShadowedBatch

_PERIOD = (
    "SELECT r.id, r.model, r.incident_id, r.champion_version, r.version, r.shadow_batches,"
    " r.state = 'succeeded' AND r.champion_version ="
    " (SELECT version FROM versions WHERE model = r.model AND is_champion = 1)"
    " AND NOT EXISTS (SELECT 1 FROM retrains AS newer WHERE newer.model = r.model AND newer.id > r.id"
    " AND newer.version IS NOT NULL) AS waits FROM retrains AS r WHERE r.id = ? AND r.shadow_batches > 0"
)


class Shadows:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def shadow_for(self, batch: Batch) -> Shadow | None:
        """The period in which the challenger is to score this batch too; None where there is none.

        The same content counts once, and not at all where it was checked before (then it is no next batch).
        """
        with self._db.read():
            shadow = self.shadow_under_way(batch.model)
            if shadow is None or not shadow.running or str(shadow.champion) != batch.baseline_version:
                return None
            known = self._db.value(
                "SELECT 1 FROM batches WHERE model = ?1 AND sha256 = ?2 AND +state = 'checked' AND id <> ?3"
                " UNION ALL SELECT 1 FROM shadows WHERE retrain_id = ?4 AND sha256 = ?2",
                batch.model,
                batch.sha256,
                batch.id,
                shadow.retrain_id,
            )
        return None if known else shadow

    def keep_shadow(
        self, retrain_id: int, batch_id: int, found: Disagreement | None, trouble: str, now: datetime
    ) -> Shadow | None:
        """What both said of a batch, or why one could not; returns the period with it.

        None, and nothing is kept, where the period has ended meanwhile or the content is counted already.
        """
        with self._db.write():
            shadow = _load(self._db, retrain_id)
            if shadow is None or not shadow.running:
                return None
            kept = self._db.change(
                "INSERT OR IGNORE INTO shadows (retrain_id, batch_id, sha256, at, found, trouble)"
                " SELECT ?, id, sha256, ?, ?, ? FROM batches WHERE id = ?",
                retrain_id,
                stamp(now),
                None if found is None else disagreement_to_json(found),
                trouble,
                batch_id,
            )
            return _load(self._db, retrain_id) if kept else None

    def keep_labels(self, retrain_id: int, sha256: str, labels: ByLabels) -> Shadow | None:
        """Who was right on labelled rows of a batch; a newer answer takes the place of an older one."""
        with self._db.write():
            self._db.change(
                "UPDATE shadows SET labels = ? WHERE retrain_id = ? AND sha256 = ?",
                labels_to_json(labels),
                retrain_id,
                sha256,
            )
            return _load(self._db, retrain_id)

    def shadow(self, retrain_id: int) -> Shadow | None:
        """The period of a retrain, ended or not; None where it has none."""
        with self._db.read():
            return _load(self._db, retrain_id)

    def shadow_under_way(self, model: str) -> Shadow | None:
        """The period of a model's retrain that waits for its decision, complete or not."""
        with self._db.read():
            key = self._db.value(
                "SELECT id FROM retrains WHERE state = 'succeeded' AND model = ? AND shadow_batches > 0"
                " ORDER BY id DESC LIMIT 1",
                model,
            )
            shadow = None if key is None else _load(self._db, key)
        return shadow if shadow is not None and shadow.waits else None

    def last_shadow(self, model: str) -> Shadow | None:
        """The newest period of a model, ended or not."""
        with self._db.read():
            key = self._db.value(
                "SELECT id FROM retrains WHERE model = ? AND shadow_batches > 0 ORDER BY id DESC LIMIT 1",
                model,
            )
            return None if key is None else _load(self._db, key)

    def shadows_of(self, model: str, sha256: str) -> tuple[Shadow, ...]:
        """The periods in which a content was scored, newest first."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT s.retrain_id FROM shadows AS s JOIN retrains AS r ON r.id = s.retrain_id"
                " WHERE s.sha256 = ? AND r.model = ? ORDER BY s.retrain_id DESC",
                sha256,
                model,
            )
            found = (_load(self._db, row["retrain_id"]) for row in rows)
            return tuple(shadow for shadow in found if shadow is not None)


def _load(db: Database, retrain_id: int) -> Shadow | None:
    row = db.row(_PERIOD, retrain_id)
    if row is None:
        return None
    # A batch in quarantine is no part of the history, nor is one that was released until it is checked again; with it
    # there may be more than were asked for.
    batches = db.rows(
        "SELECT s.*, b.path FROM shadows AS s JOIN batches AS b ON b.id = s.batch_id"
        " WHERE s.retrain_id = ? AND b.quarantine IS NULL AND EXISTS (SELECT 1 FROM batches AS same"
        " WHERE same.model = b.model AND same.sha256 = b.sha256 AND +same.state = 'checked'"
        " AND same.quarantine IS NULL) ORDER BY s.id LIMIT ?",
        retrain_id,
        row["shadow_batches"],
    )
    return Shadow(
        retrain_id=row["id"],
        model=row["model"],
        incident_id=row["incident_id"],
        champion=row["champion_version"],
        challenger=row["version"],
        wanted=row["shadow_batches"],
        waits=bool(row["waits"]),
        batches=tuple(map(_batch, batches)),
    )


def _batch(row: Row) -> ShadowedBatch:
    def read(text: str | None, reader: Any) -> Any:
        return None if text is None else reader(text)

    return ShadowedBatch(
        batch_id=row["batch_id"],
        path=row["path"],
        at=moment(row["at"]),
        found=read(row["found"], disagreement_from_json),
        trouble=row["trouble"],
        labels=read(row["labels"], labels_from_json),
    )
