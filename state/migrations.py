"""The schema of the state file as a list of small dated steps. Append only: a released step never changes.

A new step raises `state.database.SCHEMA` by one. All pending steps run in one transaction, so a file is
either as it was or wholly new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlite_utils import Database, Migrations

from state.database import APPLICATION_ID

migrations = Migrations("driftcatcher")


def migrate(db: Database, stop_before: str | None = None) -> None:
    """Apply the pending steps inside the caller's transaction; the header gets the new schema number."""
    migrations.apply(db, stop_before=stop_before)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {len(migrations.applied(db))}")


def _table(db: Database, name: str, columns: Mapping[str, Any], optional: set[str], **options: Any) -> None:
    """A strict table with an integer id; columns are NOT NULL unless named as optional."""
    required = set(columns) - optional
    db.table(name).create({"id": int, **columns}, pk="id", not_null=required, strict=True, **options)


@migrations()
def m2026_11_23_batches(db: Database) -> None:
    columns = {
        "model": str, "sha256": str, "path": str, "baseline_version": str, "policy_sha": str,
        "state": str, "claimed_at": str, "host": str, "pid": int, "started": str,
        "checked_at": str, "rows": int, "verdict": str, "overall_psi": float, "worst": str, "report": str,
        "error": str, "error_kind": str,
    }  # fmt: skip
    results = {"checked_at", "rows", "verdict", "overall_psi", "worst", "report", "error", "error_kind"}
    _table(db, "batches", columns, results)
    db.table("batches").create_index(["model", "sha256", "baseline_version", "policy_sha"], unique=True)
    db.table("batches").create_index(["model", "checked_at"])
    # Scores in rows of their own: history over many batches must not parse their reports. A statistic that
    # is not a number is NULL, hence optional.
    scores = {
        "batch_id": int, "feature": str, "detector": str, "statistic": float, "effect": float,
        "p_value": float, "severity": str, "drifted": int, "detail": str,
    }  # fmt: skip
    _table(
        db, "scores", scores, {"statistic", "effect", "p_value"}, foreign_keys=[("batch_id", "batches", "id")]
    )
    db.table("scores").create_index(["batch_id"])
    db.table("scores").create_index(["feature", "detector", "batch_id"])
    _table(
        db, "profiles", {"batch_id": int, "data": bytes}, set(), foreign_keys=[("batch_id", "batches", "id")]
    )
    db.table("profiles").create_index(["batch_id"], unique=True)


@migrations()
def m2026_11_23_incidents(db: Database) -> None:
    columns = {
        "model": str, "state": str, "opened_at": str, "batch_id": int, "last_batch_id": int,
        "channel": str, "ts": str, "closed_at": str, "closed_by": str,
    }  # fmt: skip
    batch = [("batch_id", "batches", "id"), ("last_batch_id", "batches", "id")]
    _table(db, "incidents", columns, {"ts", "closed_at", "closed_by"}, foreign_keys=batch)
    db.table("incidents").create_index(["model", "opened_at"])
    db.execute(
        "CREATE UNIQUE INDEX one_unclosed_incident_a_model ON incidents (model)"
        " WHERE state IN ('open', 'retraining', 'decision')"
    )
    member = {"incident_id": int, "batch_id": int, "added_at": str}
    links = [("incident_id", "incidents", "id"), ("batch_id", "batches", "id")]
    _table(db, "incident_batches", member, set(), foreign_keys=links)
    db.table("incident_batches").create_index(["incident_id", "batch_id"], unique=True)
    db.table("incident_batches").create_index(["batch_id"])
    silence = {"model": str, "until": str, "by": str, "at": str, "incident_id": int}
    _table(db, "silences", silence, {"incident_id"}, foreign_keys=[("incident_id", "incidents", "id")])
    db.table("silences").create_index(["model", "until"])


@migrations()
def m2026_11_23_retrains(db: Database) -> None:
    columns = {
        "model": str, "state": str, "incident_id": int, "files": str, "champion_version": int,
        "approved_by": str, "approved_at": str, "forced": int,
        "started_at": str, "host": str, "pid": int, "started": str, "finished_at": str,
        "version": int, "outcome": str, "error": str, "decided_by": str, "decided_at": str,
    }  # fmt: skip
    approved = {"model", "state", "files", "champion_version", "approved_by", "approved_at", "forced"}
    _table(
        db, "retrains", columns, set(columns) - approved, foreign_keys=[("incident_id", "incidents", "id")]
    )
    db.table("retrains").create_index(["model", "approved_at"])
    db.table("retrains").create_index(["incident_id"])
    db.execute(
        "CREATE UNIQUE INDEX one_active_retrain_a_model ON retrains (model)"
        " WHERE state IN ('queued', 'running')"
    )


