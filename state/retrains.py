"""Verbs on retrains: approved once, run by one process, decided once."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from sqlite3 import Row
from uuid import uuid4

from state import incidents, loose_ends, versions
from state.codec import (
    files_from_json,
    files_to_json,
    maybe,
    moment,
    outcome_from_json,
    outcome_to_json,
    stamp,
)
from state.database import Database, of_model
from state.journal import note
from state.process import Process
from state.records import (
    RETRAIN_TRANSITIONS,
    AlreadyDecided,
    CoolingDown,
    Retrain,
    StateError,
)
from trainers.base import DataFile, RetrainOutcome


class Retrains:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def approve(
        self,
        incident_id: int | None,
        model: str,
        files: tuple[DataFile, ...],
        champion_version: int,
        by: str,
        now: datetime,
        forced: bool,
        cooldown: timedelta,
        why: str = "",
    ) -> Retrain:
        """Queue a retrain on the new labelled files, once, and note the decision.

        Of any number of approvals at the same instant exactly one returns; the others raise AlreadyDecided.
        CoolingDown if the model's last retrain is younger than `cooldown`, unless `forced`. StateError if the
        champion is no longer the one that was seen, or there is nothing to train on.
        """
        with self._db.write():
            if incident_id is not None:
                _require_open(self._db, incident_id, model)
            active = self._db.row(
                "SELECT * FROM retrains WHERE model = ? AND state IN ('queued', 'running')", model
            )
            if active is not None:
                raise AlreadyDecided(active["approved_by"], moment(active["approved_at"]), "approved")
            _require_champion(self._db, model, champion_version)
            if not files:
                raise StateError(f"there are no labelled files to retrain {model} on")
            last = _last_retrain_at(self._db, model)
            if last is not None and not forced and now < last + cooldown:
                raise CoolingDown(last + cooldown)
            row = {
                "model": model, "state": "queued", "incident_id": incident_id, "files": files_to_json(files),
                "champion_version": champion_version, "approved_by": by, "approved_at": stamp(now),
                "forced": int(forced), "why": why,
                "job": uuid4().hex,
            }  # fmt: skip
            retrain_id = self._db.insert("retrains", row)
            if incident_id is not None:
                incidents.move(self._db, incident_id, "retraining", by, now)
            reason = ": ".join(filter(None, (f"{len(files)} labelled file(s)", why)))
            subject = f"retrain {retrain_id}" + (f" for incident {incident_id}" if incident_id else "")
            note(
                self._db,
                by,
                "force" if forced else "approve",
                model,
                subject,
                reason,
                now,
            )
            return load(self._db, retrain_id)

    def next_queued(self, model: str | None = None) -> Retrain | None:
        """The retrain that has waited longest, of one model or of all."""
        with self._db.read():
            row = self._db.row(
                "SELECT * FROM retrains WHERE state = 'queued' AND (? IS NULL OR model = ?)"
                " ORDER BY id LIMIT 1",
                model,
                model,
            )
        return None if row is None else _retrain(row)

    def start_retrain(self, retrain_id: int, now: datetime) -> bool:
        """Take a queued retrain; False if another process was first. It belongs to the calling process."""
        me = Process.of()
        with self._db.write():
            load(self._db, retrain_id)
            changed = self._db.change(
                "UPDATE retrains SET state = 'running', started_at = ?, host = ?, pid = ?, started = ?"
                " WHERE id = ? AND state = 'queued'",
                stamp(now),
                *asdict(me).values(),
                retrain_id,
            )
            return changed == 1

    def finish_retrain(
        self, retrain_id: int, outcome: RetrainOutcome, now: datetime, *, shadow_batches: int = 0
    ) -> Retrain:
        """The challenger is trained: keep it and the comparison; the incident waits for a decision.

        Until then it scores the next `shadow_batches` batches beside the champion (see `state.shadows`).
        """
        with self._db.write():
            retrain = move(self._db, retrain_id, "succeeded")
            if outcome.version.model != retrain.model:
                raise StateError(
                    f"retrain {retrain_id} is of {retrain.model}, not of {outcome.version.model}"
                )
            versions.add(self._db, outcome.version, now)
            self._db.change(
                "UPDATE retrains SET finished_at = ?, outcome = ?, version = ?, shadow_batches = ? WHERE id = ?",
                stamp(now),
                outcome_to_json(outcome),
                outcome.version.version,
                shadow_batches,
                retrain_id,
            )
            if retrain.incident_id is not None:
                incidents.move(self._db, retrain.incident_id, "decision", "", now)
            return load(self._db, retrain_id)

    def fail_retrain(self, retrain_id: int, error: str, now: datetime) -> Retrain:
        """The training failed: the incident is open again and may be approved again."""
        with self._db.write():
            return _end_without_result(self._db, retrain_id, "failed", error, now)

    def cancel_retrain(self, retrain_id: int, by: str, now: datetime, why: str = "") -> Retrain:
        """End a retrain that is queued or running: noted, and the incident is open again.

        AlreadyDecided or StateError once it has ended: a result that was kept before this stays. Whoever runs it
        sees the state and ends its process.
        """
        with self._db.write():
            retrain = load(self._db, retrain_id)
            if retrain.state not in ("queued", "running"):
                if retrain.decided_by and retrain.decided_at:
                    raise AlreadyDecided(
                        retrain.decided_by, retrain.decided_at, retrain.state.replace("_", " ")
                    )
                raise StateError(
                    f"retrain {retrain_id} is {retrain.state} already: there is nothing to cancel"
                )
            note(self._db, by, "cancel", retrain.model, f"retrain {retrain_id}", why, now)
            _end_without_result(self._db, retrain_id, "cancelled", why, now)
            self._db.change(
                "UPDATE retrains SET decided_by = ?, decided_at = ? WHERE id = ?", by, stamp(now), retrain_id
            )
            return load(self._db, retrain_id)

    def active_retrains(self, model: str | None = None) -> tuple[Retrain, ...]:
        """Those that are queued or running, of one model or of all, oldest first."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT * FROM retrains WHERE state IN ('queued', 'running') AND (? IS NULL OR model = ?)"
                " ORDER BY id",
                model,
                model,
            )
        return tuple(_retrain(row) for row in rows)

    def interrupt_running(self, now: datetime, *, here_only: bool = False) -> tuple[Retrain, ...]:
        """At start-up: retrains whose process is gone become interrupted, their incidents open again.

        A retrain that a live process of this host runs (another command line) is left alone; queued ones stay
        queued.
        """
        with self._db.write():
            rows = self._db.rows("SELECT * FROM retrains WHERE state = 'running' ORDER BY id")
            holders = {row["id"]: Process(row["host"], row["pid"], row["started"]) for row in rows}
            gone = [key for key, p in holders.items() if not p.alive() and (p.here or not here_only)]
            why = "the process that ran it ended before it was done"
            return tuple(_end_without_result(self._db, key, "interrupted", why, now) for key in gone)

    def retrain(self, retrain_id: int) -> Retrain:
        """One retrain; StateError if there is none."""
        with self._db.read():
            return load(self._db, retrain_id)

    def retrains(self, model: str | None = None, limit: int = 20) -> tuple[Retrain, ...]:
        """The retrains of a model (or of all), newest first."""
        where, values = of_model(model)
        with self._db.read():
            rows = self._db.rows(
                f"SELECT * FROM retrains {where} ORDER BY id DESC LIMIT ?",  # noqa: S608
                *values,
                limit,
            )
        return tuple(_retrain(row) for row in rows)

    def last_retrain_at(self, model: str) -> datetime | None:
        """When the newest retrain was approved that did not fail: the cool-down counts from here."""
        with self._db.read():
            return _last_retrain_at(self._db, model)

    def decide_retrain(self, retrain_id: int, decision: str, by: str, now: datetime, why: str = "") -> bool:
        """Keep the current champion ("kept"): noted, and the incident is open again, for the drift remains.

        False if somebody decided otherwise before, or a promotion is under way. Promoting goes through
        `begin_promotion`.
        """
        if decision != "kept":
            raise StateError(f"a retrain is decided by keeping or by a promotion, not by {decision!r}")
        with self._db.write():
            retrain = load(self._db, retrain_id)
            pending = versions.pending_promotion(self._db, retrain.model)
            promoting = pending is not None and pending["retrain_id"] == retrain_id
            if retrain.state != "succeeded" or promoting:
                return False
            decide(self._db, retrain_id, "kept", by, now)
            if retrain.incident_id is not None:
                # another version has come into use since: then the drift that it was made for is an old one
                same = versions.champion_of(self._db, retrain.model) == retrain.champion_version
                incidents.move(self._db, retrain.incident_id, "open" if same else "resolved", by, now)
            note(self._db, by, "keep", retrain.model, f"retrain {retrain_id}", why, now)
            return True


