"""Drives local-slack 0.1.8, a Slack emulator written by others, with the people of the embedded workspace.

``LocalSlack`` is used like ``bot.workspace.Workspace``, and its ``person`` is a ``bot.workspace.Person``: a
journey written for one runs against both. Install the binary (MIT, Linux x64) from the repository's root:

    npm install --prefix .cache/local-slack local-slack-linux-x64@0.1.8 --ignore-scripts

What it does otherwise than Slack, as found by trying it; Slack's documentation decides:

- It checks no tokens, scopes, memberships or limits, retries nothing, and hands each payload to every
  connection. With no connection a payload is lost; ``Person`` then raises ``AppNotRespondingError``, as it
  does when an acknowledgement takes longer than Slack's 3 s (the emulator itself waits 5 s).
- It sends every kind of event, one after the other, each when the one before is acknowledged or after 5 s,
  and Bolt acknowledges only what it has a listener for. So an app that does not listen to ``message`` hears
  of mentions 5 s late, and ``upload`` takes 5 s when it does not listen to ``file_shared``.
- ``ack("text")`` and ``respond("text")`` are seen by everybody unless ``response_type`` says "ephemeral"; a
  response_url never expires, and answers into the channel also when the click was in a thread.
- There is one stack of modals for the whole workspace. The driver shows it only to the person whose trigger
  opened it; a second person's modal replaces it. Closing closes the whole stack, and so does a submission
  that is plainly acknowledged or not at all. ``views.update`` gives the view a new id.
- Triggers live for half an hour and can be used again.
- A submission's ``state.values`` holds input blocks only; these need a block_id and action_id of their own.
  A click carries no ``state``, and always says ``is_ephemeral: false``.
- Elements in modals and in the Home tab cannot be used, and shortcuts cannot be chosen: the driver raises
  ``WorkspaceError("unsupported")``. ``confirm``, message metadata and ``reply_broadcast`` are ignored.
- ``usergroups.users.list``, ``conversations.join`` and ``chat.scheduleMessage`` are ``unknown_method``.
- A thread parent that is deleted disappears without a tombstone.
- It listens on all interfaces; no option changes that.
"""

from __future__ import annotations

import html
import json
import os
import re
import secrets
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from bot.workspace import AppNotRespondingError, Person, User, WorkspaceError
from bot.workspace.elements import (
    action_payload,
    elements_of,
    find_element,
    input_errors,
    state_values,
    with_ids,
)

Json = dict[str, Any]

BINARY_VARIABLE = "DRIFTCATCHER_LOCAL_SLACK"
APP_ID, BOT_USER_ID, TEAM_ID = "A0LOCALAPP", "U0LOCALBOT", "T0LOCAL"
START_SECONDS = 20.0
STOP_SECONDS = 5.0
ACK_SECONDS = 3.0  # Slack's rule for commands, actions and submissions
ANSWER_SECONDS = 15.0


def find_binary() -> Path | None:
    """The emulator's binary, named by DRIFTCATCHER_LOCAL_SLACK or installed in the repository, if any.

    Raises:
        FileNotFoundError: the variable names no file.
    """
    if named := os.environ.get(BINARY_VARIABLE):
        if not Path(named).is_file():
            raise FileNotFoundError(f"{BINARY_VARIABLE}={named}: there is no such file")
        return Path(named)
    root = Path(__file__).resolve().parents[2]
    installed = root / ".cache/local-slack/node_modules/local-slack-linux-x64/bin/local-slack"
    return installed if installed.is_file() else None