@migrations()
def m2026_11_23_versions(db: Database) -> None:
    _table(
        db,
        "versions",
        {"model": str, "version": int, "record": str, "created_at": str, "is_champion": int},
        set(),
    )
    db.table("versions").create_index(["model", "version"], unique=True)
    db.execute("CREATE UNIQUE INDEX one_champion_a_model ON versions (model) WHERE is_champion = 1")
    columns = {
        "model": str, "version": int, "previous": int, "kind": str, "by": str, "at": str,
        "state": str, "done_at": str, "why": str, "retrain_id": int,
    }  # fmt: skip
    _table(
        db, "promotions", columns, {"previous", "done_at", "why", "retrain_id"},
        foreign_keys=[("retrain_id", "retrains", "id")],
    )  # fmt: skip
    db.table("promotions").create_index(["model", "version"])
    db.execute(
        "CREATE UNIQUE INDEX one_pending_promotion_a_model ON promotions (model) WHERE state = 'pending'"
    )


@migrations()
def m2026_11_23_journal(db: Database) -> None:
    decision = {"at": str, "who": str, "what": str, "model": str, "subject": str, "why": str}
    _table(db, "decisions", decision, set())
    db.table("decisions").create_index(["model"])
    performance = {
        "model": str, "path": str, "sha256": str, "at": str, "rows": int,
        "metrics": str, "breaches": str, "run_url": str,
    }  # fmt: skip
    _table(db, "performance", performance, set())
    db.table("performance").create_index(["model"])


@migrations()
def m2026_11_23_outbox(db: Database) -> None:
    columns = {
        "kind": str, "payload": str, "incident_id": int, "state": str, "attempts": int, "not_before": str,
        "last_error": str, "started": int, "created_at": str, "finished_at": str,
    }  # fmt: skip
    incident = [("incident_id", "incidents", "id")]
    _table(db, "outbox", columns, {"incident_id", "not_before", "finished_at"}, foreign_keys=incident)
    db.execute("CREATE INDEX outbox_pending ON outbox (incident_id, id) WHERE state = 'pending'")
    # Keys of their own: an item into which edits were merged answers to all of their keys.
    _table(db, "outbox_keys", {"key": str, "item_id": int}, set(), foreign_keys=[("item_id", "outbox", "id")])
    db.table("outbox_keys").create_index(["key"], unique=True)
    db.table("outbox_keys").create_index(["item_id"])


@migrations()
def m2026_11_23_posts(db: Database) -> None:
    _table(db, "posts", {"key": str, "channel": str, "ts": str}, set())
    db.table("posts").create_index(["key"], unique=True)


@migrations()
def m2026_11_24_reported(db: Database) -> None:
    """What was said of a check, and when: a batch that nobody was told of is told after a crash."""
    db.execute("ALTER TABLE batches ADD COLUMN reported_at TEXT")
    db.execute("UPDATE batches SET reported_at = checked_at")
    db.execute("ALTER TABLE incidents ADD COLUMN spoke_at TEXT")
    db.execute("ALTER TABLE incidents ADD COLUMN spoke_verdict TEXT")
    db.execute(
        "UPDATE incidents SET spoke_at = opened_at,"
        " spoke_verdict = (SELECT verdict FROM batches WHERE id = incidents.batch_id)"
    )
    db.execute("ALTER TABLE outbox ADD COLUMN started_at TEXT")
    db.execute("UPDATE outbox SET started_at = created_at WHERE started = 1")
    db.execute("ALTER TABLE retrains ADD COLUMN why TEXT NOT NULL DEFAULT ''")
    _table(db, "notices", {"model": str, "kind": str, "said_at": str}, set())
    db.table("notices").create_index(["model", "kind"], unique=True)


@migrations()
def m2026_11_24_held(db: Database) -> None:
    """A drift that a cool-down keeps back is decided again from here, whether or not its file is still there."""
    db.execute("ALTER TABLE batches ADD COLUMN held INTEGER NOT NULL DEFAULT 0")


@migrations()
def m2026_11_25_feedback(db: Database) -> None:
    """What people said of an alert or a batch; whoever dismissed an incident before has said so already."""
    columns = {
        "model": str, "incident_id": int, "batch_id": int, "verdict": str, "who": str, "at": str, "why": str,
    }  # fmt: skip
    links = [("incident_id", "incidents", "id"), ("batch_id", "batches", "id")]
    _table(db, "feedback", columns, {"incident_id", "batch_id"}, foreign_keys=links)
    db.table("feedback").create_index(["model"])
    db.table("feedback").create_index(["incident_id"])
    db.execute(
        "INSERT INTO feedback (model, incident_id, verdict, who, at, why)"
        " SELECT model, id, 'false_alarm', coalesce(closed_by, ''), coalesce(closed_at, opened_at), ''"
        " FROM incidents WHERE state = 'dismissed' ORDER BY closed_at, id"
    )


@migrations()
def m2026_11_25_quarantine(db: Database) -> None:
    """Where the file of a batch lies that was moved aside; such a batch is no part of the history."""
    db.execute("ALTER TABLE batches ADD COLUMN quarantine TEXT")