def load(db: Database, retrain_id: int) -> Retrain:
    """One retrain, inside a transaction."""
    row = db.row("SELECT * FROM retrains WHERE id = ?", retrain_id)
    if row is None:
        raise StateError(f"there is no retrain {retrain_id}")
    return _retrain(row)


def move(db: Database, retrain_id: int, to: str) -> Retrain:
    """Take a retrain to another state, inside a transaction; returns it as it was."""
    retrain = load(db, retrain_id)
    if retrain.state == "cancelled" and retrain.decided_by and retrain.decided_at:
        raise AlreadyDecided(retrain.decided_by, retrain.decided_at, "cancelled")
    if to not in RETRAIN_TRANSITIONS[retrain.state]:
        raise StateError(f"retrain {retrain_id} is {retrain.state}, it cannot become {to}")
    db.change("UPDATE retrains SET state = ? WHERE id = ?", to, retrain_id)
    return retrain


def decide(db: Database, retrain_id: int, to: str, by: str, now: datetime) -> Retrain:
    """`move`, and who decided it."""
    retrain = move(db, retrain_id, to)
    db.change("UPDATE retrains SET decided_by = ?, decided_at = ? WHERE id = ?", by, stamp(now), retrain_id)
    return retrain


def of_version(db: Database, model: str, version: int) -> int | None:
    """The retrain that made a version."""
    key: int | None = db.value("SELECT id FROM retrains WHERE model = ? AND version = ?", model, version)
    return key


