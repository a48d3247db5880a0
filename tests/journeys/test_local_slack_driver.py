"""The driver of the independent Slack, proved with a small but real Bolt app over Socket Mode."""

from __future__ import annotations

import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from bot.workspace import AppNotRespondingError, Person, User, WorkspaceError
from tests.journeys.local_slack import BINARY_VARIABLE, LocalSlack, find_binary

BINARY = find_binary()
pytestmark = pytest.mark.skipif(
    BINARY is None,
    reason="local-slack is not installed: npm install --prefix .cache/local-slack "
    "local-slack-linux-x64@0.1.8 --ignore-scripts",
)
PEOPLE = (User("U0ANNA", "anna", "Anna Approver"), User("U0BEN", "ben", "Ben Builder"))
CHANNEL = "alerts"


def tiny_app(slack: LocalSlack) -> App:
    """Uses once what a ChatOps bot needs of Slack."""
    client = WebClient(token=slack.bot_token, base_url=slack.api_url)
    app = App(client=client, signing_secret=slack.signing_secret)

    @app.command("/drift")
    def command(ack: Any, command: Any, client: WebClient, respond: Any) -> None:
        ack()
        if command["text"] == "alert":
            client.chat_postMessage(channel=command["channel_id"], text="Drift found", blocks=alert())
        elif command["text"] == "slow":
            time.sleep(0.1)
        else:
            respond(text=f"unknown: {command['text']}", response_type="ephemeral")

    @app.command("/mute")
    def never_acknowledged() -> None:
        time.sleep(0)

    @app.action("details")
    def details(ack: Any, body: Any, client: WebClient) -> None:
        ack()
        where = {"channel": body["channel"]["id"], "thread_ts": body["message"]["ts"]}
        client.chat_postMessage(text=f"Details of {body['actions'][0]['value']}", **where)
        client.files_upload_v2(
            channel=where["channel"],
            thread_ts=where["thread_ts"],
            content=b"\x89PNG plot",
            filename="plot.png",
        )

    @app.action("snooze")
    def snooze(ack: Any, body: Any, client: WebClient) -> None:
        ack()
        chosen = body["actions"][0]["selected_option"]["value"]
        client.chat_update(
            channel=body["channel"]["id"], ts=body["message"]["ts"], text=f"Snoozed {chosen}", blocks=[]
        )

    @app.action("approve")
    def approve(ack: Any, body: Any, client: WebClient) -> None:
        ack()
        if body["user"]["id"] != "U0ANNA":
            client.chat_postEphemeral(
                channel=body["channel"]["id"], user=body["user"]["id"], text="Only @anna may approve"
            )
            return
        client.views_open(trigger_id=body["trigger_id"], view=approval())

    @app.view("approval")
    def approval_submitted(ack: Any, view: Any, client: WebClient, body: Any) -> None:
        values = view["state"]["values"]
        files = [option["value"] for option in values["files"]["picked"]["selected_options"]]
        if values["why"]["text"]["value"] == "because":
            ack(response_action="errors", errors={"why": "Say more."})
            return
        ack()
        client.chat_postMessage(
            channel="#alerts",
            text=f"Approved by <@{body['user']['id']}>: {files}, {values['why']['text']['value']}",
        )

    @app.event("app_mention")
    def mentioned(event: Any, client: WebClient) -> None:
        thread = event.get("thread_ts", event["ts"])
        client.chat_postMessage(channel=event["channel"], thread_ts=thread, text=f"You said: {event['text']}")

    @app.event("message")
    def written(event: Any) -> None:
        """Acknowledged, so that mentions are not held back."""

    @app.event("file_shared")
    def shared(event: Any) -> None:
        """Acknowledged, so that the emulator goes on."""

    @app.event("app_home_opened")
    def home(event: Any, client: WebClient) -> None:
        blocks = [{"type": "section", "text": {"type": "plain_text", "text": "All quiet"}}]
        client.views_publish(user_id=event["user"], view={"type": "home", "blocks": blocks})

    return app


