"""Other web sites, in the browser of somebody who runs the workspace, get nothing."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from bot.workspace import Person, User, Workspace

FOREIGN = [
    {"Host": "evil.example"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.fixture(scope="module")
def workspace() -> Iterator[Workspace]:
    """One for all: nothing here may change what is in #ml-alerts."""
    users, channels = [User("U0ANNA", "anna", "Anna")], ["ml-alerts", "ml-reports"]
    with Workspace(users, channels) as running:
        yield running


SAY = json.dumps({"user": "U0ANNA", "channel": "ml-alerts", "text": "hello"})


def ask(
    workspace: Workspace, method: str, path: str, headers: dict[str, str], body: str | None = None
) -> http.client.HTTPResponse:
    host, port = workspace.page_url.removeprefix("http://").rstrip("/").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    connection.request(method, path, body, headers)
    return connection.getresponse()


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(
    "path", ["/", "/person/state", "/person/events", "/api/auth.test", "/page/js/app.js"]
)
def test_foreign_requests_are_refused(workspace: Workspace, headers: dict[str, str], path: str) -> None:
    assert ask(workspace, "GET", path, headers).status == 403


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_foreign_page_cannot_act(workspace: Workspace, anna: Person, headers: dict[str, str]) -> None:
    answer = ask(workspace, "POST", "/person/say", {**headers, "X-Workspace-Person": "1"}, SAY)
    assert answer.status == 403
    assert anna.messages("ml-alerts") == []


def test_a_simple_form_post_is_refused_even_without_an_origin(workspace: Workspace, anna: Person) -> None:
    assert ask(workspace, "POST", "/person/say", {"Content-Type": "text/plain"}, SAY).status == 403
    assert anna.messages("ml-alerts") == []


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", ""),
        ("?ticket=wrong", ""),
        (None, "Origin: https://evil.example\r\n"),
        (None, "Host: evil.example\r\n"),
    ],
)
def test_a_socket_needs_a_ticket_and_no_foreign_origin(
    workspace: Workspace, query: str | None, headers: str
) -> None:
    ticket = query if query is not None else workspace._new_socket_url().partition("/link/")[2]
    host, port = workspace.page_url.removeprefix("http://").rstrip("/").split(":")
    host_line = "" if headers.startswith("Host") else f"Host: {host}:{port}\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(
            f"GET /link/{ticket} HTTP/1.1\r\n{host_line}{headers}Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert connection.recv(1024).startswith(b"HTTP/1.1 403")


def test_a_ticket_works_once(workspace: Workspace) -> None:
    tickets = workspace._socket_tickets
    ticket = tickets.issue()
    assert [tickets.redeem(ticket), tickets.redeem(ticket)] == [True, False]


def test_shared_files_are_inert(workspace: Workspace, anna: Person) -> None:
    page = anna.upload("ml-reports", "page.html", b"<script>alert(1)</script>")
    picture = anna.upload("ml-reports", "plot.png", b"\x89PNG")
    drawing = anna.upload("ml-reports", "drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    for file_id, disposition in ((page, "attachment"), (picture, "inline"), (drawing, "attachment")):
        headers = ask(workspace, "GET", f"/person/files/{file_id}", {}).headers
        assert headers["Content-Disposition"].startswith(disposition)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"]


def test_private_urls_need_the_bots_token(workspace: Workspace, anna: Person) -> None:
    file_id = anna.upload("ml-reports", "a.csv", b"1")
    path = f"/files-pri/T-{file_id}/a.csv"
    assert ask(workspace, "GET", path, {}).status == 403
    assert ask(workspace, "GET", path, {"Authorization": f"Bearer {workspace.bot_token}"}).status == 200


@pytest.mark.parametrize(
    "path", ["/page/../server.py", "/page/%2e%2e/server.py", "/page//etc/passwd", "/page/js"]
)
def test_only_the_page_itself_is_served(workspace: Workspace, path: str) -> None:
    assert ask(workspace, "GET", path, {}).status == 404


def test_the_page_may_run_its_own_scripts_only(workspace: Workspace) -> None:
    policy = ask(workspace, "GET", "/", {}).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_it_listens_on_this_machine_only(workspace: Workspace) -> None:
    assert workspace.page_url.startswith("http://127.0.0.1:")
    with pytest.raises(ValueError, match="U0NOBODY"):
        workspace.person("U0NOBODY")


@pytest.mark.parametrize("body", [[1], {"channel": [1]}, {"text": 5}, {"values": [1]}, {"state": "x"}, "x"])
@pytest.mark.parametrize("action", ["say", "command", "act", "submit", "react", "shortcut"])
def test_a_body_of_the_wrong_types_is_refused(workspace: Workspace, action: str, body: Any) -> None:
    headers = {"X-Workspace-Person": "1"}
    answer = ask(workspace, "POST", f"/person/{action}", headers, json.dumps(body))
    assert answer.status == 200 and json.loads(answer.read())["ok"] is False


def test_a_token_of_other_letters_is_an_invalid_one(workspace: Workspace) -> None:
    answer = ask(workspace, "POST", "/api/auth.test", {"Authorization": "Bearer é"})
    assert json.loads(answer.read())["error"] == "invalid_auth"
