from __future__ import annotations

from datetime import timedelta

import pytest

from state.records import AlreadyDecided, StateError

OPEN = 'globals().update(store=Store(path)) or "open"'


def test_an_incident_gathers_the_batches_of_one_drift(store, scene, now):
    first, second = scene.batch("1"), scene.batch("2")
    incident = store.open_incident("ids", first, "C1", now)
    assert (incident.state, incident.batch_id, incident.batches, incident.ts) == ("open", first, 1, None)
    assert incident.opened_at == now
    grown = store.add_to_incident(incident.id, second, now)
    assert (grown.batches, grown.batch_id, grown.last_batch_id) == (2, first, second)
    assert store.add_to_incident(incident.id, second, now) == grown
    posted = store.set_incident_ts(incident.id, "1730541600.000100")
    assert posted.ts == "1730541600.000100"
    assert store.incident(incident.id) == posted == store.open_incident_of("ids")
    assert store.incidents("ids") == store.incidents() == (posted,)
    assert store.open_incident_of("other") is None
    assert store.unclosed_incidents() == (posted,)
    store.resolve_incident(incident.id, "U1", "", now)
    assert store.unclosed_incidents() == ()


def test_an_older_batch_that_joins_late_is_not_the_last(store, scene, now):
    older, newer = scene.batch("1"), scene.batch("2")
    incident = store.open_incident("ids", newer, "C1", now)
    joined = store.add_to_incident(incident.id, older, now)
    assert (joined.last_batch_id, joined.batches) == (newer, 2)


def test_an_incident_knows_when_it_last_spoke_and_of_what(store, scene, now):
    incident = scene.incident()
    assert (incident.spoke_at, incident.spoke_verdict) == (now, "drift")
    later = now + timedelta(hours=6)
    joined = store.add_to_incident(incident.id, scene.batch("2"), later)
    assert (joined.spoke_at, joined.spoke_verdict) == (now, "drift"), "an edit says nothing aloud"
    spoken = store.incident_spoke(incident.id, "warning", later)
    assert (spoken.spoke_at, spoken.spoke_verdict) == (later, "warning")
    assert store.incident(incident.id) == spoken


def test_the_channel_of_the_message_replaces_its_name(store, scene):
    incident = scene.incident()
    assert store.set_incident_ts(incident.id, "1.1").channel == "C1"
    assert store.set_incident_ts(incident.id, "1.2", "C0987").channel == "C0987"


def test_a_second_drift_joins_the_incident_that_is_not_closed(store, scene, now):
    first, second = scene.batch("1"), scene.batch("2")
    incident = store.open_incident("ids", first, "C1", now)
    joined = store.open_incident("ids", second, "C1", now)
    assert joined.id == incident.id
    assert (joined.batch_id, joined.last_batch_id, joined.batches) == (first, second, 2)


def test_processes_that_open_at_once_open_one(workers, store, scene):
    batches = [scene.batch(str(n)) for n in range(3)]
    three = workers(3)
    for worker in three:
        worker.ask(OPEN)
    for worker, batch in zip(three, batches, strict=True):
        worker.send(f'store.open_incident("ids", {batch}, "C1", now).id')
    assert [worker.answer() for worker in three] == [{"value": 1}] * 3
    (incident,) = store.incidents("ids")
    assert incident.batches == 3
    assert incident.last_batch_id == max(batches)


def test_dismissing_closes_once_and_is_noted_once(store, scene, now):
    incident = scene.incident()
    assert store.dismiss_incident(incident.id, "U1", "a planned campaign", now) is True
    assert store.dismiss_incident(incident.id, "U2", "me too", now) is False
    closed = store.incident(incident.id)
    assert (closed.state, closed.closed_by, closed.closed_at) == ("dismissed", "U1", now)
    assert store.open_incident_of("ids") is None
    noted = [d for d in store.decisions("ids") if d.what == "dismiss"]
    assert [(d.who, d.why, d.subject, d.at) for d in noted] == [
        ("U1", "a planned campaign", "incident 1", now)
    ]
    with pytest.raises(StateError, match="is dismissed: open a new one"):
        store.add_to_incident(incident.id, incident.batch_id, now)


def test_an_incident_under_retrain_cannot_be_dismissed(store, scene, now):
    incident = scene.incident()
    scene.approve(incident.id)
    assert store.dismiss_incident(incident.id, "U1", "", now) is False
    assert store.incident(incident.id).state == "retraining"


