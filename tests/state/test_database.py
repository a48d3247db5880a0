from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlite_utils import Database as Tables

from state.database import SCHEMA, Database
from state.migrations import migrate, migrations
from state.records import StateError
from state.store import Store

STEPS = [step.name for step in migrations.pending(Tables(memory=True))]


def schema(path: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(path) as raw:
        return raw.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        ).fetchall()


def old_file(path: Path, stop_before: str) -> None:
    """A state file as the version before this step left it, with rows in the tables it has."""
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("BEGIN IMMEDIATE")
    migrate(Tables(raw), stop_before)
    raw.execute("COMMIT")
    known = {name for name, _ in raw.execute("SELECT name, 1 FROM sqlite_master WHERE type = 'table'")}
    rows = {
        "batches": "INSERT INTO batches (id, model, sha256, path, baseline_version, policy_sha, state,"
        " claimed_at, host, pid, started, checked_at, rows, verdict, overall_psi, worst, report)"
        " VALUES (1, 'ids', 's', '/a.csv', '1', 'p', 'checked',"
        " '2026-11-02T10:00:00.000000+00:00', 'h', 1, '1', '2026-11-02T10:00:00.000000+00:00', 9, 'drift',"
        ' 0.4, \'f (PSI 0.40)\', \'{"verdict":"drift","recommendation":"retrain","overall_psi":0.4,'
        '"rows":9,"errors":[],"notes":[]}\')',
        "scores": "INSERT INTO scores VALUES (1, 1, 'f', 'psi', 0.4, 0.4, NULL, 'significant', 1, '')",
        "incidents": "INSERT INTO incidents"
        " (id, model, state, opened_at, batch_id, last_batch_id, channel, ts, closed_at, closed_by)"
        " VALUES (1, 'ids', 'open', '2026-11-02T10:00:00.000000+00:00', 1, 1, 'C1', '1.2', NULL, NULL)",
        "incident_batches": "INSERT INTO incident_batches VALUES (1, 1, 1, '2026-11-02T10:00:00.000000+00:00')",
        "retrains": "INSERT INTO retrains (model, state, incident_id, files, champion_version, approved_by,"
        " approved_at, forced) VALUES ('ids', 'failed', 1, '[]', 1, 'U1',"
        " '2026-11-02T10:00:00.000000+00:00', 0)",
    }
    for table, insert in rows.items():
        if table in known:
            raw.execute(insert)
    if "notices" in known:  # the step before this one has told everybody
        raw.execute("UPDATE batches SET reported_at = checked_at")
        raw.execute("UPDATE incidents SET spoke_at = opened_at, spoke_verdict = 'drift'")
    raw.close()


def test_the_schema_number_counts_the_migrations():
    assert len(STEPS) == SCHEMA


@pytest.mark.parametrize("stop", STEPS[1:])
def test_a_half_way_migrated_file_with_rows_goes_to_the_newest(path, tmp_path, stop):
    old_file(path, stop)
    with Store(path) as store:
        batch = store.batch(1)
        assert batch.report is not None
        assert [f.feature for f in batch.report.features] == ["f"]
        if STEPS.index(stop) >= 2:
            incident = store.incident(1)
            assert (incident.batches, incident.spoke_at) == (1, incident.opened_at)
            assert incident.spoke_verdict == "drift"
        assert batch.reported, "an update raises no old alarms"
        assert store.open_incident("ids", 1, "C1", batch.claimed_at).id == 1
        assert store.enqueue("incident", "k", {}, 1, batch.claimed_at) is not None
    Store(tmp_path / "new.db").close()
    assert schema(path) == schema(tmp_path / "new.db")
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_failing_migration_leaves_the_file_as_it_was(path, monkeypatch):
    old_file(path, STEPS[2])
    before = schema(path)

    def broken(db: Tables) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    steps = migrations._migrations
    monkeypatch.setattr(migrations, "_migrations", [*steps[:-1], type(steps[0])("m2099_broken", broken)])
    with pytest.raises(StateError, match="disk I/O error"):
        Store(path)
    assert schema(path) == before
    monkeypatch.undo()
    with Store(path) as store:
        assert store.incident(1).id == 1