class LocalSlack:
    """The emulator as a process of our own, on a free port.

    Args:
        binary: from ``find_binary()``.
        users: the people.
        channels: channel names; everybody and the bot are members.
        bot_name: the app's name.
        request_url: HTTP mode: where to POST payloads; None: Socket Mode.

    Attributes:
        bot_token, app_token, signing_secret: the app's secrets, made up anew for each object.
    """

    def __init__(
        self,
        binary: Path,
        users: Sequence[User],
        channels: Sequence[str],
        *,
        bot_name: str = "DriftCatcher",
        request_url: str | None = None,
    ) -> None:
        self.bot_token = f"xoxb-{secrets.token_hex(16)}"
        self.app_token = f"xapp-1-{secrets.token_hex(16)}"
        self.signing_secret = secrets.token_hex(16)
        self.users = {user.id: user for user in users}
        self._binary = binary
        self._channels = [name.removeprefix("#") for name in channels]
        self._bot_name = bot_name
        self._request_url = request_url
        self._origin = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> LocalSlack:
        """Start the process; returns when it answers."""
        self._folder = tempfile.TemporaryDirectory(prefix="local-slack-")
        folder = Path(self._folder.name)
        config, output = folder / "config.json", folder / "output.txt"
        config.write_text(json.dumps(self._configuration()), encoding="utf-8")
        options = ["--port", "0", "--base-host", "127.0.0.1", "--files-dir", str(folder / "files")]
        with output.open("wb") as sink:
            self._process = subprocess.Popen(
                [str(self._binary), "--config", str(config), *options], stdout=sink, stderr=subprocess.STDOUT
            )
        try:
            self._origin = self._wait_for_address(output)
            self.screen = Screen(self._origin)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the process that ``start`` began and forget its files. Does nothing when it is not running."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_SECONDS)
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> LocalSlack:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def origin(self) -> str:
        return self._origin

    @property
    def api_url(self) -> str:
        """The ``base_url`` for ``slack_sdk.WebClient``."""
        return f"{self._origin}/api/"

    @property
    def page_url(self) -> str:
        """The emulator's page, for a look while a test is held."""
        return f"{self._origin}/"

    @property
    def connections(self) -> int:
        """1 when the app holds Socket Mode connections (the emulator does not tell how many), otherwise 0."""
        return int(self.screen.connected)

    def person(self, user_id: str) -> Person:
        """A client that acts as this person."""
        if user_id not in self.users:
            raise ValueError(f"no user {user_id!r}; there are: {', '.join(self.users)}")
        return LocalPerson(self, user_id)

    @property
    def bot(self) -> Json:
        return {"id": BOT_USER_ID, "name": self._bot_name}

    @property
    def in_socket_mode(self) -> bool:
        return self._request_url is None

    def log(self) -> list[Json]:
        """What the emulator sent and received, oldest first, up to 1000 entries."""
        entries: list[Json] = self.request("/_control/log")["log"]
        return entries

    def request(self, path: str, body: Json | None = None) -> Json:
        """GET, or POST when there is a body, of the emulator's own interface."""
        data = None if body is None else json.dumps(body).encode()
        return self._open(
            urllib.request.Request(self._origin + path, data, {"Content-Type": "application/json"})
        )

    def post_file(self, path: str, body: bytes, content_type: str) -> Json:
        return self._open(urllib.request.Request(self._origin + path, body, {"Content-Type": content_type}))

    def api(self, method: str, arguments: Json) -> Json:
        """Call a Web API method as the app would."""
        return self.request(f"/api/{method}", {**arguments, "token": self.bot_token})

    def _open(self, request: urllib.request.Request) -> Json:
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
                answer: Json = json.loads(response.read())
        except urllib.error.HTTPError as error:
            answer = json.loads(error.read())
        if answer.get("ok") is False:
            raise WorkspaceError(
                answer["error"], f"local-slack refused {request.full_url}: {answer['error']}"
            )
        return answer

    def _configuration(self) -> Json:
        people = [
            {"id": u.id, "name": u.name, "real_name": u.real_name, "tz": u.tz} for u in self.users.values()
        ]
        members = [*self.users, BOT_USER_ID]
        app: Json = {
            "appId": APP_ID,
            "botUserId": BOT_USER_ID,
            "botName": self._bot_name,
            "botToken": self.bot_token,
            "appToken": self.app_token,
            "signingSecret": self.signing_secret,
            "mode": "socket" if self.in_socket_mode else "events",
        }
        return {
            "workspace": {"name": "Local Slack", "domain": "local", "teamId": TEAM_ID},
            "app": app if self._request_url is None else {**app, "requestUrl": self._request_url},
            "users": people,
            "channels": [
                {"id": f"C{number:09d}", "name": name, "members": members}
                for number, name in enumerate(self._channels, start=1)
            ],
        }

    def _wait_for_address(self, output: Path) -> str:
        """It takes a free port by itself and prints it; asking for one beforehand could be too late."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            printed = output.read_text(encoding="utf-8", errors="replace")
            if found := re.search(r"Web UI:\s+(http://[\w.]+:\d+)", printed):
                return found[1]
            if self._process.poll() is not None:
                raise RuntimeError(f"local-slack ended with status {self._process.returncode}:\n{printed}")
            time.sleep(0.02)
        raise RuntimeError(f"local-slack did not start within {START_SECONDS} s; it printed:\n{printed}")


class Screen:
    """Follows what the emulator tells its page: modals, Home tabs, errors of a submission, the connection.

    None of these can be asked for over HTTP. A thread reads until the emulator ends.

    Attributes:
        modals: the open ones, the top one last;  modal_owner: whose trigger opened the last one.
        homes: published Home tabs by user id.
        connected: the app holds a Socket Mode connection.
    """

    def __init__(self, origin: str) -> None:
        self.modals: list[Json] = []
        self.modal_owner = ""
        self.homes: dict[str, Json] = {}
        self.connected = False
        self._users_by_trigger: dict[str, str] = {}
        self._last_call = ""  # the Web API method in the frame before this one
        self._endings: list[dict[str, str]] = []  # of submissions and closings: the errors shown
        self._changed = threading.Condition()
        self._ending = threading.Lock()
        self._link: ClientConnection = connect(origin.replace("http", "ws", 1) + "/ui", max_size=None)
        self._take(json.loads(self._link.recv(ANSWER_SECONDS)))
        threading.Thread(target=self._follow, name="local-slack-screen", daemon=True).start()

    def send(self, frame: Json) -> None:
        """Act as the page does; nothing is answered."""
        self._link.send(json.dumps(frame))

    def submit(self, user: str, values: Json) -> dict[str, str]:
        """Submit the modal on top; returns the app's errors."""
        return self._end({"t": "view_submit", "user": user, "values": values})

    def close(self, user: str) -> None:
        """Dismiss all modals."""
        self._end({"t": "view_close", "user": user})

    def _end(self, frame: Json) -> dict[str, str]:
        """Send what the emulator answers with a change of the modals or with errors."""
        with self._ending, self._changed:
            before = len(self._endings)
            self.send(frame)
            if not self._changed.wait_for(lambda: len(self._endings) > before, ANSWER_SECONDS):
                raise TimeoutError(f"local-slack did not answer {frame['t']} within {ANSWER_SECONDS} s")
            return self._endings[-1]

    def _follow(self) -> None:
        try:
            for frame in self._link:
                with self._changed:
                    self._take(json.loads(frame))
                    self._changed.notify_all()
        except ConnectionClosed:
            return

    def _take(self, frame: Json) -> None:
        call, self._last_call = self._last_call, ""
        match frame["t"]:
            case "init":
                state = frame["state"]
                self.modals = state["modalStack"]
                self.homes = {
                    user: next(iter(by_app.values())) for user, by_app in state["homeViews"].items()
                }
                self.connected = state["apps"][0]["connected"]
            case "socket_status":
                self.connected = frame["connected"]
            case "home":
                self.homes[frame["user"]] = frame["view"]
            case "view":
                self.modals = frame["stack"]
                if not call.startswith("views."):  # not by the app's own call
                    self._endings.append({})
            case "view_errors":
                self._endings.append(frame["errors"])
            case "log":
                self._note(frame["entry"])

    def _note(self, entry: Json) -> None:
        """Learn from the log whose trigger a modal was opened with."""
        detail = entry.get("detail")
        if not isinstance(detail, dict):
            return
        if entry["direction"] == "to_bot" and "trigger_id" in detail:
            user = detail.get("user_id") or detail["user"]["id"]
            self._users_by_trigger[detail["trigger_id"]] = user
        elif entry["direction"] == "from_bot" and entry["kind"] == "web_api":
            self._last_call = entry["summary"]
            if self._last_call in ("views.open", "views.push"):
                trigger = str(detail.get("trigger_id"))
                self.modal_owner = self._users_by_trigger.get(trigger, self.modal_owner)