def alert() -> list[dict[str, Any]]:
    def button(label: str, action_id: str, value: str) -> dict[str, Any]:
        text = {"type": "plain_text", "text": label}
        return {"type": "button", "text": text, "action_id": action_id, "value": value}

    options = [{"text": {"type": "plain_text", "text": f"{h} hours"}, "value": f"{h}h"} for h in (6, 24)]
    elements = [
        button("Approve retrain", "approve", "3"),
        button("Details", "details", "3"),
        button("Details of the other", "details", "4"),
        {"type": "static_select", "action_id": "snooze", "options": options},
    ]
    header = {"type": "header", "text": {"type": "plain_text", "text": "Drift in flows"}}
    return [header, {"type": "actions", "block_id": "decide", "elements": elements}]


def approval() -> dict[str, Any]:
    options = [{"text": {"type": "plain_text", "text": name}, "value": name} for name in ("a.csv", "b.csv")]
    picked = {"type": "multi_static_select", "action_id": "picked", "options": options}
    text = {"type": "plain_text_input", "action_id": "text"}
    return {
        "type": "modal",
        "callback_id": "approval",
        "title": {"type": "plain_text", "text": "Approve"},
        "submit": {"type": "plain_text", "text": "Train"},
        "blocks": [
            {
                "type": "input",
                "block_id": "files",
                "label": {"type": "plain_text", "text": "Files"},
                "element": {**picked, "initial_options": options[:1]},
            },
            {
                "type": "input",
                "block_id": "why",
                "label": {"type": "plain_text", "text": "Why"},
                "element": text,
            },
        ],
    }


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    assert BINARY is not None
    with LocalSlack(BINARY, PEOPLE, [CHANNEL, "other"]) as running:
        yield running


@pytest.fixture(scope="module")
def app(slack: LocalSlack) -> Iterator[None]:
    web_client = WebClient(token=slack.app_token, base_url=slack.api_url)
    handler = SocketModeHandler(tiny_app(slack), slack.app_token, web_client=web_client)
    handler.connect()  # type: ignore[no-untyped-call]
    slack.person("U0ANNA").wait_for(lambda _: slack.connections == 1)
    yield
    handler.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def anna(slack: LocalSlack, app: None) -> Person:
    return slack.person("U0ANNA")


@pytest.fixture
def ben(slack: LocalSlack, app: None) -> Person:
    return slack.person("U0BEN")


@pytest.fixture
def alert_ts(anna: Person) -> str:
    known = {message["ts"] for message in anna.messages(CHANNEL)}
    anna.command(CHANNEL, "/drift", "alert")
    fresh = anna.wait_for(lambda p: [m for m in p.messages(CHANNEL) if m["ts"] not in known])
    return str(fresh[0]["ts"])


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [message["text"] for message in messages]


def message(person: Person, ts: str) -> dict[str, Any]:
    return next(m for m in person.messages(CHANNEL) if m["ts"] == ts)


def test_a_command_is_answered_to_the_asker_alone(anna: Person, ben: Person) -> None:
    ben.command("other", "/drift", "what")

    ben.wait_for(lambda p: texts(p.ephemerals("other")) == ["unknown: what"])
    assert anna.ephemerals("other") == []
    assert ben.messages("other") == []


def test_a_button_is_told_apart_by_its_value_and_answers_in_the_thread(anna: Person, alert_ts: str) -> None:
    anna.click(CHANNEL, alert_ts, "details", value="4")

    anna.wait_for(lambda p: len(p.replies(CHANNEL, alert_ts)) == 2)
    replies = anna.replies(CHANNEL, alert_ts)
    assert replies[0]["text"] == "Details of 4"
    assert anna.file(replies[1]["files"][0]["id"]) == b"\x89PNG plot"
    assert replies[0]["ts"] not in {m["ts"] for m in anna.messages(CHANNEL)}