def test_a_file_from_a_newer_version_is_refused_and_untouched(path):
    Store(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(
        StateError, match=r"state\.db was written by a newer driftcatcher \(schema 99.*update"
    ):
        Store(path)
    assert path.read_bytes() == before


def test_a_sqlite_file_of_another_program_is_refused_and_untouched(path):
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE accounts (id INTEGER)")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(StateError, match="SQLite file of another program"):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_that_is_not_sqlite_is_refused_and_untouched(path):
    path.write_text("Flow Duration,Label\n" * 100)
    with pytest.raises(StateError, match=r"state\.db.*not a database"):
        Store(path)
    assert path.read_text() == "Flow Duration,Label\n" * 100


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(StateError, match="cannot open the state file"):
        Store(tmp_path)


def test_a_damaged_file_is_named(path, scene, store, now):
    claims = [store.claim_batch("ids", str(n), f"/{n}.csv", "1", "p", now).batch.id for n in range(9)]
    for batch_id in claims:
        store.save_report(batch_id, scene.report(), b"x" * 50_000, now)
    store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size - size // 2))
    with pytest.raises(StateError, match=r"state\.db cannot be used now.*malformed"), Store(path) as damaged:
        for batch_id in claims:
            damaged.profile(batch_id)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(StateError, match=r"cannot use .*state\.db as state file.*malformed"):
        Store(path)


def test_an_empty_file_and_missing_folders_become_a_state_file(path, tmp_path):
    path.touch()
    for place in (path, tmp_path / "a" / "b" / "state.db"):
        with Store(place) as store:
            assert store.pending_promotions() == ()


def test_the_file_is_kept_safe(path):
    db = Database(path)
    try:
        assert db.value("PRAGMA journal_mode") == "wal"
        assert db.value("PRAGMA synchronous") == 2  # FULL
        assert db.value("PRAGMA foreign_keys") == 1
        assert db.value("PRAGMA busy_timeout") == 10_000
        tables = [t for t in db.tables.tables if not t.name.startswith(("sqlite_", "_sqlite"))]
        assert tables
        assert all(table.strict for table in tables)
    finally:
        db.close()


def test_a_failure_inside_a_transaction_rolls_all_of_it_back(path):
    db = Database(path)
    row = {"at": "t", "who": "w", "what": "x", "model": "m", "subject": "s", "why": ""}
    with pytest.raises(RuntimeError), db.write():
        db.insert("decisions", row)
        raise RuntimeError
    with db.write():
        db.insert("decisions", row)
    assert db.value("SELECT count(*) FROM decisions") == 1
    db.close()


def test_verbs_together_are_kept_all_or_none(store, scene, now):
    incident = scene.incident()
    with pytest.raises(RuntimeError), store.together():
        retrain = scene.approve(incident.id)
        store.enqueue("reply", "approved", {}, incident.id, now)
        assert store.retrain(retrain.id).state == "queued"
        raise RuntimeError
    assert store.retrains() == store.due(now) == ()
    assert store.incident(incident.id).state == "open"
    with store.together():
        scene.approve(incident.id)
        with pytest.raises(StateError):  # a refused verb takes back its own steps only
            scene.approve(incident.id)
        store.enqueue("reply", "approved", {}, incident.id, now)
    assert [r.state for r in store.retrains()] == ["queued"]
    assert [item.key for item in store.due(now)] == ["approved"]


def test_a_failed_verb_inside_together_leaves_none_of_its_own_steps(path):
    db = Database(path)
    row = {"at": "t", "who": "w", "what": "x", "model": "m", "subject": "s", "why": ""}
    with db.write():
        db.insert("decisions", row)
        with pytest.raises(RuntimeError), db.write():
            db.insert("decisions", row)
            raise RuntimeError
    assert db.value("SELECT count(*) FROM decisions") == 1
    db.close()


def test_threads_lose_no_update(path):
    db = Database(path)
    row = {"at": "0", "who": "w", "what": "x", "model": "m", "subject": "s", "why": ""}
    with db.write():
        db.insert("decisions", row)

    def add(_: int) -> None:
        with db.write():
            db.change("UPDATE decisions SET at = ?", str(int(db.value("SELECT at FROM decisions")) + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(400)))
    assert db.value("SELECT at FROM decisions") == "400"
    db.close()


def test_a_writer_waits_for_another_process(workers, path, store, now):
    (worker,) = workers(1)
    worker.ask('globals().update(store=Store(path)) or "open"')
    with store._db.write():
        worker.send('store.record_decision("U1", "refuse", "ids", "incident 1", "", now).who')
        time.sleep(0.05)  # the worker has most likely reached its own BEGIN by now; right either way
    assert worker.answer() == {"value": "U1"}
    assert [d.who for d in store.decisions("ids")] == ["U1"]


def test_a_process_killed_in_a_transaction_leaves_nothing_and_blocks_nobody(workers, store, now):
    (worker,) = workers(1)
    worker.ask('globals().update(store=Store(path)) or "open"')
    worker.send(
        "[kept.append(store._db.write()), kept[0].__enter__(), "
        'store._db.change("INSERT INTO decisions (at, who, what, model, subject, why)'
        " VALUES ('t', 'w', 'x', 'ids', 's', '')\"), die()]"
    )
    assert worker.process.wait() == -9
    store.record_decision("U1", "refuse", "ids", "incident 1", "", now)
    assert [d.who for d in store.decisions("ids")] == ["U1"]


def test_a_killed_writer_loses_nothing_it_acknowledged(workers, path, store):
    (reader, *writers) = workers(7)
    reader.ask('globals().update(store=Store(path)) or "open"')
    acknowledged: list[str] = []
    for number, writer in enumerate(writers):
        writer.ask('globals().update(store=Store(path)) or "open"')
        writer.send(
            f'[say({{"value": store.enqueue("notice", f"{number}-{{i}}", {{"i": i}}, None, now).key}})'
            " for i in count()]"
        )
        acknowledged += [writer.answer()["value"] for _ in range(10 + 7 * number)]
        writer.kill()
        rest = writer.process.communicate()[0].splitlines()
        acknowledged += [line.split('"')[3] for line in rest if line.endswith("}")]
        kept = reader.ask("[item.key for item in store.due(now, 100000)]")
        assert set(acknowledged) <= set(kept)
        assert len(kept) == len(set(kept))
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_reading_needs_no_heavy_library(path, scene, store):
    """`driftcatcher status` opens the state and reads: it must not wait for pandas or MLflow."""
    scene.trained(scene.incident().id)
    store.close()
    script = (
        "import sys; from state.store import Store; s = Store(sys.argv[1]); s.champion('ids'); s.history('ids');"
        "s.retrains('ids'); s.incidents('ids'); s.counters('ids');"
        "print([m for m in ('pandas', 'sqlite_utils', 'mlflow', 'sklearn', 'scipy', 'matplotlib', 'slack_bolt')"
        " if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, cwd=root, check=False
    )
    assert (run.stdout.strip(), run.returncode) == ("[]", 0), run.stderr
