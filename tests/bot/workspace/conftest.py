"""A running workspace, two people, and a real Bolt app that talks to it over Socket Mode."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from slack_bolt import App
from slack_bolt.adapter.socket_mode.websocket_client import SocketModeHandler
from slack_sdk import WebClient

from bot.workspace import Person, Shortcut, User, UserGroup, Workspace

CHANNEL = "C000000001"
Json = dict[str, Any]


def make_workspace(**changes: Any) -> Workspace:
    settings: dict[str, Any] = {
        "users": [User("U0ANNA", "anna", "Anna Approver", "Approver"), User("U0VIC", "vic", "Vic Viewer")],
        "channels": ["ml-alerts", "ml-reports"],
        "command_help": [("status", "How things are"), ("check [file]", "Check a file")],
        "groups": [UserGroup("S0OWNERS", "owners", "Model owners", ("U0ANNA",))],
        "shortcuts": [Shortcut("explain", "Explain this alert"), Shortcut("ask", "Ask", on_message=False)],
        "retry_schedule": (0.05, 0.5, 2.0),
        "ack_timeout": 1.0,
        **changes,
    }
    return Workspace(**settings)


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with make_workspace() as running:
        yield running


@pytest.fixture
def anna(workspace: Workspace) -> Person:
    return workspace.person("U0ANNA")


@pytest.fixture
def vic(workspace: Workspace) -> Person:
    return workspace.person("U0VIC")


@pytest.fixture
def client(workspace: Workspace) -> WebClient:
    return WebClient(token=workspace.bot_token, base_url=workspace.api_url)


@pytest.fixture
def app(workspace: Workspace, client: WebClient) -> App:
    """A Bolt app without listeners; add some, then connect it."""
    app = App(client=client)
    app.event("message")(lambda: None)
    return app


@pytest.fixture
def connect(workspace: Workspace) -> Iterator[Callable[[App], SocketModeHandler]]:
    """Connects an app over Socket Mode; may be called several times for several connections."""
    handlers = []

    def connect(app: App) -> SocketModeHandler:
        web_client = WebClient(token=workspace.app_token, base_url=workspace.api_url)
        handler = SocketModeHandler(app, workspace.app_token, web_client=web_client, ping_interval=0.3)
        expected = workspace.connections + 1
        handler.connect()
        handlers.append(handler)
        workspace.person("U0ANNA").wait_for(lambda _: workspace.connections >= expected)
        return handler

    yield connect
    # Closing takes slack_sdk a second or more, so nobody waits for it; the workspace lets go at once.
    for handler in handlers:
        handler.client.auto_reconnect_enabled = False
    workspace.drop_connections()
    for handler in handlers:
        threading.Thread(target=handler.close, daemon=True).start()


@pytest.fixture
def kit() -> type[Kit]:
    return Kit


class Kit:
    """Short spellings of Block Kit."""

    @staticmethod
    def plain(text: str) -> Json:
        return {"type": "plain_text", "text": text}

    @staticmethod
    def section(text: str, **more: Any) -> Json:
        return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}

    @staticmethod
    def button(action_id: str, text: str = "Go", **more: Any) -> Json:
        return {"type": "button", "action_id": action_id, "text": Kit.plain(text), **more}

    @staticmethod
    def actions(*elements: Json, **more: Any) -> Json:
        return {"type": "actions", "elements": list(elements), **more}

    @staticmethod
    def options(*values: str) -> list[Json]:
        return [{"text": Kit.plain(value.title()), "value": value} for value in values]

    @staticmethod
    def text_input(block_id: str, action_id: str, label: str = "Reason", **more: Any) -> Json:
        element = {"type": "plain_text_input", "action_id": action_id, **more}
        return {"type": "input", "block_id": block_id, "label": Kit.plain(label), "element": element}

    @staticmethod
    def modal(*blocks: Json, title: str = "Approve", **more: Any) -> Json:
        return {
            "type": "modal",
            "title": Kit.plain(title),
            "submit": Kit.plain("Send"),
            "blocks": list(blocks),
            **more,
        }
