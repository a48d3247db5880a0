"""HTTP mode: a real Bolt app behind its own HTTP server, with signed requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from typing import Any

import pytest
from slack_bolt import App
from slack_bolt.request import BoltRequest
from slack_sdk import WebClient

from bot.workspace import AppNotRespondingError, User, Workspace

CHANNEL = "C000000001"


class BoltServer:
    """Serves a Bolt app on 127.0.0.1 and keeps the headers of what came."""

    def __init__(self) -> None:
        self.app: App | None = None
        self.headers: Queue[dict[str, str]] = Queue()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                headers = {name: [value] for name, value in self.headers.items()}
                server.headers.put(dict(self.headers.items()))
                assert server.app is not None
                answer = server.app.dispatch(BoltRequest(body=body, headers=headers))
                self.send_response(answer.status)
                for name, values in answer.headers.items():
                    self.send_header(name, values[0])
                self.end_headers()
                self.wfile.write(answer.body.encode())

            def log_message(self, *arguments: Any) -> None:
                """Quiet."""

        self._http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/slack/events"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[BoltServer]:
    server = BoltServer()
    yield server
    server.close()


@pytest.fixture
def workspace(server: BoltServer) -> Iterator[Workspace]:
    with Workspace(
        users=[User("U0ANNA", "anna", "Anna Approver")],
        channels=["ml-alerts"],
        request_url=server.url,
        retry_schedule=(0.05,),
    ) as running:
        yield running


def bolt(workspace: Workspace, secret: str) -> App:
    client = WebClient(token=workspace.bot_token, base_url=workspace.api_url)
    return App(client=client, signing_secret=secret)


def test_commands_events_and_clicks_are_signed_and_answered(
    workspace: Workspace, server: BoltServer, kit: Any
) -> None:
    app = server.app = bolt(workspace, workspace.signing_secret)
    app.event("message")(lambda: None)
    app.event("app_mention")(lambda event, say: say("here", thread_ts=event["ts"]))

    @app.command("/drift")
    def drift(ack: Any, body: Any, client: WebClient) -> None:
        ack("seen")
        client.views_open(
            trigger_id=body["trigger_id"], view=kit.modal(kit.text_input("b", "a"), callback_id="m")
        )

    app.view("m")(lambda ack: ack(response_action="errors", errors={"b": "no"}))
    anna = workspace.person("U0ANNA")
    anna.command("ml-alerts", "/drift")
    assert [m["text"] for m in anna.ephemerals("ml-alerts")] == ["seen"]
    anna.wait_for(lambda person: person.open_view())
    assert anna.submit({"b": {"a": "x"}}) == {"b": "no"}
    ts = anna.say("ml-alerts", "@DriftCatcher?")
    assert anna.wait_for(lambda person: person.replies("ml-alerts", ts))
    assert server.headers.get()["X-Slack-Signature"].startswith("v0=")


def test_a_wrong_signature_is_refused_by_bolt_and_the_event_repeated(
    workspace: Workspace, server: BoltServer
) -> None:
    server.app = bolt(workspace, "not the secret")
    anna = workspace.person("U0ANNA")
    with pytest.raises(AppNotRespondingError):
        anna.command("ml-alerts", "/drift")
    anna.open_home()
    server.headers.get(timeout=5)
    assert "X-Slack-Retry-Num" not in server.headers.get(timeout=5)
    assert server.headers.get(timeout=5)["X-Slack-Retry-Num"] == "1"