def test_a_choice_edits_the_message_in_place(anna: Person, alert_ts: str) -> None:
    assert message(anna, alert_ts)["blocks"][1]["elements"][0]["action_id"] == "approve"
    with pytest.raises(WorkspaceError, match="no option '7d'"):
        anna.select(CHANNEL, alert_ts, "snooze", "7d")

    anna.select(CHANNEL, alert_ts, "snooze", "24h")

    anna.wait_for(lambda p: message(p, alert_ts)["text"] == "Snoozed 24h")
    assert not message(anna, alert_ts)["blocks"]


def test_what_is_not_there_cannot_be_clicked(anna: Person, alert_ts: str) -> None:
    with pytest.raises(WorkspaceError, match="actions: approve, details, details, snooze"):
        anna.click(CHANNEL, alert_ts, "explode")
    with pytest.raises(WorkspaceError, match="no message"):
        anna.click(CHANNEL, "1.000001", "approve")
    with pytest.raises(WorkspaceError, match="no channel 'nowhere'"):
        anna.messages("nowhere")


def test_a_modal_shows_errors_until_it_is_right(anna: Person, ben: Person, alert_ts: str) -> None:
    anna.click(CHANNEL, alert_ts, "approve")
    anna.wait_for(lambda p: p.open_view())
    view = anna.open_view()
    assert view is not None and view["title"]["text"] == "Approve"
    assert ben.open_view() is None

    assert anna.submit() == {"why": "Please complete this required field."}
    assert anna.submit({"why": {"text": "because"}}) == {"why": "Say more."}
    with pytest.raises(WorkspaceError, match="no field why/reason"):
        anna.submit({"why": {"reason": "x"}})
    assert anna.open_view() is not None
    assert anna.submit({"why": {"text": "scan"}, "files": {"picked": ["a.csv", "b.csv"]}}) == {}

    assert anna.open_view() is None
    anna.wait_for(
        lambda p: "Approved by <@U0ANNA>: ['a.csv', 'b.csv'], scan" in texts(p.messages(CHANNEL)),
    )


def test_initial_values_are_submitted_and_a_closed_modal_is_gone(anna: Person, alert_ts: str) -> None:
    anna.click(CHANNEL, alert_ts, "approve")
    anna.wait_for(lambda p: p.open_view())
    anna.close_view()
    assert anna.open_view() is None
    with pytest.raises(WorkspaceError, match="No modal is open"):
        anna.submit()

    anna.click(CHANNEL, alert_ts, "approve")
    anna.wait_for(lambda p: p.open_view())
    assert anna.submit({"why": {"text": "again"}}) == {}
    anna.wait_for(lambda p: "Approved by <@U0ANNA>: ['a.csv'], again" in texts(p.messages(CHANNEL)))


def test_a_refusal_is_seen_only_by_who_clicked(anna: Person, ben: Person, alert_ts: str) -> None:
    ben.click(CHANNEL, alert_ts, "approve")

    ben.wait_for(lambda p: "Only @anna may approve" in texts(p.ephemerals(CHANNEL)))
    assert "Only @anna may approve" not in texts(anna.ephemerals(CHANNEL) + anna.messages(CHANNEL))
    assert ben.open_view() is None


def test_a_mention_is_answered_in_its_thread(anna: Person, alert_ts: str) -> None:
    ts = anna.say(CHANNEL, "@DriftCatcher is 1 < 2?")
    anna.say(CHANNEL, "@DriftCatcher and here", thread_ts=alert_ts)

    assert "<@U0LOCALBOT> is 1 &lt; 2?" in texts(anna.messages(CHANNEL))
    anna.wait_for(lambda p: texts(p.replies(CHANNEL, ts)) == ["You said: <@U0LOCALBOT> is 1 &lt; 2?"])
    anna.wait_for(lambda p: "You said: <@U0LOCALBOT> and here" in texts(p.replies(CHANNEL, alert_ts)))


