"""Verbs on batches: a file is claimed by its content, checked once, and remembered."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from sqlite3 import Row
from typing import Any

from detectors.report import DriftReport
from state.codec import maybe, moment, stamp, to_json
from state.database import Database
from state.journal import note
from state.process import Process
from state.records import Batch, Claim, HistoryPoint, PastCheck, StateError
from state.rollup import scores_of

STALE_CLAIM = timedelta(hours=1)  # a check that takes longer than this is taken for hung


class Batches:
    """See `state.store.Store`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def claim_batch(
        self,
        model: str,
        sha256: str,
        path: str,
        baseline_version: str,
        policy_sha: str,
        now: datetime,
        *,
        pid: int | None = None,
        retry_failed: bool = False,
    ) -> Claim:
        """Claim the check of a file's content against a baseline under a policy.

        Of any number of threads and processes exactly one gets "mine"; it must end with `save_report` or
        `fail_batch`. The claim of a process that died on this host, or that is older than an hour, is taken
        over: what is claimed again is not reported yet. A failed batch is "done" too, unless `retry_failed`.
        `pid` is the claimer, else this process.
        """
        claimer = Process.of(pid)
        key = {
            "model": model,
            "sha256": sha256,
            "baseline_version": baseline_version,
            "policy_sha": policy_sha,
        }
        claim = {"state": "checking", "path": path, "claimed_at": stamp(now), **asdict(claimer)}
        with self._db.write():
            row = self._db.row(
                "SELECT * FROM batches"
                " WHERE model = ? AND sha256 = ? AND baseline_version = ? AND policy_sha = ?",
                *key.values(),
            )
            if row is None:
                return Claim("mine", _load(self._db, self._db.insert("batches", {**key, **claim})))
            if row["state"] == "checked" or (row["state"] == "failed" and not retry_failed):
                return Claim("done", _load(self._db, row["id"]))
            if row["state"] == "checking" and not _abandoned(row, now):
                return Claim("running", _load(self._db, row["id"]))
            self._db.change(
                "UPDATE batches SET state = ?, path = ?, claimed_at = ?, host = ?, pid = ?, started = ?,"
                " checked_at = NULL, error = NULL, error_kind = NULL, reported_at = NULL WHERE id = ?",
                *claim.values(),
                row["id"],
            )
            return Claim("mine", _load(self._db, row["id"]))

    def save_report(self, batch_id: int, report: DriftReport, profile: bytes, now: datetime) -> Batch:
        """The check is done: keep the report, its scores and the profile.

        StateError if the batch is not being checked: its claim was taken over and the other was faster.
        """
        head = report.to_dict()
        scores = head.pop("features")
        with self._db.write():
            changed = self._db.change(
                "UPDATE batches SET state = 'checked', checked_at = ?, rows = ?, verdict = ?,"
                " overall_psi = ?, worst = ?, report = ? WHERE id = ? AND state = 'checking'",
                stamp(now),
                report.rows,
                report.verdict,
                report.overall_psi,
                _worst(report),
                to_json(head),
                batch_id,
            )
            _require_checking(self._db, batch_id, changed)
            if scores:
                self._db.insert_all("scores", ({"batch_id": batch_id, **score} for score in scores))
            self._db.insert("profiles", {"batch_id": batch_id, "data": profile})
            return _load(self._db, batch_id)

    def fail_batch(self, batch_id: int, kind: str, message: str, now: datetime) -> Batch:
        """The file could not be read or measured; `kind` is the error's short word.

        StateError as in `save_report`.
        """
        with self._db.write():
            changed = self._db.change(
                "UPDATE batches SET state = 'failed', checked_at = ?, error_kind = ?, error = ?"
                " WHERE id = ? AND state = 'checking'",
                stamp(now),
                kind,
                message,
                batch_id,
            )
            _require_checking(self._db, batch_id, changed)
            return _load(self._db, batch_id)

    def mark_reported(self, batch_id: int, now: datetime) -> Batch:
        """It is decided what Slack is told of a finished batch; call it in one transaction with the telling."""
        with self._db.write():
            self._db.change(
                "UPDATE batches SET reported_at = ? WHERE id = ? AND state != 'checking' AND reported_at IS NULL",
                stamp(now),
                batch_id,
            )
            batch = _load(self._db, batch_id)
            if not batch.reported:
                raise StateError(f"batch {batch_id} is being checked, there is nothing to report yet")
            return batch

    def hold(self, batch_id: int) -> None:
        """What Slack is told of a checked batch is to be decided again later."""
        with self._db.write():
            self._db.change("UPDATE batches SET held = 1 WHERE id = ? AND state <> 'checking'", batch_id)

    def release(self, batch_id: int) -> None:
        """Nothing is to be decided on it any more, and nobody was told of it."""
        with self._db.write():
            self._db.change("UPDATE batches SET held = 0 WHERE id = ?", batch_id)

    def quarantine_batch(self, batch_id: int, path: str, by: str, why: str, now: datetime) -> Batch:
        """The batch's file lies at `path`, aside; StateError if it does already, or is being checked."""
        with self._db.write():
            batch = _load(self._db, batch_id)
            if batch.quarantine is not None:
                raise StateError(f"batch {batch_id} is in quarantine already, at {batch.quarantine}")
            if batch.state == "checking":
                raise StateError(f"batch {batch_id} is being checked: wait for its end")
            self._db.change(  # the file may have been checked against several baselines and policies
                "UPDATE batches SET quarantine = ?, held = 0 WHERE model = ? AND sha256 = ? AND quarantine IS NULL"
                " AND state <> 'checking'",
                path,
                batch.model,
                batch.sha256,
            )
            note(self._db, by, "quarantine", batch.model, f"batch {batch_id}", why, now)
            return _load(self._db, batch_id)

    def release_batch(self, batch_id: int, path: str, by: str, why: str, now: datetime) -> Batch:
        """The batch's file is back at `path` and is to be checked again; StateError if it was not aside."""
        with self._db.write():
            batch = _load(self._db, batch_id)
            if batch.quarantine is None:
                raise StateError(f"batch {batch_id} is not in quarantine")
            aside = batch.quarantine
            batch_id = self._db.value(
                "SELECT max(id) FROM batches WHERE model = ? AND quarantine = ?", batch.model, aside
            )
            self._db.change(
                "UPDATE batches SET quarantine = NULL, path = ? WHERE model = ? AND quarantine = ?",
                path,
                batch.model,
                aside,
            )
            for table in ("scores", "profiles", "rollups"):
                self._db.change(f"DELETE FROM {table} WHERE batch_id = ?", batch_id)  # noqa: S608
            self._db.change(
                "UPDATE batches SET quarantine = NULL, path = ?, state = 'failed', error_kind = 'released',"
                " error = 'released from quarantine: it is checked again', verdict = NULL, rows = NULL,"
                " overall_psi = NULL, worst = NULL, report = NULL, rolled_up = 0 WHERE id = ?",
                path,
                batch_id,
            )
            note(self._db, by, "release", batch.model, f"batch {batch_id}", why, now)
            return _load(self._db, batch_id)

    def broken_feed(self, model: str) -> Batch | None:
        """The newest batch of a model if its feed is broken and it is not set aside."""
        newest = self._newest(
            "SELECT id FROM batches WHERE model = ? AND state = 'checked' AND quarantine IS NULL"
            " AND reported_at IS NOT NULL ORDER BY checked_at DESC, id DESC LIMIT 1",
            model,
        )
        return newest if newest is not None and newest.verdict == "broken_feed" else None

    def in_quarantine(self, model: str) -> tuple[Batch, ...]:
        """The batches of a model that are set aside, oldest first."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT max(id) AS id FROM batches WHERE model = ? AND quarantine IS NOT NULL"
                " GROUP BY quarantine ORDER BY max(id)",
                model,
            )
            return tuple(_load(self._db, row["id"]) for row in rows)

    def calm_since(self, incident_id: int, batch_id: int, baseline_version: str) -> int:
        """How many batches in a row, up to this one, were stable against a version since the incident's last drift.

        Only those count of which it was decided what Slack is told: a file somebody looks at by hand is no traffic.
        """
        with self._db.read():
            rows = self._db.rows(
                "SELECT verdict FROM batches WHERE model = (SELECT model FROM incidents WHERE id = ?1)"
                " AND id > (SELECT last_batch_id FROM incidents WHERE id = ?1) AND id <= ?2"
                " AND state = 'checked' AND baseline_version = ?3 AND (reported_at IS NOT NULL OR id = ?2)"
                " AND quarantine IS NULL"
                " ORDER BY id DESC",
                incident_id,
                batch_id,
                baseline_version,
            )
        return next((n for n, row in enumerate(rows) if row["verdict"] != "stable"), len(rows))

    def held(self, model: str) -> tuple[Batch, ...]:
        """The finished batches of a model on which it is still to be decided, oldest first."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT id FROM batches WHERE model = ? AND held = 1 AND reported_at IS NULL"
                " AND state <> 'checking' ORDER BY checked_at, id",
                model,
            )
            return tuple(_load(self._db, row["id"]) for row in rows)

    def batch(self, batch_id: int) -> Batch:
        """One batch with its report; StateError if there is none."""
        with self._db.read():
            return _load(self._db, batch_id)

    def wait_for_batch(self, batch_id: int, timeout: float) -> Batch:
        """The batch once its check has ended, or as it is after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (batch := self.batch(batch_id)).state == "checking" and time.monotonic() < deadline:
            time.sleep(0.1)
        return batch

    def profile(self, batch_id: int) -> bytes | None:
        """The batch's stored profile, None if it was not checked."""
        with self._db.read():
            data: bytes | None = self._db.value("SELECT data FROM profiles WHERE batch_id = ?", batch_id)
            return data

    def seen(self, model: str, sha256: str) -> Batch | None:
        """The newest batch with this content, whatever its state, baseline and policy."""
        return self._newest(
            "SELECT id FROM batches WHERE model = ? AND sha256 = ? ORDER BY id DESC LIMIT 1", model, sha256
        )

    def last_batch(self, model: str) -> Batch | None:
        """The newest finished check of a model, checked or failed."""
        return self._newest(
            "SELECT id FROM batches WHERE model = ? AND checked_at IS NOT NULL"
            " ORDER BY checked_at DESC, id DESC LIMIT 1",
            model,
        )

    def last_checked(self, model: str, sha256: str | None = None) -> Batch | None:
        """The newest batch of a model that has a report; with this content, where that is given."""
        if sha256 is None:
            return self._newest(
                "SELECT id FROM batches WHERE model = ? AND state = 'checked'"
                " ORDER BY checked_at DESC, id DESC LIMIT 1",
                model,
            )
        return self._newest(  # the plus: not by the index of all that is checked
            "SELECT id FROM batches WHERE model = ? AND sha256 = ? AND +state = 'checked'"
            " ORDER BY +checked_at DESC, id DESC LIMIT 1",
            model,
            sha256,
        )

    def is_newest(self, batch_id: int) -> bool:
        """Whether no batch of the same model was checked after this one; files that failed say nothing."""
        with self._db.read():
            newest = self._db.value(
                "SELECT id FROM batches WHERE model = (SELECT model FROM batches WHERE id = ?)"
                " AND state = 'checked' AND quarantine IS NULL ORDER BY checked_at DESC, id DESC LIMIT 1",
                batch_id,
            )
        return bool(newest == batch_id)

    def checks_before(self, batch_id: int, limit: int = 50) -> tuple[PastCheck, ...]:
        """The newest checks that were claimed before a batch's, of its model, baseline and policy; oldest first."""
        with self._db.read():
            batches = self._db.rows(
                "SELECT b.id, b.path, b.checked_at, b.verdict,"
                " json_extract(b.report, '$.baseline_version') AS fitted_on FROM batches AS own, batches AS b"
                " WHERE own.id = ? AND b.model = own.model AND b.baseline_version = own.baseline_version"
                " AND b.policy_sha = own.policy_sha AND b.id < own.id AND b.state = 'checked'"
                " AND b.quarantine IS NULL AND b.rolled_up = 0"
                " ORDER BY b.id DESC LIMIT ?",
                batch_id,
                limit,
            )
            which = json.dumps([row["id"] for row in batches])
            scores = self._db.rows(
                "SELECT batch_id, feature, detector, p_value, effect, drifted FROM scores"
                " WHERE batch_id IN (SELECT value FROM json_each(?))",
                which,
            )
        measured: dict[int, list[Row]] = {row["id"]: [] for row in batches}
        for score in scores:
            measured[score["batch_id"]].append(score)
        return tuple(_past(row, measured[row["id"]]) for row in reversed(batches))

    def history(self, model: str, limit: int = 20) -> tuple[HistoryPoint, ...]:
        """The drift history of a model, newest first, without what is in quarantine."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT checked_at, path, rows, verdict, overall_psi, worst FROM batches"
                " WHERE model = ? AND checked_at IS NOT NULL AND state = 'checked' AND quarantine IS NULL"
                " ORDER BY checked_at DESC, id DESC LIMIT ?",
                model,
                limit,
            )
        return tuple(HistoryPoint(moment(r[0]), r[1], r[2], r[3], r[4], r[5]) for r in rows)

    def checked_batches(self, model: str, limit: int = 100) -> tuple[Batch, ...]:
        """The newest checked batches of a model with their reports, newest first; the same bytes once.

        What was checked again (another baseline, another policy) counts as its newest check.
        """
        with self._db.read():
            rows = self._db.rows(
                "SELECT id FROM batches AS b WHERE model = ? AND state = 'checked' AND quarantine IS NULL"
                " AND NOT EXISTS (SELECT 1 FROM batches AS later WHERE later.model = b.model"
                " AND later.sha256 = b.sha256 AND +later.id > b.id AND +later.state = 'checked'"
                " AND later.quarantine IS NULL) ORDER BY id DESC LIMIT ?",
                model,
                limit,
            )
            return tuple(_load(self._db, row["id"]) for row in rows)

    def batches_named(self, name: str, model: str | None = None) -> tuple[Batch, ...]:
        """The checked batches of a file with this name or path, newest first."""
        with self._db.read():
            rows = self._db.rows(
                "SELECT id FROM batches WHERE substr(path, length(rtrim(path, replace(path, '/', ''))) + 1) = ?3"
                " AND (path = ?1 OR substr(path, -length(?1) - 1) = '/' || ?1)"
                " AND (?2 IS NULL OR model = ?2) AND state = 'checked' ORDER BY id DESC",
                name,
                model,
                name.rpartition("/")[2],
            )
            return tuple(_load(self._db, row["id"]) for row in rows)

    def _newest(self, sql: str, *values: Any) -> Batch | None:
        with self._db.read():
            key = self._db.value(sql, *values)
            return None if key is None else _load(self._db, key)


def _abandoned(row: Row, now: datetime) -> bool:
    if now - moment(row["claimed_at"]) >= STALE_CLAIM:
        return True
    claimer = Process(row["host"], row["pid"], row["started"])
    return claimer.here and not claimer.alive()  # nothing is known of a process on another host


def _require_checking(db: Database, batch_id: int, changed: int) -> None:
    if not changed:
        raise StateError(f"batch {batch_id} is {_load(db, batch_id).state}, it is not being checked")


def _worst(report: DriftReport) -> str:
    if not report.drifted:
        return ""
    worst = report.drifted[0]
    return f"{worst.feature} ({worst.detector.upper()} {worst.statistic:.2f})"


def _load(db: Database, batch_id: int) -> Batch:
    row = db.row("SELECT * FROM batches WHERE id = ?", batch_id)
    if row is None:
        raise StateError(f"there is no batch {batch_id}")
    return Batch(
        id=row["id"],
        model=row["model"],
        sha256=row["sha256"],
        path=row["path"],
        baseline_version=row["baseline_version"],
        policy_sha=row["policy_sha"],
        state=row["state"],
        claimed_at=moment(row["claimed_at"]),
        checked_at=maybe(row["checked_at"]),
        rows=row["rows"],
        verdict=row["verdict"],
        overall_psi=row["overall_psi"],
        report=None if row["report"] is None else _report(db, row),
        error=row["error"],
        error_kind=row["error_kind"],
        reported=row["reported_at"] is not None,
        quarantine=row["quarantine"],
    )


def _past(row: Row, scores: list[Row]) -> PastCheck:
    return PastCheck(
        batch_id=row["id"],
        path=row["path"],
        checked_at=moment(row["checked_at"]),
        verdict=row["verdict"],
        baseline_version=row["fitted_on"],
        scores={(s["feature"], s["detector"]): (s["p_value"], s["effect"]) for s in scores},
        drifted=frozenset((s["feature"], s["detector"]) for s in scores if s["drifted"]),
    )


def _report(db: Database, row: Row) -> DriftReport:
    if row["rolled_up"]:
        scores = scores_of(db, row["id"])
    else:
        stored = db.rows(
            "SELECT feature, detector, statistic, effect, p_value, severity, drifted, detail FROM scores"
            " WHERE batch_id = ? ORDER BY id",
            row["id"],
        )
        scores = [dict(score) for score in stored]
    return DriftReport.from_dict(
        {**json.loads(row["report"]), "features": [_score(score) for score in scores]}
    )


def _score(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A score as `FeatureDrift` has it: SQLite keeps NaN as NULL and a bool as a number."""
    numbers = {name: math.nan if stored[name] is None else stored[name] for name in ("statistic", "effect")}
    return {**stored, **numbers, "drifted": bool(stored["drifted"])}