@migrations()
def m2026_11_28_scale(db: Database) -> None:
    """Many files and a long history: which files are dealt with, what is rolled up, and no query that scans.

    `rolled_up` batches have their scores packed in one row of `rollups`, and neither a profile nor a full report.
    """
    db.execute(
        "CREATE TABLE inbox_files (model TEXT NOT NULL, path TEXT NOT NULL, stamp TEXT NOT NULL,"
        " PRIMARY KEY (model, path)) STRICT, WITHOUT ROWID"
    )
    db.execute("ALTER TABLE batches ADD COLUMN rolled_up INTEGER NOT NULL DEFAULT 0")
    batch = [("batch_id", "batches", "id")]
    _table(db, "rollups", {"batch_id": int, "scores": bytes}, set(), foreign_keys=batch)
    db.table("rollups").create_index(["batch_id"], unique=True)
    db.table("batches").create_index(["model", "state", "checked_at"])
    counted = "WHERE state = 'checked' AND quarantine IS NULL"
    db.execute(f"CREATE INDEX batches_counted ON batches (model) {counted}")
    db.execute(f"CREATE INDEX batches_alike ON batches (model, baseline_version, policy_sha) {counted}")
    db.execute(
        "CREATE INDEX batches_held ON batches (model, checked_at) WHERE held = 1 AND reported_at IS NULL"
    )
    db.execute("CREATE INDEX batches_aside ON batches (model, quarantine) WHERE quarantine IS NOT NULL")
    db.execute(
        "CREATE INDEX batches_in_full ON batches (checked_at) WHERE state = 'checked' AND rolled_up = 0"
    )
    # the part of the path after its last slash
    db.execute(
        "CREATE INDEX batches_by_name ON batches (substr(path, length(rtrim(path, replace(path, '/', ''))) + 1))"
    )
    # what the running bot asks for every second, or every few
    db.execute("CREATE INDEX outbox_waiting ON outbox (state) WHERE state = 'pending'")
    for table, column in (("retrains", "state"), ("promotions", "state"), ("silences", "until")):
        db.table(table).create_index([column])


@migrations()
def m2026_11_28_roll_back(db: Database) -> None:
    """Which version came into use again when a retrain was rolled back: not always the one before it."""
    db.execute("ALTER TABLE retrains ADD COLUMN back_to INTEGER")


@migrations()
def m2026_11_28_samples(db: Database) -> None:
    """Rows that were given out to be labelled: the draw, and the file as it was, packed."""
    _table(db, "samples", {"name": str, "model": str, "at": str, "record": str, "file": bytes}, set())
    db.table("samples").create_index(["name"], unique=True)
    db.table("samples").create_index(["model", "at"])


@migrations()
def m2026_11_28_tracking(db: Database) -> None:
    """What is still to be logged to MLflow, the step each kind has come to, and the long-lived runs there."""
    entry = {
        "kind": str, "model": str, "version": str, "step": int, "at": str, "payload": bytes,
        "attempts": int, "not_before": str, "last_error": str,
    }  # fmt: skip
    _table(db, "tracking", entry, {"not_before"})
    db.table("tracking").create_index(["model"])
    db.execute(
        "CREATE TABLE tracking_steps (model TEXT NOT NULL, kind TEXT NOT NULL, step INTEGER NOT NULL,"
        " PRIMARY KEY (model, kind)) STRICT, WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE tracking_runs (place TEXT NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL,"
        " run_id TEXT NOT NULL, url TEXT NOT NULL, at TEXT NOT NULL,"
        " PRIMARY KEY (place, model, version)) STRICT, WITHOUT ROWID"
    )


@migrations()
def m2026_11_28_training(db: Database) -> None:
    """A name for each training that the registry knows too, and what it must still be brought to."""
    db.execute("ALTER TABLE retrains ADD COLUMN job TEXT NOT NULL DEFAULT ''")
    columns = {"model": str, "kind": str, "job": str, "since": str, "not_before": str}
    _table(db, "loose_ends", columns, set())
    db.table("loose_ends").create_index(["not_before"])


@migrations()
def m2026_11_28_expectations(db: Database) -> None:
    """What a retrain of a version on certain new files was expected to bring."""
    columns = {"model": str, "version": int, "files": str, "at": str, "record": str}
    _table(db, "expectations", columns, set())
    db.table("expectations").create_index(["model", "version", "files"], unique=True)


@migrations()
def m2026_11_28_handed(db: Database) -> None:
    """Which version each of the serving side was handed last."""
    db.execute(
        "CREATE TABLE handed (model TEXT NOT NULL, kind TEXT NOT NULL, place TEXT NOT NULL, version INTEGER NOT NULL,"
        " PRIMARY KEY (model, kind, place)) STRICT, WITHOUT ROWID"
    )


@migrations()
def m2026_11_28_shadows(db: Database) -> None:
    """Batches that a challenger has scored beside the champion while its retrain waited for a decision."""
    db.execute("ALTER TABLE retrains ADD COLUMN shadow_batches INTEGER NOT NULL DEFAULT 0")
    columns = {
        "retrain_id": int, "batch_id": int, "sha256": str, "at": str, "found": str, "trouble": str, "labels": str,
    }  # fmt: skip
    links = [("retrain_id", "retrains", "id"), ("batch_id", "batches", "id")]
    _table(db, "shadows", columns, {"found", "labels"}, foreign_keys=links)
    db.table("shadows").create_index(["retrain_id", "sha256"], unique=True)
    db.table("shadows").create_index(["sha256"])