def test_after_a_closed_incident_the_next_drift_opens_another(store, scene, now):
    first = scene.incident()
    store.dismiss_incident(first.id, "U1", "", now)
    later = now + timedelta(hours=7)
    second = store.open_incident("ids", scene.batch("2"), "C1", later)
    assert second.id != first.id
    assert store.last_alert_at("ids") == later
    assert [i.id for i in store.incidents("ids")] == [second.id, first.id]
    assert store.incidents("ids", 1) == (second,)


def test_last_alert_is_the_newest_opening_of_the_model(store, scene, now):
    assert store.last_alert_at("ids") is None
    scene.incident()
    assert store.last_alert_at("ids") == now
    assert store.last_alert_at("other") is None


def test_unknown_incidents_and_batches_are_named(store, scene, now):
    for call in (
        lambda: store.incident(4),
        lambda: store.set_incident_ts(4, "1.2"),
        lambda: store.dismiss_incident(4, "U1", "", now),
        lambda: store.add_to_incident(4, 1, now),
        lambda: store.snooze("ids", now + timedelta(hours=6), "U1", now, 4),
    ):
        with pytest.raises(StateError, match="there is no incident 4"):
            call()
    batch = scene.batch("1")
    with pytest.raises(StateError, match=f"model other has no batch {batch}"):
        store.open_incident("other", batch, "C1", now)
    with pytest.raises(StateError, match="model ids has no batch 99"):
        store.open_incident("ids", 99, "C1", now)
    assert store.incidents() == ()


def test_a_snooze_ends(store, scene, now):
    incident = scene.incident()
    silence = store.snooze("ids", now + timedelta(hours=6), "U1", now, incident.id)
    assert store.silence("ids", now) == silence
    assert store.silence("ids", now + timedelta(hours=5, minutes=59)) == silence
    assert store.silence("ids", now + timedelta(hours=6)) is None
    assert store.silence("other", now) is None
    noted = store.decisions("ids", 1)[0]
    assert (noted.who, noted.what, noted.subject) == ("U1", "snooze", "incident 1")
    assert noted.why == "until 2026-11-02 16:00 UTC"


def test_silences_of_incidents_are_reported_when_they_end(store, scene, now):
    incident = scene.incident()
    hour = timedelta(hours=1)
    silence = store.snooze("ids", now + 6 * hour, "U1", now, incident.id)
    store.snooze("ids", now + 6 * hour, "U1", now, None)
    assert store.silences_ended(now, now + 6 * hour) == (silence,)
    assert store.silences_ended(now + 6 * hour, now + 9 * hour) == ()
    assert store.silences_ended(now, now + 5 * hour) == ()


def test_the_newest_snooze_counts_even_when_it_is_the_shorter_one(store, now):
    hour = timedelta(hours=1)
    store.snooze("ids", now + timedelta(days=7), "U1", now, None)
    short = store.snooze("ids", now + 6 * hour, "U2", now + hour, None)
    assert store.silence("ids", now + 2 * hour) == short
    assert store.silence("ids", now + 6 * hour) is None, "the week was taken back"
    with pytest.raises(StateError, match="must end after it begins"):
        store.snooze("ids", now, "U1", now, None)


def test_a_snooze_can_be_ended_at_once(store, scene, now):
    incident = scene.incident()
    silence = store.snooze("ids", now + timedelta(days=7), "U1", now, incident.id)
    hour = now + timedelta(hours=1)
    assert store.end_snooze("ids", "U2", hour, incident.id).id == silence.id
    assert store.silence("ids", hour) is None
    noted = store.decisions("ids", 1)[0]
    assert (noted.who, noted.what, noted.subject) == ("U2", "end_snooze", "incident 1")
    with pytest.raises(StateError, match="ids is not snoozed any more"):
        store.end_snooze("ids", "U2", hour, incident.id)
    assert [d.what for d in store.decisions("ids")][:2] == ["end_snooze", "snooze"]


def test_a_closed_incident_cannot_be_snoozed(store, scene, now):
    incident = scene.incident()
    store.dismiss_incident(incident.id, "U1", "", now)
    with pytest.raises(AlreadyDecided, match="already dismissed by U1"):
        store.snooze("ids", now + timedelta(hours=6), "U2", now, incident.id)
    assert store.silence("ids", now) is None