class LocalPerson(Person):
    """A person of the emulator: the embedded workspace's, with another way to reach the server."""

    def __init__(self, slack: LocalSlack, user_id: str) -> None:
        super().__init__(slack.page_url, user_id)
        self._slack = slack

    def state(self) -> Json:
        """Everything this person sees, in the embedded workspace's shape."""
        known = self._slack.request("/_control/state")
        screen = self._slack.screen
        home = screen.homes.get(self.user_id)
        return {
            "users": [{**user, "real_name": user.get("real_name", user["name"])} for user in known["users"]],
            "bot": self._slack.bot,
            "channels": [self._channel(c) for c in known["channels"] if self.user_id in c["members"]],
            "modals": [_with_ids(v) for v in screen.modals] if screen.modal_owner == self.user_id else [],
            "home": _with_ids(home) if home else None,
        }

    def upload(
        self, channel: str, name: str, content: bytes, text: str = "", thread_ts: str | None = None
    ) -> str:
        """Share a file in a channel or thread. Returns its id."""
        fields = {
            "user": self.user_id,
            "channel": self._id(channel),
            "text": text,
            "thread_ts": thread_ts or "",
        }
        boundary = secrets.token_hex(16)
        parts = [_part(boundary, f'name="{key}"', value.encode()) for key, value in fields.items()]
        parts.append(_part(boundary, f'name="file"; filename="{name}"', content))
        body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
        answer = self._slack.post_file("/_control/upload", body, f"multipart/form-data; boundary={boundary}")
        return str(answer["message"]["files"][0]["id"])

    def file(self, file_id: str) -> bytes:
        """The bytes of a shared file."""
        url = self._slack.api("files.info", {"file": file_id})["file"]["url_private_download"]
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self._slack.bot_token}"})
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
            content: bytes = response.read()
        return content

    def _do(self, action: str, **arguments: Any) -> Json:
        ways: dict[str, Callable[..., Json]] = {
            "say": self._say,
            "command": self._command,
            "act": self._act,
            "submit": self._submit,
            "close": self._close,
            "home": self._home,
            "react": self._react,
            "delete": self._delete,
        }
        if action not in ways:
            raise WorkspaceError("unsupported", f"local-slack has no {action}.")
        return ways[action](**arguments)

    def _say(self, channel: str, text: str, thread_ts: str | None) -> Json:
        """Not over HTTP: that answers only after the app has acknowledged every event, or 5 s."""
        channel_id = self._id(channel)
        frame = {
            "t": "post_message",
            "channel": channel_id,
            "user": self.user_id,
            "text": self._mentions(text),
        }
        earlier = {message["ts"] for message in self._stored(channel_id)}
        self._slack.screen.send({**frame, **({"thread_ts": thread_ts} if thread_ts else {})})
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline:
            for message in self._stored(channel_id):
                own = message["user"] == self.user_id and message["text"] == frame["text"]
                if own and message["ts"] not in earlier:
                    return {"ts": message["ts"]}
            time.sleep(0.01)
        raise TimeoutError(f"local-slack did not take {text!r}.")

    def _command(self, channel: str, command: str, text: str) -> Json:
        return self._ask("command", {"channel": self._id(channel), "command": command, "text": text})

    def _act(
        self,
        action_id: str,
        value: Any = None,
        channel: str | None = None,
        ts: str | None = None,
        view_id: str | None = None,
        block_id: str | None = None,
    ) -> Json:
        if view_id is not None or channel is None:
            raise WorkspaceError("unsupported", "local-slack cannot use elements in modals and Home tabs.")
        blocks = with_ids(self._message(channel, ts).get("blocks") or [])
        wanted = value if isinstance(value, str) else None
        found = find_element(blocks, action_id, block_id, wanted)
        if found is None:
            known = [element["action_id"] for block in blocks for element in elements_of(block)]
            raise WorkspaceError(
                "no_such_action", f"there is no {action_id!r} here; actions: {', '.join(known)}"
            )
        action = action_payload(*found, value, f"{time.time():.6f}")
        return self._ask("interact", {"channel": self._id(channel), "messageTs": ts, "action": action})

    def _ask(self, what: str, body: Json) -> Json:
        """Post something that the app must acknowledge; the emulator answers when it has."""
        if self._slack.in_socket_mode and not self._slack.screen.connected:
            raise AppNotRespondingError("app_did_not_respond", f"{self._slack.bot['name']} is not connected.")
        started = time.monotonic()
        answer = self._slack.request(f"/_control/{what}", {"user": self.user_id, **body})
        self._check_ack(started)
        return answer

    def _check_ack(self, started: float) -> None:
        if (took := time.monotonic() - started) > ACK_SECONDS:
            raise AppNotRespondingError(
                "app_did_not_respond",
                f"{self._slack.bot['name']} did not acknowledge within 3 s ({took:.1f} s).",
            )

    def _submit(self, view_id: str, values: dict[str, dict[str, Any]]) -> Json:
        """Fill in as Slack's client does: initial values, required fields, whole option objects."""
        blocks = self._required_view()["blocks"]
        for block, fields in values.items():
            for action_id in fields:
                if find_element(blocks, action_id, block, None) is None:
                    raise WorkspaceError("no_such_field", f"no field {block}/{action_id} in this view")
        filled = state_values(blocks, values)
        if errors := input_errors(blocks, filled):
            return {"errors": errors}
        started = time.monotonic()
        answer = self._slack.screen.submit(self.user_id, filled)
        self._check_ack(started)
        return {"errors": answer}

    def _close(self, all: bool) -> Json:  # noqa: A002 - the name of the embedded workspace's argument
        self._required_view()
        self._slack.screen.close(self.user_id)
        return {}

    def _home(self) -> Json:
        self._slack.screen.send({"t": "open_home", "user": self.user_id})
        return {}

    def _react(self, channel: str, ts: str, name: str) -> Json:
        given = self._message(channel, ts).get("reactions") or []
        present = not any(r["name"] == name and self.user_id in r["users"] for r in given)
        frame = {"t": "reaction", "channel": self._id(channel), "ts": ts, "user": self.user_id, "name": name}
        self._slack.screen.send({**frame, "present": present})
        return {}

    def _delete(self, channel: str, ts: str) -> Json:
        """The emulator lets only the author delete: act as the author."""
        author = self._message(channel, ts)["user"]
        frame = {"t": "delete_message", "channel": self._id(channel), "ts": ts, "user": author}
        self._slack.screen.send(frame)
        return {}

    def _message(self, channel: str, ts: str | None) -> Json:
        for message in self._all(channel):
            if message["ts"] == ts:
                return message
        raise WorkspaceError("message_not_found", f"There is no message {ts} in {channel}.")

    def _id(self, reference: str) -> str:
        return str(self._find_channel(self.state(), reference)["id"])

    def _channel(self, channel: Json) -> Json:
        name = self._slack.bot["name"] if channel["is_im"] else channel["name"]
        messages = [
            {**message, "is_ephemeral": message.get("subtype") == "ephemeral"}
            for message in self._stored(channel["id"])
            if message.get("ephemeral_to") in (None, self.user_id)
        ]
        return {"id": channel["id"], "name": name, "is_im": channel["is_im"], "messages": messages}

    def _stored(self, channel_id: str) -> list[Json]:
        messages: list[Json] = self._slack.request(f"/_control/messages/{urllib.parse.quote(channel_id)}")[
            "messages"
        ]
        return messages

    def _mentions(self, text: str) -> str:
        """Escape what a person typed, and turn @Name into Slack's reference."""
        names = {user.name.lower(): user.id for user in self._slack.users.values()}
        names[str(self._slack.bot["name"]).lower()] = BOT_USER_ID

        def mention(match: re.Match[str]) -> str:
            user_id = names.get(match[1].lower())
            return f"<@{user_id}>" if user_id else match[0]

        escaped = re.sub(r"&lt;(@\w+)&gt;", r"<\1>", html.escape(text, quote=False))
        return re.sub(r"(?<![\w<])@([\w.-]*\w)", mention, escaped)


def _with_ids(view: Json) -> Json:
    return {**view, "blocks": with_ids(view["blocks"])}


def _part(boundary: str, disposition: str, content: bytes) -> bytes:
    return (
        f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"
    )
