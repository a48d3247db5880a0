"""What the status says of a model: its champion, last check, incident, cool-downs, counters and history."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

from bot import status
from bot.text_report import status_text
from trainers.base import DataFile


def read(watched, now: datetime | None = None, look: bool = False) -> status.ModelStatus:
    return status.read(watched.model, watched.app.store, now or datetime.now(UTC), look=look)


def test_a_model_that_was_never_trained(watch) -> None:
    watched = watch('\n[[models]]\nname = "fresh"\nlabel = { column = "y", negative = ["0"] }\n')
    fresh = status.read(watched.app.config.model("fresh"), watched.app.store, datetime.now(UTC))
    assert (fresh.champion_version, fresh.last_batch, fresh.history) == (None, None, ())
    assert status_text(fresh).startswith("fresh: not trained yet\n  last check: none\n")


def test_a_drift_is_seen_with_its_incident_and_cool_down(watched, traffic) -> None:
    monitoring = watched.app.monitoring
    monitoring.check(watched.model, traffic.stable)
    drifted = monitoring.check(watched.model, traffic.drifted).batch
    monitoring.notify(watched.model, drifted)
    shutil.copy(traffic.labelled, watched.model.labeled)
    assert read(watched).labelled_waiting == 0, "an answer in Slack reads no file"
    found = read(watched, look=True)
    assert (found.champion_version, found.last_batch) == (1, watched.app.store.batch(drifted.id))
    assert (found.open_incident.batch_id, found.labelled_waiting) == (drifted.id, 1)
    assert found.alert_cooldown_until - found.open_incident.opened_at == timedelta(hours=6)
    assert [p.verdict for p in found.history] == ["drift", "stable"]
    assert (found.counters["batches"], found.counters["alerts"]) == (2, 1)

    text = status_text(found)
    assert "last check: drifted.csv at " in text
    assert "incident 1: open, since " in text
    assert text.count("1 batch\n") == 1
    assert "alert cool-down until " in text
    assert "labelled files waiting: 1" in text
    assert found.history[0].worst in text
    later = read(watched, datetime.now(UTC) + timedelta(hours=7))
    assert later.alert_cooldown_until is None
    assert "cool-down" not in status_text(later)


def test_a_snooze_and_a_retrain_under_way_are_shown(watched, traffic) -> None:
    now = datetime.now(UTC)
    store = watched.app.store
    store.snooze("netflow", now + timedelta(hours=24), "U0ANNA", now, None)
    file = DataFile(str(traffic.labelled), "0" * 64, 600)
    retrain = watched.app.retraining.approve(watched.model, [file], "U0ANNA")
    found = read(watched)
    assert (found.running.id, found.running.state) == (retrain.id, "queued")
    assert found.silence_until - now == timedelta(hours=24)
    assert found.retrain_cooldown_until is not None
    text = status_text(found)
    assert f"retrain {retrain.id}: queued, approved by U0ANNA" in text
    assert "snoozed until " in text


def test_a_failed_file_is_the_last_check_too(watched, tmp_path, run) -> None:
    (tmp_path / "empty.csv").touch()
    assert run(watched.folder, "check", tmp_path / "empty.csv").code == 2
    found = read(watched)
    assert found.last_batch.state == "failed"
    assert found.history == ()
    assert "is empty (0 bytes)" in status_text(found)


def test_as_json_it_holds_the_same(watched, traffic) -> None:
    batch = watched.app.monitoring.check(watched.model, traffic.drifted).batch
    watched.app.monitoring.notify(watched.model, batch)
    found = read(watched)
    data = json.loads(json.dumps(status.as_dict(found), allow_nan=False))
    assert (data["model"], data["champion_version"]) == ("netflow", 1)
    assert data["last_check"]["sha256"] == batch.sha256
    assert data["last_check"]["verdict"] == "drift"
    assert data["last_check"]["overall_psi"] == batch.overall_psi
    assert datetime.fromisoformat(data["last_check"]["checked_at"]) <= datetime.now(UTC)
    assert data["open_incident"] == {
        "id": 1, "state": "open", "batches": 1,
        "opened_at": found.open_incident.opened_at.isoformat(timespec="seconds"),
    }  # fmt: skip
    assert datetime.fromisoformat(data["alert_cooldown_until"]).tzinfo is not None
    assert data["retrain_cooldown_until"] is None
    assert data["counters"]["alerts"] == 1
    assert [p["verdict"] for p in data["history"]] == ["drift"]


def test_counters_are_words_and_what_never_happened_is_not_said(watched) -> None:
    assert status.counted({"batches": 1, "failed": 0, "retrains": 1200, "retrains_failed": 1}) == (
        "1 batch, 1,200 retrains, 1 failed retrain"
    )
    assert status.counted({}) == ""
    known = watched.app.store.counters("netflow")
    assert status.counted(dict.fromkeys(known, 2)).count(",") == len(known) - 1, (
        "every counter of the store has words"
    )


def test_a_long_reason_is_one_short_line(watched) -> None:
    now = datetime.now(UTC)
    watched.app.store.record_decision("U0ANNA", "keep", "netflow", "retrain 1", "so\nthat " * 3000, now)
    (line,) = [line for line in status_text(read(watched)).splitlines() if "keep retrain 1" in line]
    assert "(so that so that" in line and line.endswith("…)") and len(line) < 180
