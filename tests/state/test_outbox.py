from __future__ import annotations

from datetime import timedelta

import pytest

from state.records import StateError
from state.store import Store

MINUTE = timedelta(minutes=1)


def keys(store: Store, now) -> list[str]:
    return [item.key for item in store.due(now)]


def test_an_item_is_due_until_it_is_delivered(store, now):
    item = store.enqueue("notice", "k1", {"text": "größer & <b>", "n": [1, None]}, None, now)
    assert (item.kind, item.key, item.attempts, item.started) == ("notice", "k1", 0, False)
    assert item.payload == {"text": "größer & <b>", "n": [1, None]}
    assert store.due(now) == (item,)
    started = store.mark_started(item.id, now)
    assert (started.started, started.attempts) == (True, 1)
    assert store.due(now) == (started,)  # a crash here: it is due again, and says that it was started
    store.delivered(item.id, now)
    assert store.due(now) == ()
    with pytest.raises(StateError, match="outbox item 1 is delivered or given up already"):
        store.delivered(item.id, now)
    with pytest.raises(StateError, match="there is no outbox item 5"):
        store.delivered(5, now)


def test_a_key_is_stored_once_also_after_delivery(store, now):
    item = store.enqueue("notice", "k1", {}, None, now)
    assert store.enqueue("notice", "k1", {"again": 1}, None, now) is None
    store.delivered(item.id, now)
    assert store.enqueue("notice", "k1", {}, None, now) is None
    assert store.due(now) == ()


def test_items_of_an_incident_wait_for_the_earlier_ones(store, scene, now):
    incident = scene.incident()
    post = store.enqueue("incident", "post", {}, incident.id, now)
    store.enqueue("reply", "r1", {}, incident.id, now)
    store.enqueue("plots", "p1", {}, incident.id, now)
    other = store.enqueue("notice", "n1", {}, None, now)
    assert keys(store, now) == ["post", "n1"]
    store.mark_started(post.id, now)
    store.retry_later(post.id, now + MINUTE, "ratelimited")
    assert keys(store, now) == ["n1"]
    store.delivered(other.id, now)
    (again,) = store.due(now + MINUTE)
    assert (again.id, again.last_error, again.attempts) == (post.id, "ratelimited", 1)
    assert again.not_before == now + MINUTE
    store.delivered(post.id, now)
    assert keys(store, now) == ["r1"]
    store.delivered(store.due(now)[0].id, now)
    assert keys(store, now) == ["p1"]


def test_incidents_do_not_wait_for_each_other(store, scene, now):
    first = scene.incident()
    store.dismiss_incident(first.id, "U1", "", now)
    second = store.open_incident("ids", scene.batch("2"), "C1", now)
    for incident in (first, second):
        store.enqueue("reply", f"a{incident.id}", {}, incident.id, now)
        store.enqueue("reply", f"b{incident.id}", {}, incident.id, now)
    assert keys(store, now) == ["a1", "a2"]
    assert [item.key for item in store.due(now, 1)] == ["a1"]


def test_what_is_given_up_holds_up_nobody(store, scene, now):
    incident = scene.incident()
    first = store.enqueue("reply", "r1", {}, incident.id, now)
    store.enqueue("reply", "r2", {}, incident.id, now)
    store.give_up(first.id, "channel_not_found", now)
    assert keys(store, now) == ["r2"]
    assert store.enqueue("reply", "r1", {}, incident.id, now) is None


def test_edits_of_an_incident_coalesce(store, scene, now):
    incident = scene.incident()
    post = store.enqueue("incident", "i-open", {"state": "open"}, incident.id, now)
    store.enqueue("reply", "r1", {}, incident.id, now)
    edit = store.enqueue("incident", "i-retraining", {"state": "retraining"}, incident.id, now)
    assert edit.id == post.id
    assert store.due(now)[0].payload == {"state": "retraining"}
    assert store.enqueue("incident", "i-2", {"state": "decision"}, incident.id, now).id == post.id
    store.delivered(post.id, now)
    for key in ("i-open", "i-retraining", "i-2"):
        assert store.enqueue("incident", key, {}, incident.id, now) is None
    assert store.enqueue("incident", "i-3", {"state": "resolved"}, incident.id, now).id != post.id
    assert keys(store, now) == ["i-3"], "its message is not in Slack yet: the thread waits for it"
    store.set_incident_ts(incident.id, "1.2")
    assert keys(store, now) == ["r1"]  # the new edit comes after what was said before it


