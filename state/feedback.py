"""Verbs on feedback: what people said of an alert once they knew. Only ever added; the newest of a person counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from sqlite3 import Row

from state.codec import moment, stamp
from state.database import Database, of_model
from state.journal import note
from state.records import Feedback, StateError, Truth


class Feedbacks:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def give_feedback(
        self,
        verdict: Truth,
        by: str,
        why: str,
        now: datetime,
        *,
        incident_id: int | None = None,
        batch_id: int | None = None,
    ) -> Feedback:
        """Say of an incident, or of one checked batch, what it was; a line in the audit log too.

        Saying the same again is kept as well: the reason may be new. StateError for what does not exist.
        """
        if (incident_id is None) == (batch_id is None):
            raise ValueError("feedback is about one incident or one batch")
        with self._db.write():
            model = _model_of(self._db, incident_id, batch_id)
            subject = f"batch {batch_id}" if incident_id is None else f"incident {incident_id}"
            note(self._db, by, verdict, model, subject, why, now)
            return add(self._db, model, verdict, by, why, now, incident_id=incident_id, batch_id=batch_id)

    def feedback(self, model: str | None = None, limit: int = 20) -> tuple[Feedback, ...]:
        """All that was said of a model (or of all), newest first, also what its author has changed since."""
        where, values = of_model(model)
        with self._db.read():
            rows = self._db.rows(
                f"SELECT * FROM feedback {where} ORDER BY id DESC LIMIT ?",  # noqa: S608
                *values,
                limit,
            )
        return tuple(map(_feedback, rows))

    def feedback_on(self, incident_id: int) -> tuple[Feedback, ...]:
        """What counts of an incident: the newest of each person, in the order in which it was said."""
        with self._db.read():
            rows = self._db.rows("SELECT * FROM feedback WHERE incident_id = ? ORDER BY id", incident_id)
        return newest_of_each(map(_feedback, rows))

    def truths(self, model: str) -> Mapping[int, tuple[Feedback, ...]]:
        """Batch id -> what counts of it, for every batch of the model of which somebody said something.

        What was said of an incident holds for each of its batches, unless the same person said something of
        the batch itself. It holds for the same bytes whenever they were checked.
        """
        with self._db.read():
            rows = self._db.rows(
                "SELECT f.*, same.id AS about FROM feedback f"
                " LEFT JOIN incident_batches b ON b.incident_id = f.incident_id"
                " LEFT JOIN batches own ON own.id = coalesce(f.batch_id, b.batch_id)"
                " LEFT JOIN batches same ON same.model = own.model AND same.sha256 = own.sha256"
                " WHERE f.model = ? ORDER BY f.batch_id IS NOT NULL, f.id",
                model,
            )
        said: dict[int, list[Feedback]] = {}
        for row in rows:
            if row["about"] is not None:
                said.setdefault(row["about"], []).append(_feedback(row))
        return {batch: newest_of_each(opinions) for batch, opinions in said.items()}


def newest_of_each(said: Iterable[Feedback]) -> tuple[Feedback, ...]:
    """The last of each person; the order is that of the last words."""
    last: dict[str, Feedback] = {}
    for one in said:
        last.pop(one.who, None)
        last[one.who] = one
    return tuple(last.values())


def add(
    db: Database,
    model: str,
    verdict: Truth,
    by: str,
    why: str,
    now: datetime,
    *,
    incident_id: int | None = None,
    batch_id: int | None = None,
) -> Feedback:
    """Keep what somebody said, inside the transaction of the decision itself."""
    row = {
        "model": model, "incident_id": incident_id, "batch_id": batch_id,
        "verdict": verdict, "who": by, "at": stamp(now), "why": why,
    }  # fmt: skip
    return Feedback(db.insert("feedback", row), model, verdict, by, now, why, incident_id, batch_id)


def _model_of(db: Database, incident_id: int | None, batch_id: int | None) -> str:
    if incident_id is not None:
        row = db.row("SELECT model FROM incidents WHERE id = ?", incident_id)
        if row is None:
            raise StateError(f"there is no incident {incident_id}")
        return str(row["model"])
    row = db.row("SELECT model, state FROM batches WHERE id = ?", batch_id)
    if row is None:
        raise StateError(f"there is no batch {batch_id}")
    if row["state"] != "checked":
        raise StateError(f"batch {batch_id} is {row['state']}: there is no verdict to speak of")
    return str(row["model"])


def _feedback(row: Row) -> Feedback:
    return Feedback(
        id=row["id"],
        model=row["model"],
        verdict=row["verdict"],
        who=row["who"],
        at=moment(row["at"]),
        why=row["why"],
        incident_id=row["incident_id"],
        batch_id=row["batch_id"],
    )
