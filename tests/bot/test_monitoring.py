"""Checks, alerts and scans of the inbox: once for the same bytes, whatever happens in between."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bot import monitoring
from bot.alerting import Notify
from bot.bootstrap import Application
from bot.config import FILE_NAME
from bot.demo.traffic import IDENTIFIERS, LABEL_COLUMN
from bot.inbox import Inbox
from bot.monitoring import BeingChecked, Monitoring, NotTrained
from detectors import Baseline
from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.report import DriftReport
from state.records import StateError
from trainers.base import DataFile

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def variant(source: Path, path: Path, rows: int) -> Path:
    """The same traffic in other bytes."""
    pd.read_csv(source).head(rows).to_csv(path, index=False)
    return path


def at(watched, moment: datetime) -> Monitoring:
    """The use case at a certain time."""
    return Monitoring(watched.app.config, watched.app.store, lambda: moment)


def test_a_check_is_remembered_with_its_profile(watched, traffic) -> None:
    checked = watched.app.monitoring.check(watched.model, traffic.drifted)
    assert checked.fresh
    batch = watched.app.store.batch(checked.batch.id)
    assert batch == checked.batch
    assert (batch.state, batch.rows, batch.verdict) == ("checked", 1200, "drift")
    assert batch.sha256 == sha256_file(traffic.drifted)
    assert watched.app.store.profile(batch.id)
    again = watched.app.monitoring.check(watched.model, traffic.drifted)
    assert (again.fresh, again.batch) == (False, batch)


def test_only_the_advice_of_a_stored_drift_follows_the_labels(watched, traffic) -> None:
    for file, advice in ((traffic.drifted, "retrain"), (traffic.stable, "none")):
        stored = watched.app.monitoring.check(watched.model, file).batch
        shutil.copy(traffic.labelled, watched.model.labeled / "labels.csv")
        shown = watched.app.monitoring.check(watched.model, file).batch
        assert shown.report.recommendation == advice
        assert shown.report.features == stored.report.features
        assert watched.app.store.batch(stored.id) == stored, "what was found then stays as it was"
        (watched.model.labeled / "labels.csv").unlink()


def test_another_policy_is_another_check(watched, traffic) -> None:
    first = watched.app.monitoring.check(watched.model, traffic.stable)
    text = (watched.folder / FILE_NAME).read_text()
    (watched.folder / FILE_NAME).write_text(f"{text}alpha = 0.01")
    other = Application.load(watched.folder / FILE_NAME)
    second = other.monitoring.check(other.config.model(None), traffic.stable)
    other.close()
    assert second.fresh
    assert second.batch.id != first.batch.id


def test_a_model_without_a_champion_says_what_to_do(watch, traffic) -> None:
    watched = watch('\n[[models]]\nname = "fresh"\nlabel = { column = "y", negative = ["0"] }\n')
    fresh = watched.app.config.model("fresh")
    with pytest.raises(NotTrained, match="driftcatcher train --model fresh"):
        watched.app.monitoring.check(fresh, traffic.stable)
    fresh.inbox.mkdir(parents=True)
    shutil.copy(traffic.stable, fresh.inbox)
    assert watched.app.monitoring.scan(fresh, Inbox(fresh.inbox, settle=0)) == []


def test_threads_that_check_the_same_file_share_one_check(watched, traffic) -> None:
    results: list[object] = []

    def work() -> None:
        results.append(watched.app.monitoring.check(watched.model, traffic.drifted))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({checked.batch.id for checked in results}) == 1
    assert sorted(checked.fresh for checked in results) == [False, False, False, True]


def claim(watched, file: Path, ago: timedelta = timedelta(0)) -> int:
    """A claim on a file by a process that lives (this one)."""
    model = watched.model
    made = watched.app.store.claim_batch(
        model.name, sha256_file(file), str(file), "1", model.policy_sha, datetime.now(UTC) - ago
    )
    assert made.kind == "mine"
    return made.batch.id


def test_a_file_that_another_process_is_checking_is_waited_for(watched, traffic) -> None:
    claim(watched, traffic.stable)
    with pytest.raises(BeingChecked, match="is being checked by another process"):
        watched.app.monitoring.check(watched.model, traffic.stable, patience=0.2)


def test_who_waits_for_a_process_that_dies_takes_its_check_over(watched, traffic) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        model = watched.model
        made = watched.app.store.claim_batch(
            model.name, sha256_file(traffic.stable), str(traffic.stable), "1", model.policy_sha,
            datetime.now(UTC), pid=other.pid,
        )  # fmt: skip
        assert made.kind == "mine"
        end = threading.Timer(1.0, lambda: (other.kill(), other.wait()))
        end.start()
        checked = watched.app.monitoring.check(model, traffic.stable, patience=30)
        end.join()
    assert (checked.fresh, checked.batch.verdict) == (True, "stable")


def test_a_scan_leaves_another_process_its_file_and_takes_it_when_that_dies(watched, traffic) -> None:
    path = watched.drop(traffic.stable)
    batch_id = claim(watched, path)
    inbox = watched.inbox()
    assert watched.app.monitoring.scan(watched.model, inbox) == []
    watched.app.store.fail_batch(batch_id, "truncated", "somebody stopped it", datetime.now(UTC))
    (failed,) = watched.app.monitoring.scan(watched.model, inbox)
    assert (failed.id, failed.error) == (batch_id, "somebody stopped it"), "not checked again, but told"
    assert watched.said() == [("failed_batches", {"batch_ids": [batch_id]})]

    drifted = watched.drop(traffic.drifted)
    claim(watched, drifted, ago=timedelta(hours=2))  # begun two hours ago and never ended
    (taken,) = watched.app.monitoring.scan(watched.model, inbox)
    assert taken.verdict == "drift"


def test_a_scan_checks_new_files_oldest_first_and_alerts_once(watched, traffic, tmp_path) -> None:
    for i, (name, source) in enumerate([("monday.csv", traffic.stable), ("tuesday.csv", traffic.drifted)]):
        path = watched.drop(source, name)
        os.utime(path, (1_700_000_000 + i, 1_700_000_000 + i))
    inbox = watched.inbox()
    batches = watched.app.monitoring.scan(watched.model, inbox)
    assert [(Path(b.path).name, b.verdict) for b in batches] == [
        ("monday.csv", "stable"),
        ("tuesday.csv", "drift"),
    ]
    incident = watched.app.store.open_incident_of("netflow")
    assert (incident.batch_id, incident.batches, incident.channel) == (batches[1].id, 1, "ml-alerts")
    assert [kind for kind, _ in watched.said()] == ["incident", "details"]

    variant(traffic.drifted, watched.model.inbox / "wednesday.csv", 1100)
    (third,) = watched.app.monitoring.scan(watched.model, inbox)
    assert third.verdict == "drift"
    assert watched.app.store.incident(incident.id).batches == 2
    assert [kind for kind, _ in watched.said()] == ["incident"], "the alert is edited, its thread stays quiet"


def told(watched, traffic, number: int, after: timedelta, **changed: Any) -> Notify:
    """Check another drifted batch so long after noon and notify of it; `changed` is what its report says instead."""
    monitoring = at(watched, NOON + after)
    path = variant(traffic.drifted, watched.folder / f"{number}.csv", 1000 + number)
    if not changed:
        return monitoring.notify(watched.model, monitoring.check(watched.model, path).batch)
    found = judged(watched, traffic.drifted)
    claimed = watched.app.store.claim_batch("netflow", sha256_file(path), str(path), "1", "p", NOON + after)
    batch = watched.app.store.save_report(claimed.batch.id, replace(found, **changed), b"", NOON + after)
    return monitoring.notify(watched.model, batch)


def judged(watched, file: Path) -> DriftReport:
    report = at(watched, NOON - timedelta(days=9)).check(watched.model, file).batch.report
    assert report is not None
    return report


def test_the_alert_cool_down_and_a_snooze_hold_across_restarts(watched, traffic) -> None:
    store = watched.app.store
    assert told(watched, traffic, 0, timedelta(0)).action == "open"
    first = store.open_incident_of("netflow")
    store.dismiss_incident(first.id, "U0ANNA", "a test", NOON)

    held = told(watched, traffic, 1, timedelta(hours=5, minutes=59))
    assert (held.action, held.reason) == ("quiet", "the alert cool-down lasts until 2026-03-10 18:00 UTC")
    assert told(watched, traffic, 2, timedelta(hours=6)).action == "open"

    second = store.open_incident_of("netflow")
    store.dismiss_incident(second.id, "U0ANNA", "still", NOON + timedelta(hours=7))
    store.snooze("netflow", NOON + timedelta(hours=30), "U0ANNA", NOON + timedelta(hours=8))
    quiet = told(watched, traffic, 3, timedelta(hours=29))
    assert (quiet.action, quiet.reason) == ("quiet", "snoozed until 2026-03-11 18:00 UTC by U0ANNA")
    assert told(watched, traffic, 4, timedelta(hours=31)).action == "open"

    third = store.open_incident_of("netflow")
    store.snooze("netflow", NOON + timedelta(hours=99), "U0ANNA", NOON + timedelta(hours=31), third.id)
    store.dismiss_incident(third.id, "U0ANNA", "over", NOON + timedelta(hours=32))
    assert told(watched, traffic, 5, timedelta(hours=40)).later, "it is said after the snooze"
    (said,) = at(watched, NOON + timedelta(hours=99)).scan(watched.model, watched.inbox())
    fourth = store.open_incident_of("netflow")
    assert fourth.batch_id == said.id
    store.snooze("netflow", NOON + timedelta(days=9), "U0ANNA", NOON + timedelta(hours=99), fourth.id)
    store.resolve_incident(fourth.id, "U0ANNA", "promoted", NOON + timedelta(hours=100))
    assert told(watched, traffic, 6, timedelta(hours=110)).action == "open", "another drift is another matter"


def test_what_a_cool_down_keeps_back_is_said_after_it_though_the_file_has_gone(watched, traffic) -> None:
    store, inbox = watched.app.store, watched.inbox()
    assert told(watched, traffic, 0, timedelta(0)).action == "open"
    store.dismiss_incident(store.open_incident_of("netflow").id, "U0ANNA", "a test", NOON)
    path = watched.drop(traffic.drifted)
    assert len(at(watched, NOON + timedelta(hours=1)).scan(watched.model, inbox)) == 1
    path.unlink()
    for hours in (2, 5.9):
        assert at(watched, NOON + timedelta(hours=hours)).scan(watched.model, inbox) == []
    assert store.open_incident_of("netflow") is None
    (batch,) = at(watched, NOON + timedelta(hours=6)).scan(watched.model, watched.inbox())
    assert store.open_incident_of("netflow").batch_id == batch.id
    assert at(watched, NOON + timedelta(hours=7)).scan(watched.model, inbox) == []


def test_what_was_held_back_under_an_earlier_version_alerts_nobody_after_the_promotion(
    watched, traffic
) -> None:
    store, inbox = watched.app.store, watched.inbox()
    assert told(watched, traffic, 0, timedelta(0)).action == "open"
    store.dismiss_incident(store.open_incident_of("netflow").id, "U0ANNA", "a test", NOON)
    path = watched.drop(traffic.drifted)
    assert len(at(watched, NOON + timedelta(hours=1)).scan(watched.model, inbox)) == 1
    store.add_version(replace(store.champion("netflow").record, version=2), NOON)
    store.finish_promotion(store.begin_promotion("netflow", 2, "train", "test", NOON).id, NOON)
    path.unlink()
    assert at(watched, NOON + timedelta(hours=6)).scan(watched.model, inbox) == []
    assert (store.open_incident_of("netflow"), store.held("netflow")) == (None, ())
    shutil.copy(traffic.drifted, path)  # what is still there is measured against the new version
    (batch,) = at(watched, NOON + timedelta(hours=7)).scan(watched.model, watched.inbox())
    assert batch.baseline_version == "2"


def test_what_was_held_back_and_renamed_is_measured_anew_after_a_promotion(watched, traffic) -> None:
    store, scan, inbox = watched.app.store, at(watched, NOON).scan, watched.inbox()
    store.snooze("netflow", NOON + timedelta(days=9), "U0ANNA", NOON)
    path = watched.drop(traffic.drifted)
    (held,) = scan(watched.model, inbox)
    path = path.rename(path.with_name("renamed.csv"))
    scan(watched.model, inbox)
    store.add_version(replace(store.champion("netflow").record, version=2), NOON)
    store.finish_promotion(store.begin_promotion("netflow", 2, "train", "test", NOON).id, NOON)
    found = [*scan(watched.model, inbox), *scan(watched.model, inbox)]
    assert [(batch.sha256, batch.baseline_version) for batch in found] == [(held.sha256, "2")]


def test_what_is_measured_anew_after_a_promotion_is_so_though_the_bot_dies_on_the_way(
    watched, traffic, monkeypatch
) -> None:
    store, scan = watched.app.store, at(watched, NOON).scan
    store.snooze("netflow", NOON + timedelta(days=9), "U0ANNA", NOON)
    watched.drop(traffic.drifted)
    (held,) = scan(watched.model, watched.inbox())
    store.add_version(replace(store.champion("netflow").record, version=2), NOON)
    store.finish_promotion(store.begin_promotion("netflow", 2, "train", "test", NOON).id, NOON)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as once, pytest.raises(KeyboardInterrupt):
        once.setattr(store, "release", die)
        scan(watched.model, watched.inbox())
    scan(watched.model, watched.inbox())
    again = store.seen("netflow", held.sha256)
    assert (again.path, again.baseline_version, again.state) == (held.path, "2", "checked")
    assert scan(watched.model, watched.inbox()) == []


def test_calm_counts_from_the_last_drift_and_against_one_version(watched, traffic) -> None:
    store = watched.app.store
    assert told(watched, traffic, 0, timedelta(0)).action == "open"
    first = store.open_incident_of("netflow")

    def calm(number: int) -> None:
        path = variant(traffic.stable, watched.folder / f"calm{number}.csv", 1000 + number)
        monitoring = at(watched, NOON + timedelta(hours=number))
        monitoring.notify(watched.model, monitoring.check(watched.model, path).batch)

    for number in (1, 2):
        calm(number)
    told(watched, traffic, 3, timedelta(hours=3))
    calm(4)
    path = variant(traffic.stable, watched.folder / "by hand.csv", 1100)
    at(watched, NOON + timedelta(hours=5)).check(watched.model, path)  # looked at, and nobody is told
    calm(6)
    assert store.incident(first.id).state == "open"
    calm(7)
    assert store.incident(first.id).state == "resolved"


def test_a_file_whose_rights_change_while_it_is_read_is_believed(watched, traffic, monkeypatch) -> None:
    path = watched.drop(traffic.stable)
    judge = Monitoring._judged

    def and_touched(self, *arguments):
        found = judge(self, *arguments)
        path.chmod(0o600)
        return found

    monkeypatch.setattr(Monitoring, "_judged", and_touched)
    assert watched.app.monitoring.check(watched.model, path).batch.verdict == "stable"


def test_a_file_that_grows_while_it_is_read_is_looked_at_again_and_nobody_is_told(
    watched, traffic, monkeypatch
) -> None:
    path, inbox, judge = watched.drop(traffic.drifted), watched.inbox(), Monitoring._judged
    times: list[int] = []

    def and_written(self, *arguments):
        found = judge(self, *arguments)
        times.append(1)
        if len(times) == 1:
            with path.open("a") as file:
                file.write("\n")
        return found

    monkeypatch.setattr(Monitoring, "_judged", and_written)
    assert watched.app.monitoring.scan(watched.model, inbox) == []
    assert watched.said() == []
    (batch,) = watched.app.monitoring.scan(watched.model, inbox)
    assert (batch.state, batch.verdict) == ("checked", "drift")


def test_batches_that_fit_again_close_the_incident_and_the_next_drift_opens_another(watched, traffic) -> None:
    store = watched.app.store
    assert told(watched, traffic, 0, timedelta(0)).action == "open"
    first = store.open_incident_of("netflow")
    for number in (1, 2, 3):
        assert store.open_incident_of("netflow") is not None
        path = variant(traffic.stable, watched.folder / f"calm{number}.csv", 1000 + number)
        monitoring = at(watched, NOON + timedelta(hours=number))
        monitoring.notify(watched.model, monitoring.check(watched.model, path).batch)
    closed = store.incident(first.id)
    assert (closed.state, closed.closed_by) == ("resolved", "DriftCatcher")
    assert store.decisions("netflow", 1)[0].why == "the last 3 batches were stable"
    assert told(watched, traffic, 9, timedelta(hours=9)).action == "open"
    assert store.open_incident_of("netflow").id != first.id


def test_a_file_that_changes_while_it_is_read_is_not_believed(watched, traffic, monkeypatch) -> None:
    path = watched.drop(traffic.stable)
    judge = Monitoring._judged

    def and_written(self, *arguments):
        found = judge(self, *arguments)
        with path.open("a") as file:
            file.write("\n")
        return found

    monkeypatch.setattr(Monitoring, "_judged", and_written)
    with pytest.raises(DataError, match="was written to while it was read"):
        watched.app.monitoring.check(watched.model, path)


def test_a_lasting_drift_speaks_again_after_the_cool_down_but_not_while_snoozed(watched, traffic) -> None:
    def kinds(number: int, hours: float) -> list[str]:
        told(watched, traffic, number, timedelta(hours=hours))
        return [kind for kind, _ in watched.said()]

    assert kinds(0, 0) == ["incident", "details"]
    hourly = [kinds(hour, hour) for hour in range(1, 13)]
    assert [hour for hour, said in enumerate(hourly, 1) if "details" in said] == [6, 12]
    assert all("incident" in said for said in hourly), "the message is edited at every batch"
    watched.app.store.snooze("netflow", NOON + timedelta(hours=20), "U0ANNA", NOON + timedelta(hours=12.5))
    assert kinds(13, 19) == ["incident"]
    assert kinds(14, 21) == ["incident", "details"]


def test_a_drift_that_gets_worse_speaks_at_once(watched, traffic) -> None:
    said = []
    for number, verdict in enumerate(["warning", "warning", "drift", "drift", "warning"]):
        told(watched, traffic, number, timedelta(minutes=number), verdict=verdict)
        said.append("details" in [kind for kind, _ in watched.said()])
    assert said == [True, False, True, False, False]


def test_a_check_at_the_terminal_is_reported_by_the_next_scan_without_a_new_check(watched, traffic) -> None:
    """`driftcatcher check inbox/today.csv` must not cost the owners their alert."""
    batch = watched.app.monitoring.check(watched.model, watched.drop(traffic.drifted)).batch
    assert not batch.reported
    for inbox in (watched.inbox(), watched.inbox()):  # the second one after a restart
        watched.app.monitoring.scan(watched.model, inbox)
    assert watched.app.store.counters("netflow")["batches"] == 1
    assert watched.app.store.batch(batch.id).reported
    assert watched.app.store.open_incident_of("netflow").batch_id == batch.id
    assert [kind for kind, _ in watched.said()] == ["incident", "details"]


def test_a_private_check_raises_no_alarm(watched, traffic) -> None:
    watched.app.monitoring.check(watched.model, traffic.drifted)
    watched.drop(traffic.stable)
    watched.app.monitoring.scan(watched.model, watched.inbox())
    assert watched.said() == []
    assert watched.app.store.open_incident_of("netflow") is None


KILLED = """
import os, signal, sys
from pathlib import Path
from bot.bootstrap import Application
from bot.inbox import Inbox
from bot.monitoring import Monitoring

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(Monitoring, sys.argv[2], die)
app = Application.load(Path(sys.argv[1]))
model = app.config.model(None)
app.monitoring.scan(model, Inbox(model.inbox, settle=0))
"""


@pytest.mark.parametrize(("dies_in", "bad", "kinds"), [
    ("notify", False, ["incident", "details"]), ("_report_failed", True, ["failed_batches"]),
])  # fmt: skip
def test_what_a_killed_scan_had_checked_is_reported_after_the_restart(
    watched, traffic, dies_in: str, bad: bool, kinds: list[str]
) -> None:
    path = watched.drop(traffic.drifted)
    if bad:
        path.write_text("Dear all,\nthe export failed.\n")
    command = [sys.executable, "-c", KILLED, str(watched.folder / FILE_NAME), dies_in]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    seen = watched.app.store.seen("netflow", sha256_file(path))
    assert (seen.state, seen.reported) == ("failed" if bad else "checked", False)
    for _ in range(2):
        watched.app.monitoring.scan(watched.model, watched.inbox())
    assert [kind for kind, _ in watched.said()] == kinds
    assert watched.app.store.batch(seen.id).reported
    assert sum(watched.app.store.counters("netflow")[name] for name in ("batches", "failed")) == 1


def test_a_state_file_that_is_busy_once_costs_no_alert_and_no_other_file(
    watched, traffic, monkeypatch
) -> None:
    for age, (name, source) in enumerate([("drifted.csv", traffic.drifted), ("stable.csv", traffic.stable)]):
        os.utime(watched.drop(source, name), (1_700_000_000 + age,) * 2)
    inbox = watched.inbox()

    def busy(*_: object) -> None:
        raise StateError("the state file cannot be used now: database is locked")

    with monkeypatch.context() as once:
        once.setattr(watched.app.store, "open_incident", busy)
        (stable,) = watched.app.monitoring.scan(watched.model, inbox)
    assert (stable.verdict, watched.said()) == ("stable", [])
    (drifted,) = watched.app.monitoring.scan(watched.model, inbox)
    assert drifted.verdict == "drift"
    assert [kind for kind, _ in watched.said()] == ["incident", "details"]
    assert watched.app.monitoring.scan(watched.model, inbox) == []


def test_a_report_that_could_not_be_saved_is_measured_again(watched, traffic, monkeypatch) -> None:
    watched.drop(traffic.drifted)
    inbox = watched.inbox()

    def busy(*_: object) -> None:
        raise StateError("the state file cannot be used now: database is locked")

    with monkeypatch.context() as once:
        once.setattr(watched.app.store, "save_report", busy)
        assert watched.app.monitoring.scan(watched.model, inbox) == []
    (batch,) = watched.app.monitoring.scan(watched.model, inbox)
    assert batch.verdict == "drift"
    assert [kind for kind, _ in watched.said()] == ["incident", "details"]


def test_files_that_failed_while_the_state_file_was_busy_are_reported_by_the_next_scan(
    watched, traffic, monkeypatch
) -> None:
    watched.drop(traffic.stable).write_text("nothing of use\n")
    inbox = watched.inbox()

    def busy(*_: object) -> None:
        raise StateError("the state file cannot be used now: database is locked")

    with monkeypatch.context() as once:
        once.setattr(watched.app.store, "mark_reported", busy)
        watched.app.monitoring.scan(watched.model, inbox)
    assert watched.said() == [], "said and marked in one step or not at all"
    watched.app.monitoring.scan(watched.model, inbox)
    assert [kind for kind, _ in watched.said()] == ["failed_batches"]


def test_what_the_cool_down_held_back_is_reported_after_it_if_it_is_the_newest(watched, traffic) -> None:
    hour = timedelta(hours=1)
    store, inbox = watched.app.store, watched.inbox()

    def scan(after: timedelta) -> list[str]:
        at(watched, NOON + after).scan(watched.model, inbox)
        return [kind for kind, _ in watched.said()]

    variant(traffic.drifted, watched.model.inbox / "0.csv", 1000)
    assert scan(0 * hour) == ["incident", "details"]
    store.dismiss_incident(store.open_incident_of("netflow").id, "U0ANNA", "", NOON)
    held = [variant(traffic.drifted, watched.model.inbox / f"{n}.csv", 1000 + n) for n in (1, 2)]
    assert scan(hour) == scan(5 * hour) == []
    assert [store.seen("netflow", sha256_file(path)).reported for path in held] == [True, False]
    assert scan(6 * hour) == ["incident", "details"]
    incident = store.open_incident_of("netflow")
    assert (incident.batch_id, incident.batches) == (store.seen("netflow", sha256_file(held[1])).id, 1)
    assert scan(7 * hour) == []


def test_what_the_cool_down_held_back_is_old_news_after_a_stable_batch(watched, traffic) -> None:
    told(watched, traffic, 0, timedelta(0))
    incident = watched.app.store.open_incident_of("netflow")
    watched.app.store.dismiss_incident(incident.id, "U0ANNA", "", NOON)
    inbox = watched.inbox()
    path = watched.drop(traffic.drifted)
    at(watched, NOON + timedelta(hours=1)).scan(watched.model, inbox)
    watched.drop(traffic.stable)
    for hours in (2, 7):
        at(watched, NOON + timedelta(hours=hours)).scan(watched.model, inbox)
    assert watched.app.store.open_incident_of("netflow") is None
    assert watched.app.store.seen("netflow", sha256_file(path)).reported


def test_broken_feeds_and_bad_files_are_one_message_each_a_cool_down(watched, traffic) -> None:
    inbox = watched.inbox()
    lacking = pd.read_csv(traffic.stable).drop(columns=["Flow Duration", "Protocol"])

    def hourly(hour: int) -> list[str]:
        lacking.head(1000 + hour).to_csv(watched.model.inbox / f"broken{hour}.csv", index=False)
        (watched.model.inbox / f"bad{hour}.csv").write_text(f"nothing of use\n{hour}\n")
        at(watched, NOON + timedelta(hours=hour)).scan(watched.model, inbox)
        said = watched.said()
        told.extend(len(payload["batch_ids"]) for kind, payload in said if kind == "failed_batches")
        return sorted(kind for kind, _ in said)

    told: list[int] = []
    said = {hour: kinds for hour in range(8) if (kinds := hourly(hour))}
    both = ["broken_feed", "failed_batches"]
    assert said == {0: both, 6: both}
    watched.app.store.snooze("netflow", NOON + timedelta(hours=30), "U0ANNA", NOON + timedelta(hours=8))
    assert [hourly(20), hourly(30)] == [both, both], "a snooze is for the drift that somebody has seen"
    assert told == [1, 6, 2, 1], "bad files of a cool-down come in one message after it"
    assert watched.app.store.counters("netflow")["failed"] == 10, "what is held back is remembered"
    assert [p.verdict for p in watched.app.store.history("netflow", 99)] == ["broken_feed"] * 10


def test_several_broken_feeds_of_one_scan_are_one_message(watched, traffic) -> None:
    lacking = pd.read_csv(traffic.stable).drop(columns=["Flow Duration", "Protocol"])
    for number in range(3):
        lacking.head(1000 + number).to_csv(watched.model.inbox / f"{number}.csv", index=False)
    batches = watched.app.monitoring.scan(watched.model, watched.inbox())
    assert [b.verdict for b in batches] == ["broken_feed"] * 3
    assert [kind for kind, _ in watched.said()] == ["broken_feed"]
    assert all(watched.app.store.batch(b.id).reported for b in batches)


def test_a_scan_that_is_asked_to_stop_leaves_the_rest_for_the_next(watched, traffic) -> None:
    for number in range(4):
        os.utime(
            variant(traffic.stable, watched.model.inbox / f"{number}.csv", 1000 + number),
            (1.7e9 + number,) * 2,
        )
    inbox, answers = watched.inbox(), iter([False, False, True])
    first = watched.app.monitoring.scan(watched.model, inbox, lambda: next(answers))
    rest = watched.app.monitoring.scan(watched.model, inbox)
    assert [Path(b.path).name for b in first] == ["0.csv", "1.csv"]
    assert [Path(b.path).name for b in rest] == ["2.csv", "3.csv"]


def test_a_long_backlog_is_reported_whole_and_keeps_few_reports_in_memory(
    watched, traffic, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(monitoring, "REPORTS", 2)
    for rows in range(600, 605):
        watched.drop(variant(traffic.stable, tmp_path / f"{rows}.csv", rows))
    batches = watched.app.monitoring.scan(watched.model, watched.inbox())
    assert [batch.report is not None for batch in batches] == [False, False, False, True, True]
    assert all(watched.app.store.batch(batch.id).reported for batch in batches)


def test_a_model_may_alert_on_drift_alone(watch, traffic) -> None:
    actions = {}
    for alert_on in ("warning", "drift"):
        watched = watch(f'alert_on = "{alert_on}"\n[models.detectors.psi]\nsignificant = 99')
        checked = watched.app.monitoring.check(watched.model, traffic.drifted)
        assert checked.batch.verdict == "warning"
        actions[alert_on] = watched.app.monitoring.notify(watched.model, checked.batch).action
    assert actions == {"warning": "open", "drift": "quiet"}


def test_a_lost_baseline_is_told_once_and_the_files_are_checked_when_it_is_back(watched, traffic) -> None:
    record = watched.app.store.champion("netflow").record
    path = Path(record.baseline_path)
    aside = path.with_suffix(".aside")
    watched.drop(traffic.drifted)
    inbox = watched.inbox()
    path.rename(aside)
    try:
        (failed,) = watched.app.monitoring.scan(watched.model, inbox)
        assert (failed.state, failed.error_kind) == ("failed", "baseline")
        assert "Download baseline from the MLflow run" in str(failed.error)
        watched.app.monitoring.scan(watched.model, inbox)
        assert [kind for kind, _ in watched.said()] == ["failed_batches"]
    finally:
        aside.rename(path)
    (checked,) = watched.app.monitoring.scan(watched.model, inbox)
    assert checked.verdict == "drift"


def test_a_detector_that_breaks_down_with_the_check_frees_the_file(watched, traffic, monkeypatch) -> None:
    """An error nobody foresaw: the file is failed, not for ever "being checked", and can be tried again."""
    watched.drop(traffic.stable)

    def out_of_memory(*_: object, **__: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("bot.monitoring.profile_batch", out_of_memory)
    (failed,) = watched.app.monitoring.scan(watched.model, watched.inbox())
    assert (failed.state, failed.error_kind, failed.error) == ("failed", "internal", "MemoryError: no room")
    monkeypatch.undo()
    assert watched.app.monitoring.check(watched.model, traffic.stable).batch.verdict == "stable"


def test_a_batch_that_failed_can_be_checked_by_hand_again(watched, tmp_path) -> None:
    path = tmp_path / "late.csv"
    path.touch()
    for _ in range(2):
        with pytest.raises(DataError, match="is empty"):
            watched.app.monitoring.check(watched.model, path)
    assert watched.app.store.counters("netflow")["failed"] == 1


def test_a_broken_feed_is_told_but_is_no_incident(watched, traffic, tmp_path) -> None:
    path = tmp_path / "broken.csv"
    pd.read_csv(traffic.stable).drop(columns=["Flow Duration", "Protocol"]).to_csv(path, index=False)
    checked = watched.app.monitoring.check(watched.model, path)
    assert (checked.batch.verdict, checked.batch.report.recommendation) == ("broken_feed", "investigate")
    watched.app.monitoring.notify(watched.model, checked.batch)
    watched.app.monitoring.notify(watched.model, checked.batch)
    assert watched.said() == [("broken_feed", {"batch_id": checked.batch.id})]
    assert watched.app.store.open_incident_of("netflow") is None


@pytest.mark.parametrize("learned_from_both", [True, False])
def test_traffic_of_the_old_kind_is_no_drift_after_a_retrain_on_old_and_new(
    watched, traffic, tmp_path, learned_from_both
) -> None:
    store, path = watched.app.store, tmp_path / "mixed.npz"
    mixed = Baseline.fit(
        traffic.labelled, label=LABEL_COLUMN, ignore=IDENTIFIERS, categorical=("Protocol",), version="2"
    )
    mixed.save(path)
    first = store.champion("netflow").record
    new = DataFile(str(traffic.labelled), sha256_file(traffic.labelled), 600)
    data = (*first.data, new) if learned_from_both else (new,)
    second = replace(first, version=2, baseline_path=str(path), baseline_sha256=sha256_file(path), data=data)
    store.add_version(second, NOON)
    store.finish_promotion(store.begin_promotion("netflow", 2, "train", "test", NOON).id, NOON)
    report = watched.app.monitoring.check(watched.model, traffic.stable).batch.report
    if learned_from_both:
        assert (report.verdict, report.recommendation, report.baseline_version) == ("stable", "none", "1")
        assert "fits the data of version 1, which version 2 has learned from too" in report.notes[-1]
    else:
        assert (report.verdict, report.baseline_version) == ("drift", "2")