def _require_open(db: Database, incident_id: int, model: str) -> None:
    incident = incidents.load(db, incident_id)
    if incident.model != model:
        raise StateError(f"incident {incident_id} is of {incident.model}, not of {model}")
    if incident.closed_by and incident.closed_at:
        raise AlreadyDecided(incident.closed_by, incident.closed_at, incident.state)
    if incident.state != "open":
        row = db.row("SELECT * FROM retrains WHERE incident_id = ? ORDER BY id DESC LIMIT 1", incident_id)
        if row is None:
            raise StateError(f"incident {incident_id} is {incident.state}")
        raise AlreadyDecided(row["approved_by"], moment(row["approved_at"]), "approved")


def _require_champion(db: Database, model: str, seen: int) -> None:
    champion = versions.champion_of(db, model)
    if champion is None:
        raise StateError(f"{model} has no trained version yet: train it first")
    if champion != seen:
        raise StateError(
            f"the champion of {model} is now version {champion}, not {seen}: look again before you approve"
        )
    if versions.pending_promotion(db, model) is not None:
        raise StateError(f"a promotion of {model} is under way: try again when it is done")


def _last_retrain_at(db: Database, model: str) -> datetime | None:
    return maybe(
        db.value(
            "SELECT max(approved_at) FROM retrains WHERE model = ?"
            " AND state NOT IN ('failed', 'interrupted', 'cancelled')",
            model,
        )
    )


def _end_without_result(db: Database, retrain_id: int, state: str, error: str, now: datetime) -> Retrain:
    retrain = move(db, retrain_id, state)
    db.change("UPDATE retrains SET finished_at = ?, error = ? WHERE id = ?", stamp(now), error, retrain_id)
    if retrain.state == "running" and retrain.job:
        loose_ends.leave(db, retrain.model, "leftovers", retrain.job, now)
    if retrain.incident_id is not None:
        incidents.move(db, retrain.incident_id, "open", "", now)
    return load(db, retrain_id)


def _retrain(row: Row) -> Retrain:
    return Retrain(
        id=row["id"],
        model=row["model"],
        state=row["state"],
        incident_id=row["incident_id"],
        files=files_from_json(row["files"]),
        champion_version=row["champion_version"],
        approved_by=row["approved_by"],
        approved_at=moment(row["approved_at"]),
        forced=bool(row["forced"]),
        started_at=maybe(row["started_at"]),
        finished_at=maybe(row["finished_at"]),
        outcome=None if row["outcome"] is None else outcome_from_json(row["outcome"]),
        error=row["error"],
        decided_by=row["decided_by"],
        decided_at=maybe(row["decided_at"]),
        why=row["why"],
        back_to=row["back_to"],
        job=row["job"],
        shadow_batches=row["shadow_batches"],
    )
