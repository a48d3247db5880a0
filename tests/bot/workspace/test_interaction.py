"""A real Bolt app over Socket Mode, used by people."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from queue import Queue
from typing import Any

import pytest
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler as BuiltinHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.workspace import AppNotRespondingError, Person, Workspace, WorkspaceError

CHANNEL = "C000000001"
Json = dict[str, Any]
Connect = Callable[[App], Any]


def test_a_slash_command_is_answered_privately(app: App, connect: Connect, anna: Person, vic: Person) -> None:
    app.command("/drift")(lambda ack, command: ack(f"you asked for {command['text']}"))
    connect(app)
    anna.command("ml-alerts", "/drift", "status")
    assert [m["text"] for m in anna.ephemerals("ml-alerts")] == ["you asked for status"]
    assert vic.ephemerals("ml-alerts") == []


def test_a_slash_command_may_answer_in_the_channel(
    app: App, connect: Connect, anna: Person, vic: Person
) -> None:
    app.command("/drift")(lambda ack: ack(text="for all", response_type="in_channel"))
    connect(app)
    anna.command("ml-alerts", "/drift")
    assert [m["text"] for m in vic.messages("ml-alerts")] == ["for all"]


def test_without_an_app_the_person_is_told(anna: Person) -> None:
    with pytest.raises(AppNotRespondingError, match="DriftCatcher did not respond"):
        anna.command("ml-alerts", "/drift", "status")
    assert "did not respond" in anna.ephemerals("ml-alerts")[0]["text"]


def test_an_app_that_does_not_acknowledge_in_time_did_not_respond(
    app: App, connect: Connect, anna: Person
) -> None:
    release = threading.Event()
    app.command("/drift")(lambda ack: release.wait(5))
    connect(app)
    with pytest.raises(AppNotRespondingError):
        anna.command("ml-alerts", "/drift")
    release.set()


def test_a_mention_reaches_the_app_escaped(app: App, connect: Connect, anna: Person) -> None:
    app.event("app_mention")(lambda event, say: say(event["text"], thread_ts=event["ts"]))
    connect(app)
    ts = anna.say("ml-alerts", "@DriftCatcher is 1 < 2 & <!channel> in #ml-reports, @vic?")
    (reply,) = anna.wait_for(lambda person: person.replies("ml-alerts", ts))
    expected = "<@U0EMBEDBOT> is 1 &lt; 2 &amp; &lt;!channel&gt; in <#C000000002|ml-reports>, <@U0VIC>?"
    assert reply["text"] == expected


def test_a_deleted_message_is_announced(connect: Connect, client: WebClient, anna: Person) -> None:
    seen: Queue[Json] = Queue()
    # By default Bolt hides what happens to the bot's own messages.
    app = App(client=client, ignoring_self_events_enabled=False)
    app.event({"type": "message", "subtype": "message_deleted"})(lambda event: seen.put(event))
    connect(app)
    app.event("message")(lambda: None)
    ts = client.chat_postMessage(channel=CHANNEL, text="alert")["ts"]
    anna.delete("ml-alerts", ts)
    assert seen.get(timeout=5)["deleted_ts"] == ts


def test_a_click_carries_what_slack_documents(
    app: App, connect: Connect, client: WebClient, anna: Person, kit: Any
) -> None:
    bodies: Queue[Json] = Queue()

    @app.action("approve")
    def approve(ack: Any, body: Json) -> None:
        ack()
        bodies.put(body)

    connect(app)
    snooze = {"type": "static_select", "action_id": "snooze", "options": kit.options("6h", "24h")}
    blocks = [kit.actions(kit.button("approve", "Yes", value="7"), snooze, block_id="row")]
    ts = client.chat_postMessage(channel=CHANNEL, text="x", blocks=blocks)["ts"]
    app.action("snooze")(lambda ack: ack())
    anna.select("ml-alerts", ts, "snooze", "24h")
    anna.click("ml-alerts", ts, "approve")
    body = bodies.get(timeout=5)
    assert body["user"]["id"] == "U0ANNA"
    assert body["channel"] == {"id": CHANNEL, "name": "ml-alerts"}
    assert body["message"]["ts"] == body["container"]["message_ts"] == ts
    assert (
        body["actions"][0].items()
        >= {"action_id": "approve", "block_id": "row", "type": "button", "value": "7"}.items()
    )
    assert body["state"]["values"]["row"]["snooze"]["selected_option"]["value"] == "24h"
    assert body["trigger_id"] and body["response_url"] and body["api_app_id"]


def test_a_click_on_something_that_is_not_there_says_what_is(
    client: WebClient, anna: Person, kit: Any
) -> None:
    ts = client.chat_postMessage(channel=CHANNEL, text="x", blocks=[kit.actions(kit.button("approve"))])["ts"]
    with pytest.raises(WorkspaceError, match="actions: approve"):
        anna.click("ml-alerts", ts, "reject")


def test_response_url_replaces_deletes_and_wears_out(
    app: App, connect: Connect, client: WebClient, anna: Person, kit: Any
) -> None:
    urls: Queue[str] = Queue()

    @app.action("go")
    def go(ack: Any, body: Json) -> None:
        ack()
        urls.put(body["response_url"])

    connect(app)
    ts = client.chat_postMessage(channel=CHANNEL, text="x", blocks=[kit.actions(kit.button("go"))])["ts"]
    anna.click("ml-alerts", ts, "go")
    url = urls.get(timeout=5)

    def answer(body: str) -> int:
        request = urllib.request.Request(
            url, data=body.encode(), headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    assert answer('{"text": "private"}') == 200
    assert answer('{"text": "shared", "response_type": "in_channel"}') == 200
    assert answer('{"text": "changed", "replace_original": true}') == 200
    assert [m["text"] for m in anna.messages("ml-alerts")] == ["changed", "shared"]
    assert [m["text"] for m in anna.ephemerals("ml-alerts")] == ["private"]
    assert answer('{"delete_original": true}') == 200
    assert [m["text"] for m in anna.messages("ml-alerts")] == ["shared"]
    assert answer('{"text": "fifth"}') == 200
    assert answer('{"text": "sixth"}') == 404


def test_a_click_on_an_ephemeral_message_has_no_message_but_can_be_answered(
    app: App, connect: Connect, client: WebClient, anna: Person, kit: Any
) -> None:
    bodies: Queue[Json] = Queue()

    @app.action("go")
    def go(ack: Any, body: Json, respond: Any) -> None:
        ack()
        respond(text="done", replace_original=True)
        bodies.put(body)

    connect(app)
    ts = client.chat_postEphemeral(
        channel=CHANNEL, user="U0ANNA", text="x", blocks=[kit.actions(kit.button("go"))]
    )["message_ts"]
    anna.click("ml-alerts", ts, "go")
    body = bodies.get(timeout=5)
    assert body["container"]["is_ephemeral"] is True
    assert "message" not in body
    assert [m["text"] for m in anna.ephemerals("ml-alerts")] == ["done"]


def test_shortcuts(app: App, connect: Connect, anna: Person) -> None:
    seen: Queue[Json] = Queue()

    @app.shortcut("explain")
    @app.shortcut("ask")
    def shortcut(ack: Any, body: Json) -> None:
        ack()
        seen.put(body)

    connect(app)
    ts = anna.say("ml-alerts", "alert")
    anna.shortcut("explain", "ml-alerts", ts)
    assert seen.get(timeout=5)["message"]["ts"] == ts
    anna.shortcut("ask")
    assert seen.get(timeout=5)["type"] == "shortcut"


def test_the_home_tab_is_per_person(app: App, connect: Connect, anna: Person, vic: Person, kit: Any) -> None:
    @app.event("app_home_opened")
    def home(event: Json, client: WebClient) -> None:
        view = {"type": "home", "blocks": [kit.section(event["user"]), kit.actions(kit.button("refresh"))]}
        client.views_publish(user_id=event["user"], view=view)

    clicked: Queue[Json] = Queue()

    @app.action("refresh")
    def refresh(ack: Any, body: Json) -> None:
        ack()
        clicked.put(body)

    connect(app)
    anna.open_home()
    view = anna.wait_for(lambda person: person.home())
    assert view["blocks"][0]["text"]["text"] == "U0ANNA"
    assert vic.home() is None
    anna.act_in_home("refresh")
    assert clicked.get(timeout=5)["container"] == {"type": "view", "view_id": view["id"]}


def test_each_payload_goes_to_exactly_one_connection(
    workspace: Workspace, connect: Connect, anna: Person
) -> None:
    counts = [0, 0]

    def instance(number: int) -> App:
        app = App(client=WebClient(token=workspace.bot_token, base_url=workspace.api_url))

        @app.command("/drift")
        def drift(ack: Any) -> None:
            ack()
            counts[number] += 1

        return app

    for number in range(2):
        connect(instance(number))
    for _ in range(6):
        anna.command("ml-alerts", "/drift")
    anna.wait_for(lambda _: sum(counts) == 6)
    assert counts == [3, 3]


def test_the_built_in_socket_client_works_too(workspace: Workspace, app: App, anna: Person) -> None:
    app.command("/drift")(lambda ack: ack("hello"))
    web_client = WebClient(token=workspace.app_token, base_url=workspace.api_url)
    handler = BuiltinHandler(app, workspace.app_token, web_client=web_client, ping_interval=0.3)
    handler.connect()
    anna.wait_for(lambda _: workspace.connections == 1)
    anna.command("ml-alerts", "/drift")
    assert [m["text"] for m in anna.ephemerals("ml-alerts")] == ["hello"]
    handler.close()


def test_an_event_is_repeated_until_somebody_takes_it(app: App, connect: Connect, anna: Person) -> None:
    attempts: Queue[str] = Queue()
    release = threading.Event()

    @app.middleware
    def slow_at_first(request: Any, next_: Any) -> Any:
        if request.body.get("event", {}).get("type") == "app_mention":
            attempts.put(request.headers["x-slack-retry-num"][0])
            if attempts.qsize() == 1:
                release.wait(5)
        return next_()

    app.event("app_mention")(lambda: None)
    connect(app)
    anna.say("ml-alerts", "@DriftCatcher hello")
    anna.wait_for(lambda _: attempts.qsize() >= 2, timeout=8)
    release.set()
    assert [attempts.get(), attempts.get()] == ["0", "1"]


def test_an_event_waits_for_an_app_that_reconnects(
    app: App, connect: Connect, workspace: Workspace, anna: Person
) -> None:
    seen: Queue[str] = Queue()
    app.event("app_mention")(lambda event: seen.put(event["text"]))
    handler = connect(app)
    handler.client.auto_reconnect_enabled = handler.client.default_auto_reconnect_enabled = False
    workspace.drop_connections()
    anna.wait_for(lambda _: workspace.connections == 0)
    anna.say("ml-alerts", "@DriftCatcher are you there?")
    connect(app)
    assert "are you there" in seen.get(timeout=5)


def test_the_app_reconnects_after_a_disconnect_frame(
    app: App, connect: Connect, workspace: Workspace, anna: Person
) -> None:
    app.command("/drift")(lambda ack: ack("back"))
    connect(app)
    workspace.drop_connections("refresh_requested")

    def works(person: Person) -> bool:
        try:
            person.command("ml-alerts", "/drift")
        except AppNotRespondingError:
            return False
        return True

    assert anna.wait_for(works, timeout=30)


def open_modal(app: App, definition: Json) -> None:
    @app.command("/drift")
    def drift(ack: Any, body: Json, client: WebClient) -> None:
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=definition)


def test_a_modal_is_filled_in_refused_corrected_and_submitted(
    app: App, connect: Connect, anna: Person, vic: Person, kit: Any
) -> None:
    files = {"type": "checkboxes", "action_id": "files", "options": kit.options("a.csv", "b.csv")}
    pick = {"type": "input", "block_id": "pick", "label": kit.plain("Files"), "element": files}
    open_modal(
        app,
        kit.modal(
            kit.text_input("why", "text", min_length=3), pick, callback_id="approve", private_metadata="7"
        ),
    )
    sent: Queue[Json] = Queue()

    @app.view("approve")
    def approve(ack: Any, view: Json) -> None:
        if view["state"]["values"]["why"]["text"]["value"] == "because":
            ack(response_action="errors", errors={"why": "A better reason, please."})
            return
        ack()
        sent.put(view)

    connect(app)
    anna.command("ml-alerts", "/drift")
    assert anna.wait_for(lambda person: person.open_view())["title"]["text"] == "Approve"
    assert vic.open_view() is None
    assert set(anna.submit()) == {"why", "pick"}
    assert set(anna.submit({"why": {"text": "x"}, "pick": {"files": ["a.csv"]}})) == {"why"}
    assert anna.submit({"why": {"text": "because"}}) == {"why": "A better reason, please."}
    assert anna.submit({"why": {"text": "new attack seen"}, "pick": {"files": ["a.csv", "b.csv"]}}) == {}
    view = sent.get(timeout=5)
    assert view["private_metadata"] == "7"
    assert [o["value"] for o in view["state"]["values"]["pick"]["files"]["selected_options"]] == [
        "a.csv",
        "b.csv",
    ]
    assert anna.open_view() is None


def test_modals_are_pushed_updated_and_cleared(app: App, connect: Connect, anna: Person, kit: Any) -> None:
    open_modal(app, kit.modal(kit.section("one"), title="One", callback_id="one"))
    app.view("one")(
        lambda ack: ack(
            response_action="push", view=kit.modal(kit.section("2"), title="Two", callback_id="two")
        )
    )
    app.view("two")(
        lambda ack: ack(
            response_action="update", view=kit.modal(kit.section("3"), title="Three", callback_id="three")
        )
    )
    app.view("three")(lambda ack: ack(response_action="clear"))
    connect(app)
    anna.command("ml-alerts", "/drift")
    first = anna.wait_for(lambda person: person.open_view())
    titles = []
    for _ in range(3):
        assert anna.submit() == {}
        view = anna.open_view()
        titles.append(view["title"]["text"] if view else None)
        if view:
            assert view["root_view_id"] == first["id"]
    assert titles == ["Two", "Three", None]


def test_the_stack_holds_three_modals(app: App, connect: Connect, anna: Person, kit: Any) -> None:
    errors: Queue[str] = Queue()

    @app.action("deeper")
    def deeper(ack: Any, body: Json, client: WebClient) -> None:
        ack()
        try:
            client.views_push(
                trigger_id=body["trigger_id"], view=kit.modal(kit.actions(kit.button("deeper")))
            )
            errors.put("")
        except SlackApiError as error:
            errors.put(error.response["error"])

    open_modal(app, kit.modal(kit.actions(kit.button("deeper"))))
    connect(app)
    anna.command("ml-alerts", "/drift")
    anna.wait_for(lambda person: person.open_view())
    outcomes = []
    for _ in range(3):
        anna.act_in_view("deeper")
        outcomes.append(errors.get(timeout=5))
    assert outcomes == ["", "", "push_limit_reached"]


def test_closing_is_reported_to_an_app_that_wants_to_know(
    app: App, connect: Connect, anna: Person, kit: Any
) -> None:
    open_modal(app, kit.modal(kit.section("x"), callback_id="asks", notify_on_close=True))
    closed: Queue[Json] = Queue()

    @app.view_closed("asks")
    def on_close(ack: Any, body: Json) -> None:
        ack()
        closed.put(body)

    connect(app)
    anna.command("ml-alerts", "/drift")
    anna.wait_for(lambda person: person.open_view())
    anna.close_view()
    assert closed.get(timeout=5)["is_cleared"] is False
    assert anna.open_view() is None


def test_a_trigger_is_used_once_and_soon(
    app: App,
    connect: Connect,
    client: WebClient,
    anna: Person,
    kit: Any,
    monkeypatch: pytest.MonkeyPatch,
    workspace: Workspace,
) -> None:
    triggers: Queue[str] = Queue()

    @app.command("/drift")
    def drift(ack: Any, body: Json) -> None:
        ack()
        triggers.put(body["trigger_id"])

    def outcome(trigger_id: str) -> str:
        try:
            client.views_open(trigger_id=trigger_id, view=kit.modal(kit.section("x")))
        except SlackApiError as error:
            return str(error.response["error"])
        return "opened"

    connect(app)
    anna.command("ml-alerts", "/drift")
    trigger = triggers.get(timeout=5)
    assert [outcome(trigger), outcome(trigger), outcome("1.2.3")] == [
        "opened",
        "exchanged_trigger_id",
        "invalid_trigger_id",
    ]
    anna.command("ml-alerts", "/drift")
    late = triggers.get(timeout=5)
    monkeypatch.setattr(workspace._triggers, "_clock", lambda: time.monotonic() + 3.1)
    assert outcome(late) == "expired_trigger_id"


def test_a_view_changes_only_with_its_newest_hash(
    client: WebClient, app: App, connect: Connect, anna: Person, kit: Any
) -> None:
    open_modal(app, kit.modal(kit.section("x"), external_id="the-one"))
    connect(app)
    anna.command("ml-alerts", "/drift")
    view = anna.wait_for(lambda person: person.open_view())
    client.views_update(
        external_id="the-one", hash=view["hash"], view=kit.modal(kit.section("y"), external_id="the-one")
    )
    with pytest.raises(SlackApiError, match="hash_conflict"):
        client.views_update(view_id=view["id"], hash=view["hash"], view=kit.modal(kit.section("z")))


def test_waiting_in_vain_shows_what_there_is(client: WebClient, anna: Person, kit: Any) -> None:
    table = {
        "type": "table",
        "rows": [
            [{"type": "raw_text", "text": t} for t in row] for row in (("Feature", "PSI"), ("flow", "1.84"))
        ],
    }
    blocks = [
        {"type": "header", "text": kit.plain("Drift")},
        kit.section("by *<@U0ANNA>*"),
        table,
        kit.actions(kit.button("a", "Approve")),
    ]
    ts = client.chat_postMessage(channel=CHANNEL, text="x", blocks=blocks)["ts"]
    client.chat_postMessage(channel=CHANNEL, text="more", thread_ts=ts)
    with pytest.raises(TimeoutError) as failure:
        anna.wait_for(lambda person: None, timeout=0.05)
    shown = str(failure.value)
    for line in (
        "#ml-alerts",
        "    Drift",
        "    by *@Anna Approver*",
        "    Feature  PSI",
        "    flow     1.84",
        "    [Approve]",
        "        more",
    ):
        assert line in shown.splitlines()
