"""Verbs on incidents and silences: one lasting drift of one model, and when not to speak of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from sqlite3 import Row

from state.codec import maybe, moment, stamp
from state.database import Database, of_model
from state.feedback import add as add_feedback
from state.journal import note
from state.records import INCIDENT_TRANSITIONS, AlreadyDecided, Incident, Silence, StateError

_SELECT = (
    "SELECT i.*, (SELECT count(*) FROM incident_batches b WHERE b.incident_id = i.id) AS batches"
    " FROM incidents i"
)


class Incidents:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def open_incident(self, model: str, batch_id: int, channel: str, now: datetime) -> Incident:
        """Open an incident with its first batch.

        A model has at most one incident that is not closed. If another process opened one a moment ago, the
        batch joins it and that incident is returned: `.batch_id == batch_id` says whether it is new.
        """
        with self._db.write():
            verdict = _verdict_of(self._db, model, batch_id)
            unclosed = _unclosed(self._db, model)
            if unclosed is not None:
                _add(self._db, unclosed, batch_id, now)
                return load(self._db, unclosed)
            row = {
                "model": model, "state": "open", "opened_at": stamp(now), "channel": channel,
                "batch_id": batch_id, "last_batch_id": batch_id, "spoke_at": stamp(now), "spoke_verdict": verdict,
            }  # fmt: skip
            incident_id = self._db.insert("incidents", row)
            _add(self._db, incident_id, batch_id, now)
            return load(self._db, incident_id)

    def add_to_incident(self, incident_id: int, batch_id: int, now: datetime) -> Incident:
        """One more batch shows the same drift; adding it twice changes nothing.

        StateError if the incident is closed.
        """
        with self._db.write():
            incident = load(self._db, incident_id)
            if incident.closed_at is not None:
                raise StateError(f"incident {incident_id} is {incident.state}: open a new one")
            _verdict_of(self._db, incident.model, batch_id)
            _add(self._db, incident_id, batch_id, now)
            return load(self._db, incident_id)

    def incident_spoke(self, incident_id: int, verdict: str, now: datetime) -> Incident:
        """The incident said something new about a batch with this verdict."""
        with self._db.write():
            self._db.change(
                "UPDATE incidents SET spoke_at = ?, spoke_verdict = ? WHERE id = ?",
                stamp(now),
                verdict,
                incident_id,
            )
            return load(self._db, incident_id)

    def set_incident_ts(self, incident_id: int, ts: str, channel: str | None = None) -> Incident:
        """The incident's Slack message was posted (or posted again); `channel` is its id where a name was used."""
        with self._db.write():
            self._db.change(
                "UPDATE incidents SET ts = ?, channel = coalesce(?, channel) WHERE id = ?",
                ts,
                channel,
                incident_id,
            )
            return load(self._db, incident_id)

    def incident(self, incident_id: int) -> Incident:
        """One incident; StateError if there is none."""
        with self._db.read():
            return load(self._db, incident_id)

    def batches_of(self, incident_id: int) -> tuple[int, ...]:
        """The ids of the batches that belong to an incident, oldest first."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT batch_id FROM incident_batches WHERE incident_id = ? ORDER BY batch_id", incident_id
            )
        return tuple(row["batch_id"] for row in rows)

    def open_incident_of(self, model: str) -> Incident | None:
        """The model's incident that is not closed (open, retraining or waiting for a decision)."""
        with self._db.read():
            key = _unclosed(self._db, model)
            return None if key is None else load(self._db, key)

    def unclosed_incidents(self) -> tuple[Incident, ...]:
        """`open_incident_of` every model that has one."""
        with self._db.read():
            rows = self._db.rows(
                f"{_SELECT} INDEXED BY one_unclosed_incident_a_model"
                " WHERE state IN ('open', 'retraining', 'decision') ORDER BY model"
            )
        return tuple(_incident(row) for row in rows)

    def incidents(self, model: str | None = None, limit: int = 20) -> tuple[Incident, ...]:
        """The incidents of a model (or of all), newest first."""
        where, values = of_model(model)
        newest = f"(SELECT id FROM incidents {where} ORDER BY opened_at DESC, id DESC LIMIT ?)"  # noqa: S608
        with self._db.read():
            rows = self._db.rows(
                f"{_SELECT} WHERE i.id IN {newest} ORDER BY opened_at DESC, id DESC", *values, limit
            )
        return tuple(_incident(row) for row in rows)

    def dismiss_incident(self, incident_id: int, by: str, why: str, now: datetime) -> bool:
        """A false alarm: close the open incident and note decision and feedback; False if it is no longer open."""
        with self._db.write():
            incident = load(self._db, incident_id)
            if incident.state != "open":
                return False
            move(self._db, incident_id, "dismissed", by, now)
            note(self._db, by, "dismiss", incident.model, f"incident {incident_id}", why, now)
            add_feedback(self._db, incident.model, "false_alarm", by, why, now, incident_id=incident_id)
            return True

    def resolve_incident(self, incident_id: int, by: str, why: str, now: datetime) -> bool:
        """The drift is over: close the open incident and note why; False if it is no longer open."""
        with self._db.write():
            incident = load(self._db, incident_id)
            if incident.state != "open":
                return False
            move(self._db, incident_id, "resolved", by, now)
            note(self._db, by, "resolve", incident.model, f"incident {incident_id}", why, now)
            return True

    def last_alert_at(self, model: str) -> datetime | None:
        """When the newest incident of the model was opened."""
        with self._db.read():
            return maybe(self._db.value("SELECT max(opened_at) FROM incidents WHERE model = ?", model))

    def snooze(
        self, model: str, until: datetime, by: str, now: datetime, incident_id: int | None = None
    ) -> Silence:
        """No new alerts of the model until then, and a decision in the log; the newest choice counts.

        AlreadyDecided if the incident is closed.
        """
        if until <= now:
            raise StateError(f"a snooze must end after it begins, not at {until:%Y-%m-%d %H:%M %Z}")
        subject = f"model {model}" if incident_id is None else f"incident {incident_id}"
        with self._db.write():
            if incident_id is not None:
                _require_unclosed(self._db, incident_id)
            row = {
                "model": model,
                "until": stamp(until),
                "by": by,
                "at": stamp(now),
                "incident_id": incident_id,
            }
            key = self._db.insert("silences", row)
            note(self._db, by, "snooze", model, subject, f"until {until:%Y-%m-%d %H:%M %Z}", now)
        return Silence(key, model, until, by, incident_id)

    def end_snooze(self, model: str, by: str, now: datetime, incident_id: int | None = None) -> Silence:
        """The model may speak again from now on, and a decision in the log. StateError if it is not snoozed."""
        subject = f"model {model}" if incident_id is None else f"incident {incident_id}"
        with self._db.write():
            silence = self.silence(model, now)
            if silence is None:
                raise StateError(f"{model} is not snoozed any more")
            self._db.change("UPDATE silences SET until = ? WHERE id = ?", stamp(now), silence.id)
            note(self._db, by, "end_snooze", model, subject, "", now)
        return replace(silence, until=now)

    def silences_ended(self, since: datetime, now: datetime) -> tuple[Silence, ...]:
        """Silences of incidents that ran out after `since` and up to `now`."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT * FROM silences WHERE incident_id IS NOT NULL AND until > ? AND until <= ? ORDER BY until, id",
                stamp(since),
                stamp(now),
            )
        return tuple(
            Silence(r["id"], r["model"], moment(r["until"]), r["by"], r["incident_id"]) for r in rows
        )

    def silence(self, model: str, now: datetime) -> Silence | None:
        """The newest silence while it lasts, None when the model may speak.

        One that was chosen for an incident which is resolved is over: another drift is another matter.
        """
        with self._db.read():
            row = self._db.row(
                "SELECT s.* FROM silences s LEFT JOIN incidents i ON i.id = s.incident_id"
                " WHERE s.model = ? AND coalesce(i.state, '') <> 'resolved' ORDER BY s.id DESC LIMIT 1",
                model,
            )
        if row is None or moment(row["until"]) <= now:
            return None
        return Silence(row["id"], row["model"], moment(row["until"]), row["by"], row["incident_id"])


def load(db: Database, incident_id: int) -> Incident:
    """One incident, inside a transaction."""
    row = db.row(f"{_SELECT} WHERE i.id = ?", incident_id)
    if row is None:
        raise StateError(f"there is no incident {incident_id}")
    return _incident(row)


def move(db: Database, incident_id: int, to: str, by: str, now: datetime) -> None:
    """Take an incident to another state, inside a transaction, if the transitions allow it."""
    state = load(db, incident_id).state
    if to not in INCIDENT_TRANSITIONS[state]:
        raise StateError(f"incident {incident_id} is {state}, it cannot become {to}")
    closed = to in ("resolved", "dismissed")
    db.change(
        "UPDATE incidents SET state = ?, closed_at = ?, closed_by = ? WHERE id = ?",
        to,
        stamp(now) if closed else None,
        by if closed else None,
        incident_id,
    )


def reopen(db: Database, incident_id: int, now: datetime) -> None:
    """A promotion was taken back: the drift is there again, unless a newer incident already speaks of it."""
    incident = load(db, incident_id)
    if incident.state == "resolved" and _unclosed(db, incident.model) is None:
        move(db, incident_id, "open", "", now)


def _unclosed(db: Database, model: str) -> int | None:
    key: int | None = db.value(
        "SELECT id FROM incidents WHERE model = ? AND state IN ('open', 'retraining', 'decision')", model
    )
    return key


def _require_unclosed(db: Database, incident_id: int) -> None:
    incident = load(db, incident_id)
    if incident.closed_at is not None:
        raise AlreadyDecided(incident.closed_by or "the bot", incident.closed_at, incident.state)


def _verdict_of(db: Database, model: str, batch_id: int) -> str | None:
    row = db.row("SELECT model, verdict FROM batches WHERE id = ?", batch_id)
    if row is None or row["model"] != model:
        raise StateError(f"model {model} has no batch {batch_id}")
    verdict: str | None = row["verdict"]
    return verdict


def _add(db: Database, incident_id: int, batch_id: int, now: datetime) -> None:
    db.change(
        "INSERT OR IGNORE INTO incident_batches (incident_id, batch_id, added_at) VALUES (?, ?, ?)",
        incident_id,
        batch_id,
        stamp(now),
    )
    db.change(
        "UPDATE incidents SET last_batch_id = max(last_batch_id, ?) WHERE id = ?", batch_id, incident_id
    )


def _incident(row: Row) -> Incident:
    return Incident(
        id=row["id"],
        model=row["model"],
        state=row["state"],
        opened_at=moment(row["opened_at"]),
        batch_id=row["batch_id"],
        last_batch_id=row["last_batch_id"],
        batches=row["batches"],
        channel=row["channel"],
        ts=row["ts"],
        closed_at=maybe(row["closed_at"]),
        closed_by=row["closed_by"],
        spoke_at=maybe(row["spoke_at"]),
        spoke_verdict=row["spoke_verdict"],
    )
