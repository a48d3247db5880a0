"""The outbox reaches a workspace: what Slack refuses holds nothing up, and nothing is said twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.bootstrap import Bot, Secrets
from bot.labelling import waiting
from bot.slack import ids
from bot.slack.app import web_client
from bot.slack.delivery import GIVE_UP_AFTER, OUR_FAULT, PICTURES_TRIED, Delivery
from bot.slack.rendering import Renderer
from bot.times import utc_now
from bot.workspace import Person, User, Workspace

ANNA, CHANNEL = User("U0ANNA", "anna", "Anna"), "ml-alerts"
UPLOAD, POST = "files.getUploadURLExternal", "chat.postMessage"


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace([ANNA], [CHANNEL]) as running:
        yield running


@pytest.fixture
def anna(workspace: Workspace) -> Person:
    return workspace.person(ANNA.id)


@pytest.fixture
def delivery(watched: Any, workspace: Workspace) -> Delivery:
    """What empties the outbox; `later` makes its clock run ahead."""
    made: Delivery = watched.app.delivery(web_client(workspace.bot_token, workspace.api_url))
    return made


def later(delivery: Delivery, seconds: float) -> Delivery:
    return replace(delivery, now=lambda: utc_now() + timedelta(seconds=seconds))


def drift(watched: Any, file: Any) -> None:
    watched.drop(file)
    watched.app.monitoring.scan(watched.model, watched.inbox())


def thread(anna: Person) -> list[dict[str, Any]]:
    (alert,) = anna.messages(CHANNEL)
    return anna.replies(CHANNEL, alert["ts"])


def pictures(anna: Person) -> int:
    return sum(len(reply.get("files", [])) for reply in thread(anna))


def details(anna: Person) -> int:
    return ["*Details*" in str(reply.get("blocks")) for reply in thread(anna)].count(True)


@pytest.mark.parametrize("code", ["file_uploads_disabled", "missing_scope", "file_upload_size_restricted"])
def test_pictures_that_slack_refuses_are_left_out(
    watched: Any, traffic: Any, workspace: Workspace, anna: Person, delivery: Delivery, code: str
) -> None:
    drift(watched, traffic.drifted)
    workspace.fail_next(UPLOAD, 200, error=code)
    assert delivery.flush() == 2
    assert (pictures(anna), details(anna)) == (0, 1)
    assert not watched.app.store.due(utc_now() + timedelta(days=1)), "the thread goes on"


def test_rows_to_label_that_slack_refuses_are_said_to_be_at_the_terminal(
    watched: Any, traffic: Any, workspace: Workspace, anna: Person, delivery: Delivery
) -> None:
    sample = watched.app.sampling.draw(watched.model, traffic.drifted, rows=20, strategy="random").sample
    watched.app.store.enqueue("sample", "sample:1", {"sample": sample.name}, None, utc_now())
    workspace.fail_next(UPLOAD, 200, error="missing_scope")
    assert delivery.flush() == 1
    (said,) = anna.messages(CHANNEL)
    assert "20 rows of drifted.csv are drawn" in said["text"] and "`driftcatcher sample`" in said["text"]
    watched.app.store.enqueue("sample", "sample:2", {"sample": sample.name}, None, utc_now())
    assert delivery.flush() == 1
    (file,) = [file for message in anna.messages(CHANNEL) for file in message.get("files", [])]
    assert anna.file(file["id"]) == watched.app.store.sample_file(sample.name)


@pytest.mark.parametrize(("method", "status"), [(UPLOAD, 503), (UPLOAD, 500), ("upload", 500)])
def test_pictures_wait_for_a_slack_that_is_ill(
    watched: Any,
    traffic: Any,
    workspace: Workspace,
    anna: Person,
    delivery: Delivery,
    method: str,
    status: int,
) -> None:
    drift(watched, traffic.drifted)
    workspace.fail_next(method, status, times=2)
    assert sum(later(delivery, 60 * attempt).flush() for attempt in range(3)) == 2
    assert (pictures(anna), details(anna)) == (3, 1)


def test_pictures_that_never_arrive_do_not_hold_up_the_thread_for_long(
    watched: Any, traffic: Any, workspace: Workspace, anna: Person, delivery: Delivery
) -> None:
    drift(watched, traffic.drifted)
    workspace.fail_next("upload", 500, times=1000)
    delivered = [later(delivery, 4000 * attempt).flush() for attempt in range(PICTURES_TRIED)]
    assert sum(delivered) == 2
    assert (pictures(anna), details(anna)) == (0, 1)


def test_a_message_whose_answer_was_lost_is_found_behind_a_lot_of_talk(
    watched: Any, traffic: Any, workspace: Workspace, anna: Person, delivery: Delivery
) -> None:
    drift(watched, traffic.drifted)
    workspace.fail_next(POST, 500, applied=True)
    delivery.flush()
    for number in range(210):
        anna.say(CHANNEL, f"lunch {number}")
    assert later(delivery, 60).flush() == 2
    assert sum("netflow" in message["text"] for message in anna.messages(CHANNEL)) == 1
    looked = [call.params for call in workspace.api_log if call.method == "conversations.history"]
    assert len(looked) == 2, "a page of 200, and the rest"
    assert all(float(params["oldest"]) > 0 for params in looked)


def test_a_reply_whose_answer_was_lost_is_found_behind_a_lot_of_talk(
    watched: Any, traffic: Any, workspace: Workspace, anna: Person, delivery: Delivery
) -> None:
    drift(watched, traffic.drifted)
    delivery.flush()
    (alert,) = anna.messages(CHANNEL)
    incident = watched.app.store.open_incident_of("netflow")
    batch = {"batch_id": incident.last_batch_id}
    watched.app.store.enqueue("details", "again", batch, incident.id, utc_now())
    workspace.fail_next(POST, 500, applied=True)
    delivery.flush()
    for number in range(210):
        anna.say(CHANNEL, f"lunch {number}", thread_ts=alert["ts"])
    assert later(delivery, 60).flush() == 1
    assert details(anna) == 2, "the first details, and those of the second item, once"


def test_the_approvers_reason_is_in_the_thread(
    watched: Any, traffic: Any, anna: Person, delivery: Delivery
) -> None:
    drift(watched, traffic.drifted)
    shutil.copy(traffic.labelled, watched.model.labeled / "labels.csv")
    files = [file.data_file() for file in waiting(watched.model, watched.app.store)]
    incident = watched.app.store.open_incident_of("netflow")
    watched.app.retraining.approve(
        watched.model, files, ANNA.id, incident_id=incident.id, why="a scan that <nobody> knew"
    )
    delivery.flush()
    (started,) = [reply for reply in thread(anna) if "Retrain started" in reply["text"]]
    assert "Reason given: a scan that &lt;nobody&gt; knew" in str(started["blocks"])


@pytest.fixture
def running(watched: Any, traffic: Any, workspace: Workspace) -> Iterator[Bot]:
    """A running bot that has found a drifted batch."""
    watched.drop(traffic.drifted)
    secrets = Secrets(workspace.bot_token, workspace.app_token, workspace.signing_secret, workspace.api_url)
    bot = Bot(watched.app, secrets)
    bot.start()
    try:
        assert bot.wait_until_connected(30)
        yield bot
    finally:
        bot.stop()


def choices(alert: dict[str, Any]) -> dict[str, str]:
    """What the snooze menu offers: text and value."""
    menu = next(e for e in alert["blocks"][-1]["elements"] if e["action_id"] == ids.INCIDENT_SNOOZE)
    return {option["text"]["text"]: option["value"] for option in menu["options"]}


def alert_with(anna: Person, text: str, without: str = "") -> dict[str, Any]:
    def look(person: Person) -> dict[str, Any] | None:
        said = [m for m in person.messages(CHANNEL) if m.get("blocks")]
        fits = said and text in str(said[0]) and not (without and without in str(said[0]))
        return said[0] if fits else None

    return anna.wait_for(look, timeout=30)


@pytest.mark.usefixtures("running")
def test_a_snooze_is_chosen_changed_ended_and_refused_once_the_incident_is_closed(
    watched: Any, anna: Person
) -> None:
    alert = alert_with(anna, "significant drift")
    ts, offered = alert["ts"], choices(alert)
    assert "End the snooze" not in offered

    anna.select(CHANNEL, ts, ids.INCIDENT_SNOOZE, offered["Snooze for 7 days"])
    offered = choices(alert_with(anna, "Snoozed until"))
    anna.select(CHANNEL, ts, ids.INCIDENT_SNOOZE, offered["Snooze for 6 hours"])
    day = utc_now() + timedelta(days=1)
    anna.wait_for(lambda _: watched.app.store.silence("netflow", day) is None, timeout=30)
    assert watched.app.store.silence("netflow", utc_now()) is not None, "the shorter one counts, it is newer"

    anna.select(CHANNEL, ts, ids.INCIDENT_SNOOZE, offered["End the snooze"])
    alert = alert_with(anna, "significant drift", without="Snoozed until")
    assert watched.app.store.silence("netflow", utc_now()) is None
    assert "End the snooze" not in choices(alert)

    incident = watched.app.store.open_incident_of("netflow")
    watched.app.store.dismiss_incident(incident.id, ANNA.id, "", utc_now())  # the message still has its menu
    anna.select(CHANNEL, ts, ids.INCIDENT_SNOOZE, offered["Snooze for 6 hours"])
    anna.wait_for(lambda me: "Already dismissed by" in str(me.ephemerals(CHANNEL)), timeout=30)
    assert watched.app.store.silence("netflow", utc_now()) is None


def test_an_outage_of_days_and_a_hiccup_after_it_lose_nothing(
    watched: Any, traffic: Any, workspace: Workspace, anna: Person, delivery: Delivery
) -> None:
    """Attempts that could not succeed do not count against a message."""
    drift(watched, traffic.drifted)
    store = watched.app.store
    (alert,) = store.due(utc_now(), 20)
    for _ in range(GIVE_UP_AFTER + 5):
        store.mark_started(alert.id, utc_now())
    workspace.fail_next(POST, 503, error="service_unavailable")
    assert delivery.flush() == 0
    assert later(delivery, 2000).flush() == 2
    assert details(anna) == 1


def test_the_thread_waits_for_its_message(
    watched: Any, traffic: Any, workspace: Workspace, anna: Person, delivery: Delivery
) -> None:
    drift(watched, traffic.drifted)
    store = watched.app.store
    (alert,) = store.due(utc_now(), 20)
    store.give_up(alert.id, "a test", utc_now())
    assert [item.kind for item in store.due(utc_now(), 20)] == ["details"]
    assert delivery.flush() == 0
    assert anna.messages(CHANNEL) == [], "what belongs into a thread is not said beside it"
    assert later(delivery, 60).flush() == 2, "its message is tried anew, before what belongs below it"
    assert details(anna) == 1


def test_a_picture_that_cannot_be_drawn_is_left_out(
    watched: Any, traffic: Any, anna: Person, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.slack import plots

    def broken(*_: Any) -> bytes:
        raise ValueError("no such colour")

    monkeypatch.setattr(plots, "distribution_plot", broken)
    drift(watched, traffic.drifted)
    assert delivery.flush() == 2
    assert (pictures(anna), details(anna)) == (0, 1)


def test_a_message_of_ours_that_slack_never_takes_does_not_hold_the_thread_up_for_a_day(
    watched: Any, traffic: Any, workspace: Workspace, anna: Person, delivery: Delivery, monkeypatch: Any
) -> None:
    drift(watched, traffic.drifted)
    assert delivery.flush() == 2
    incident = watched.app.store.open_incident_of("netflow")
    watched.app.store.enqueue(
        "details", "again", {"batch_id": incident.last_batch_id}, incident.id, utc_now()
    )
    monkeypatch.setattr(Delivery, "_send", lambda *_: (_ for _ in ()).throw(ValueError("cannot be said")))
    seconds = 0.0
    for attempt in range(OUR_FAULT):
        assert watched.app.store.due(utc_now() + timedelta(seconds=seconds), 1), attempt
        assert later(delivery, seconds).flush() == 0
        seconds += 2.0 ** (attempt + 2)
    assert watched.app.store.due(utc_now() + timedelta(days=9), 1) == ()
    assert seconds < 1200


def test_a_wrong_channel_can_be_mended_until_the_alert_is_posted(
    watch: Any, traffic: Any, workspace: Workspace, anna: Person
) -> None:
    watched = watch('channel = "ml-alrets"\n')
    drift(watched, traffic.drifted)
    client = web_client(workspace.bot_token, workspace.api_url)
    assert watched.app.delivery(client).flush() == 0
    model = watched.model.model_copy(update={"channel": CHANNEL})
    mended = watched.app.config.model_copy(update={"models": (model,)})
    delivery = Delivery(watched.app.store, client, Renderer(mended, watched.app.store), utc_now)
    assert later(delivery, 60).flush() == 2
    assert len(anna.messages(CHANNEL)) == 1
