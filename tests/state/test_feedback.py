from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from sqlite_utils import Database as Tables

from state.migrations import migrate
from state.records import StateError
from state.store import Store


def test_what_was_said_of_an_incident_is_kept_and_noted(path, store, scene, now):
    incident = scene.incident()
    said = store.give_feedback("true_drift", "U1", "a new botnet", now, incident_id=incident.id)
    assert (said.model, said.verdict, said.who, said.at, said.why) == (
        "ids", "true_drift", "U1", now, "a new botnet",
    )  # fmt: skip
    assert (said.incident_id, said.batch_id) == (incident.id, None)
    noted = store.decisions("ids", 1)[0]
    assert (noted.who, noted.what, noted.subject, noted.why) == (
        "U1", "true_drift", "incident 1", "a new botnet",
    )  # fmt: skip
    assert store.incident(incident.id).state == "open", "feedback decides nothing"
    store.close()
    with Store(path) as reopened:
        assert reopened.feedback("ids") == reopened.feedback() == (said,)


def test_the_newest_of_a_person_counts_and_the_history_is_kept(store, scene, now):
    incident, hour = scene.incident(), timedelta(hours=1)
    first = store.give_feedback("true_drift", "U1", "", now, incident_id=incident.id)
    other = store.give_feedback("true_drift", "U2", "", now + hour, incident_id=incident.id)
    second = store.give_feedback("false_alarm", "U1", "a season", now + 2 * hour, incident_id=incident.id)
    assert store.feedback_on(incident.id) == (other, second)
    assert store.feedback("ids") == (second, other, first)
    assert store.feedback("ids", limit=1) == (second,)
    assert store.feedback("other") == store.feedback_on(99) == ()


def test_dismissing_says_false_alarm_once_and_in_one_line_of_the_log(store, scene, now):
    incident = scene.incident()
    assert store.dismiss_incident(incident.id, "U1", "month end", now)
    assert not store.dismiss_incident(incident.id, "U2", "", now)
    (said,) = store.feedback_on(incident.id)
    assert (said.verdict, said.who, said.why) == ("false_alarm", "U1", "month end")
    assert [d.what for d in store.decisions("ids")][:1] == ["dismiss"]


def test_an_incident_speaks_for_its_batches_and_a_batch_for_itself(store, scene, now):
    incident = scene.incident()
    second, alone = scene.batch("2", now), scene.batch("3", now)
    store.add_to_incident(incident.id, second, now)
    of_batch = store.give_feedback("false_alarm", "U1", "", now, batch_id=second)
    of_incident = store.give_feedback("true_drift", "U1", "", now, incident_id=incident.id)
    of_other = store.give_feedback("true_drift", "U2", "", now, incident_id=incident.id)
    of_lone = store.give_feedback("true_drift", "U2", "missed", now, batch_id=alone)
    assert store.truths("ids") == {
        incident.batch_id: (of_incident, of_other),
        second: (of_other, of_batch),
        alone: (of_lone,),
    }
    assert store.truths("other") == {}
    assert store.decisions("ids", 1)[0].subject == f"batch {alone}"


def test_what_does_not_exist_or_has_no_verdict_is_refused(store, scene, now):
    with pytest.raises(StateError, match="there is no incident 4"):
        store.give_feedback("true_drift", "U1", "", now, incident_id=4)
    with pytest.raises(StateError, match="there is no batch 5"):
        store.give_feedback("true_drift", "U1", "", now, batch_id=5)
    claim = store.claim_batch("ids", "9" * 64, "/inbox/9.csv", "1", "p", now)
    with pytest.raises(StateError, match="is checking: there is no verdict"):
        store.give_feedback("true_drift", "U1", "", now, batch_id=claim.batch.id)
    with pytest.raises(ValueError, match="one incident or one batch"):
        store.give_feedback("true_drift", "U1", "", now)
    assert store.feedback() == store.decisions() == ()


def test_whoever_dismissed_before_the_update_has_said_false_alarm(path, scene_of):
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        migrate(Tables(raw), "m2026_11_25_feedback")
        at = "2026-11-02T10:00:00.000000+00:00"
        raw.execute(
            "INSERT INTO batches (id, model, sha256, path, baseline_version, policy_sha, state, claimed_at, host,"
            f" pid, started) VALUES (1, 'ids', 's', '/a.csv', '1', 'p', 'checking', '{at}', 'h', 1, '1')"
        )
        for number, state in enumerate(("dismissed", "resolved", "open"), 1):
            raw.execute(
                "INSERT INTO incidents (id, model, state, opened_at, batch_id, last_batch_id, channel, closed_at,"
                f" closed_by) VALUES ({number}, 'ids', '{state}', '{at}', 1, 1, 'C1', '{at}', 'U7')"
            )
        raw.execute("COMMIT")
    with Store(path) as store:
        (said,) = store.feedback()
        assert (said.incident_id, said.verdict, said.who) == (1, "false_alarm", "U7")
        assert said.at == store.incident(1).closed_at


def test_batches_are_found_by_name_and_the_newest_check_of_the_same_bytes_counts(store, scene, now):
    scene.batch("1", now)
    again = store.claim_batch("ids", "1" * 64, "/inbox/1.csv", "2", "p", now)
    store.save_report(again.batch.id, scene.report("stable"), b"profile", now)
    two = scene.batch("2", now)
    assert [b.id for b in store.checked_batches("ids")] == [two, again.batch.id]
    assert [b.id for b in store.checked_batches("ids", 1)] == [two]
    assert [b.id for b in store.batches_named("2.csv")] == [two]
    assert [b.id for b in store.batches_named("/inbox/2.csv", "ids")] == [two]
    assert [b.id for b in store.batches_named("1.csv")] == [again.batch.id, 1]
    assert store.batches_named("2.csv", "other") == store.batches_named(".csv") == ()
