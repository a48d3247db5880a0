"""A person of the workspace, played by a program: reads, writes, clicks and fills in modals over HTTP."""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

from .errors import AppNotRespondingError, WorkspaceError
from .model import Json
from .readable import message_lines, view_lines
from .security import PERSON_HEADER

POLL_SECONDS = 0.05
Found = TypeVar("Found")


class Person:
    """Acts as one user, through the same HTTP interface as the page.

    Every action raises ``AppNotRespondingError`` when the app does not acknowledge it, and ``WorkspaceError``
    when the workspace refuses it. Channels are named (``ml-alerts``) or given by id; messages are dicts
    as Slack shows them, with ``is_ephemeral`` added.

    Args:
        page_url: the workspace's page, e.g. ``http://127.0.0.1:4801/``.
        user_id: who to be, e.g. ``U0ANNA``.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, page_url: str, user_id: str, timeout: float = 30.0) -> None:
        address = urllib.parse.urlsplit(page_url)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 80
        self.user_id = user_id
        self._timeout = timeout

    def say(self, channel: str, text: str, thread_ts: str | None = None) -> str:
        """Write a message; ``@Name`` mentions. Returns its ts."""
        return str(self._do("say", channel=channel, text=text, thread_ts=thread_ts)["ts"])

    def command(self, channel: str, command: str, text: str = "") -> None:
        """Send a slash command, e.g. ``command("ml-alerts", "/drift", "status")``."""
        self._do("command", channel=channel, command=command, text=text)

    def click(self, channel: str, ts: str, action_id: str, value: str | None = None) -> None:
        """Press a button of a message (after its confirmation, if it has one).

        ``value`` tells buttons with the same action id apart; in an overflow menu it is the choice.
        """
        self._do("act", channel=channel, ts=ts, action_id=action_id, value=value)

    def select(self, channel: str, ts: str, action_id: str, value: str | list[str]) -> None:
        """Choose in a select, radio, checkbox or date element of a message."""
        self._do("act", channel=channel, ts=ts, action_id=action_id, value=value)

    def act_in_view(self, action_id: str, value: str | list[str] | None = None) -> None:
        """Press a button or choose something in the open modal."""
        self._do("act", view_id=self._required_view()["id"], action_id=action_id, value=value)

    def act_in_home(self, action_id: str, value: str | list[str] | None = None) -> None:
        """Press a button or choose something in the app's Home tab."""
        home = self.home()
        if home is None:
            raise WorkspaceError("no_home", "The app has not published a Home tab for this person.")
        self._do("act", view_id=home["id"], action_id=action_id, value=value)

    def open_view(self) -> Json | None:
        """The modal on top, as Slack shows a view; None when none is open."""
        modals: list[Json] = self.state()["modals"]
        return modals[-1] if modals else None

    def submit(self, values: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, str]:
        """Fill in and submit the open modal.

        Args:
            values: ``{block_id: {action_id: value}}``; a value is a text, an option's value, a user id, or
                a list of those. What is left out keeps its initial value.

        Returns:
            ``{block_id: message}`` when something must be corrected, otherwise ``{}``.
        """
        view_id = self._required_view()["id"]
        errors: dict[str, str] = self._do("submit", view_id=view_id, values=values or {})["errors"]
        return errors

    def close_view(self, everything: bool = False) -> None:
        """Dismiss the open modal, or the whole stack."""
        self._do("close", all=everything)

    def open_home(self) -> None:
        """Look at the app's Home tab: the app is told, and may publish it anew."""
        self._do("home")

    def home(self) -> Json | None:
        """The Home tab as it was last published."""
        home: Json | None = self.state()["home"]
        return home

    def shortcut(self, callback_id: str, channel: str | None = None, ts: str | None = None) -> None:
        """Choose a shortcut: of a message when one is given, otherwise a global one."""
        self._do("shortcut", callback_id=callback_id, channel=channel, ts=ts)

    def react(self, channel: str, ts: str, name: str) -> None:
        """Add a reaction such as ``eyes``, or take it away again."""
        self._do("react", channel=channel, ts=ts, name=name)

    def delete(self, channel: str, ts: str) -> None:
        """Delete a message, also somebody else's, as an administrator may."""
        self._do("delete", channel=channel, ts=ts)

    def upload(
        self, channel: str, name: str, content: bytes, text: str = "", thread_ts: str | None = None
    ) -> str:
        """Share a file in a channel or thread. Returns its id."""
        fields = {"user": self.user_id, "channel": channel, "text": text, "thread_ts": thread_ts or ""}
        body, content_type = _multipart(fields, name, content)
        return str(self._request("/person/upload", body, content_type)["file"])

    def file(self, file_id: str) -> bytes:
        """The bytes of a shared file."""
        status, content = self._exchange("GET", f"/person/files/{file_id}", None, {})
        if status != 200:
            raise WorkspaceError("file_not_found", f"There is no file {file_id!r}.")
        return content

    def messages(self, channel: str) -> list[Json]:
        """The channel's messages that everybody sees, oldest first, without replies."""
        return [
            m for m in self._all(channel) if not m["is_ephemeral"] and m.get("thread_ts") in (None, m["ts"])
        ]

    def replies(self, channel: str, ts: str) -> list[Json]:
        """The replies in a message's thread, oldest first, without the message itself."""
        return [
            m for m in self._all(channel)
            if not m["is_ephemeral"] and m.get("thread_ts") == ts and m["ts"] != ts
        ]  # fmt: skip

    def ephemerals(self, channel: str) -> list[Json]:
        """Messages that only this person sees, in the channel and its threads, oldest first."""
        return [m for m in self._all(channel) if m["is_ephemeral"]]

    def direct_messages(self) -> list[Json]:
        """What the bot and this person wrote to each other."""
        return [m for channel in self.state()["channels"] if channel["is_im"] for m in channel["messages"]]

    def state(self) -> Json:
        """Everything this person sees, as the page gets it."""
        return self._request(f"/person/state?{urllib.parse.urlencode({'user': self.user_id})}")

    def wait_for(self, predicate: Callable[[Person], Found | None], timeout: float = 10.0) -> Found:
        """Ask again and again until the predicate's answer is truthy, and return it.

        Raises:
            TimeoutError: with a transcript of everything visible, when it never was.
        """
        deadline = time.monotonic() + timeout
        while True:
            found = predicate(self)
            if found:
                return found
            if time.monotonic() > deadline:
                seen = "\n\n".join(self.transcript(c["id"]) for c in self.state()["channels"])
                view = self.open_view()
                modal = "\n".join(["", "", *view_lines(view)]) if view else ""
                raise TimeoutError(f"not seen within {timeout} s. The workspace shows:\n{seen}{modal}")
            time.sleep(POLL_SECONDS)

    def transcript(self, channel: str) -> str:
        """The channel with its threads as readable text."""
        state = self.state()
        found = self._find_channel(state, channel)
        names = {user["id"]: user["real_name"] for user in state["users"]}
        names[state["bot"]["id"]] = state["bot"]["name"]
        names |= {channel["id"]: channel["name"] for channel in state["channels"]}
        lines = [f"#{found['name']}" if not found["is_im"] else f"Direct messages with {found['name']}"]
        every = found["messages"]
        for message in every:
            if message.get("thread_ts") in (None, message["ts"]):
                lines += message_lines(message, names, indent=2)
                replies = [
                    m for m in every if m.get("thread_ts") == message["ts"] and m["ts"] != message["ts"]
                ]
                for reply in replies:
                    lines += message_lines(reply, names, indent=6)
        return "\n".join(lines)

    def _required_view(self) -> Json:
        view = self.open_view()
        if view is None:
            raise WorkspaceError("no_view", "No modal is open.")
        return view

    def _all(self, channel: str) -> list[Json]:
        messages: list[Json] = self._find_channel(self.state(), channel)["messages"]
        return messages

    def _find_channel(self, state: Json, reference: str) -> Json:
        for channel in state["channels"]:
            if reference.removeprefix("#") in (channel["id"], channel["name"]):
                found: Json = channel
                return found
        raise WorkspaceError("channel_not_found", f"There is no channel {reference!r}.")

    def _do(self, action: str, **arguments: Any) -> Json:
        body = json.dumps({"user": self.user_id, **arguments}).encode()
        return self._request(f"/person/{action}", body, "application/json")

    def _request(self, path: str, body: bytes | None = None, content_type: str = "") -> Json:
        headers = {PERSON_HEADER: "1", **({"Content-Type": content_type} if content_type else {})}
        _, content = self._exchange("GET" if body is None else "POST", path, body, headers)
        answer: Json = json.loads(content)
        if answer.get("ok") is False:
            kind = AppNotRespondingError if answer["error"] == "app_did_not_respond" else WorkspaceError
            raise kind(answer["error"], answer["message"])
        return answer

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """One HTTP request, straight to the workspace: a proxy in the environment has no say."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _multipart(fields: Mapping[str, str], name: str, content: bytes) -> tuple[bytes, str]:
    boundary = uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    ]
    quoted = name.replace('"', "%22").replace("\r", " ").replace("\n", " ")
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
    )
    return b"".join([*parts, content, f"\r\n--{boundary}--\r\n".encode()]), (
        f"multipart/form-data; boundary={boundary}"
    )