def test_an_edit_during_delivery_is_not_lost(store, scene, now):
    incident = scene.incident()
    post = store.enqueue("incident", "i-1", {"n": 1}, incident.id, now)
    assert store.due(now) == (post,)
    store.enqueue("incident", "i-2", {"n": 2}, incident.id, now)  # before it starts: goes out with it
    assert store.mark_started(post.id, now).payload == {"n": 2}
    late = store.enqueue(
        "incident", "i-3", {"n": 3}, incident.id, now
    )  # while it is under way: goes out after it
    assert late.id != post.id
    assert store.enqueue("incident", "i-4", {"n": 4}, incident.id, now).id == late.id
    store.delivered(post.id, now)
    assert [item.payload for item in store.due(now)] == [{"n": 4}]


def test_the_same_edit_again_while_it_waits_takes_the_newer_payload(store, scene, now):
    incident = scene.incident()
    first = store.enqueue("incident", "b", {"n": 1}, incident.id, now)
    store.enqueue("incident", "a", {"n": 2}, incident.id, now)
    again = store.enqueue("incident", "b", {"n": 3}, incident.id, now)
    assert (again.id, again.payload) == (first.id, {"n": 3})
    assert again.key == "b"  # the first key stays the name of the item
    assert store.due(now) == (again,)


def test_replies_and_other_incidents_do_not_coalesce(store, scene, now):
    first = scene.incident()
    store.dismiss_incident(first.id, "U1", "", now)
    second = store.open_incident("ids", scene.batch("2"), "C1", now)
    ids = [
        store.enqueue("incident", "a", {}, first.id, now).id,
        store.enqueue("incident", "b", {}, second.id, now).id,
        store.enqueue("reply", "c", {}, first.id, now).id,
        store.enqueue("reply", "d", {}, first.id, now).id,
        store.enqueue("incident", "e", {}, None, now).id,
        store.enqueue("incident", "f", {}, None, now).id,
    ]
    assert len(set(ids)) == 6


def test_a_known_key_of_another_incident_is_not_merged(store, scene, now):
    first = scene.incident()
    store.enqueue("incident", "a", {}, first.id, now)
    store.dismiss_incident(first.id, "U1", "", now)
    second = store.open_incident("ids", scene.batch("2"), "C1", now)
    store.enqueue("incident", "b", {"n": 1}, second.id, now)
    assert store.enqueue("incident", "a", {"n": 2}, second.id, now) is None
    assert store.due(now)[1].payload == {"n": 1}


def test_another_process_can_add_while_the_bot_reads(workers, store, now):
    (worker,) = workers(1)
    worker.ask('globals().update(store=Store(path)) or "open"')
    worker.send('[store.enqueue("notice", f"w{i}", {}, None, now).id for i in range(200)]')
    later = now + timedelta(days=3650)
    seen: list[str] = []
    while len(seen) < 200:
        seen = [item.key for item in store.due(later, 1000)]
        assert seen == [f"w{i}" for i in range(len(seen))]
    assert len(worker.answer()["value"]) == 200


def test_four_processes_that_say_the_same_say_it_once(workers, store):
    four = workers(4)
    for worker in four:
        worker.ask('globals().update(store=Store(path)) or "open"')
    for worker in four:
        worker.send('store.enqueue("notice", "same", {}, None, now) is None')
    assert sorted(worker.answer()["value"] for worker in four) == [False, True, True, True]


def test_the_first_attempt_is_remembered(store, now):
    item = store.enqueue("notice", "k1", {}, None, now)
    assert item.started_at is None
    assert store.mark_started(item.id, now + MINUTE).started_at == now + MINUTE
    assert store.mark_started(item.id, now + 9 * MINUTE).started_at == now + MINUTE
    assert store.due(now)[0].started_at == now + MINUTE