def test_the_home_tab_is_published_to_who_opens_it(anna: Person, ben: Person) -> None:
    anna.open_home()

    anna.wait_for(lambda p: p.home())
    home = anna.home()
    assert home is not None and home["blocks"][0]["text"]["text"] == "All quiet"
    assert ben.home() is None


def test_people_share_files_react_and_delete(anna: Person, ben: Person) -> None:
    file = ben.upload("other", "rows.csv", b"a,b\r\n1,2\r\n", text="labelled")
    ts = anna.wait_for(lambda p: [m for m in p.messages("other") if m.get("files")])[0]["ts"]
    assert anna.file(file) == b"a,b\r\n1,2\r\n"

    anna.react("other", ts, "eyes")
    anna.wait_for(lambda p: [r["name"] for r in p.messages("other")[0].get("reactions") or []] == ["eyes"])
    anna.react("other", ts, "eyes")
    anna.wait_for(lambda p: not p.messages("other")[0].get("reactions"))

    anna.delete("other", ts)
    anna.wait_for(lambda p: p.messages("other") == [])


def test_the_transcript_names_people_and_shows_threads(anna: Person, alert_ts: str) -> None:
    anna.say(CHANNEL, "looking into it", thread_ts=alert_ts)

    lines = [line.split(" (")[0] for line in anna.transcript(CHANNEL).splitlines()]
    at = lines.index("        looking into it")
    assert lines[0] == "#alerts"
    assert lines[at - 1] == "      Anna Approver"
    assert "    [Approve retrain]  [Details]  [Details of the other]  <6 hours | 24 hours>" in lines


def test_waiting_in_vain_shows_what_there_is(anna: Person, alert_ts: str) -> None:
    with pytest.raises(TimeoutError, match=r"(?s)not seen within 0\.1 s.*#alerts.*Drift in flows"):
        anna.wait_for(lambda p: p.messages("other") and None, timeout=0.1)


def test_what_the_emulator_cannot_do_says_so(anna: Person, alert_ts: str) -> None:
    anna.click(CHANNEL, alert_ts, "approve")
    anna.wait_for(lambda p: p.open_view())
    with pytest.raises(WorkspaceError, match="cannot use elements in modals"):
        anna.act_in_view("picked", "a.csv")
    anna.close_view()
    with pytest.raises(WorkspaceError, match="no shortcut"):
        anna.shortcut("retrain")


def test_an_unacknowledged_command_is_an_error(anna: Person) -> None:
    with pytest.raises(AppNotRespondingError, match="did not acknowledge within 3 s"):
        anna.command(CHANNEL, "/mute")


def test_without_a_connection_nothing_is_lost_silently() -> None:
    assert BINARY is not None
    with LocalSlack(BINARY, PEOPLE, [CHANNEL]) as slack:
        assert slack.connections == 0
        with pytest.raises(AppNotRespondingError, match="DriftCatcher is not connected"):
            slack.person("U0ANNA").command(CHANNEL, "/drift")
        with pytest.raises(ValueError, match="no user 'U0EVE'; there are: U0ANNA, U0BEN"):
            slack.person("U0EVE")
        page = slack.page_url
        assert urllib.request.urlopen(page, timeout=5).status == 200
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(page, timeout=5)


def test_a_binary_that_cannot_run_says_why() -> None:
    other = Path(shutil.which("ls") or "/bin/ls")  # a program that knows none of the options
    with pytest.raises(RuntimeError, match=r"(?s)ended with status [12]:.*config"):
        LocalSlack(other, PEOPLE, [CHANNEL]).start()


def test_the_binary_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(BINARY_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=BINARY_VARIABLE):
        find_binary()
    (tmp_path / "none").touch()
    assert find_binary() == tmp_path / "none"
