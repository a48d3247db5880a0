"""The person's side over HTTP: the page, the state that it shows, and the actions that it sends."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from .errors import SlackError, WorkspaceError
from .file_methods import MAX_FILE_BYTES, FileMethods
from .interactions import Interactions
from .live import Live
from .model import BOT_USER_ID, Channel, Json, Message, Shortcut, State, View
from .payloads import Payloads
from .posting import Posting
from .security import PAGE_HEADERS, PERSON_HEADER, file_response
from .views import Views

Action = Callable[[str, Json], Awaitable[Json]]
PAGE = files("bot.workspace").joinpath("page")


@dataclass(frozen=True, slots=True)
class Offer:
    """What the app offers to people beside its messages.

    Attributes:
        command: the slash command, e.g. ``/drift``.
        command_help: (usage, description) pairs for the help list.
        shortcuts: entries of the message menu and of the app.
    """

    command: str
    command_help: tuple[tuple[str, str], ...]
    shortcuts: tuple[Shortcut, ...]


class Snapshot:
    """The workspace as one person sees it."""

    def __init__(
        self,
        state: State,
        payloads: Payloads,
        live: Live,
        offer: Offer,
        connections: Callable[[], int | None],
    ) -> None:
        self._state = state
        self._payloads = payloads
        self._live = live
        self._offer = offer
        self._connections = connections

    @property
    def command(self) -> str:
        """The app's slash command."""
        return self._offer.command

    def of(self, user: str) -> Json:
        """Everything that the page draws; ephemeral messages and modals of other people are left out."""
        home = self._state.homes.get(user)
        connections = self._connections()
        return {
            "revision": self._live.revision,
            "workspace": self._state.name,
            "me": self._state.user(user).id,
            "bot": {"id": BOT_USER_ID, "name": self._state.bot_name},
            "app_connected": connections is None or connections > 0,
            "users": [asdict(person) for person in self._state.users.values()],
            "groups": [asdict(group) for group in self._state.groups.values()],
            "command": self._offer.command,
            "command_help": [
                {"usage": usage, "description": description}
                for usage, description in self._offer.command_help
            ],
            "shortcuts": [asdict(shortcut) for shortcut in self._offer.shortcuts],
            "channels": [
                self._channel(channel, user)
                for channel in self._state.channels.values()
                if user in channel.members
            ],
            "modals": [self._payloads.view(view) for view in self._state.modals[user]],
            "home": self._payloads.view(home) if home else None,
        }

    def _channel(self, channel: Channel, user: str) -> Json:
        seen = [m for m in channel.messages.values() if m.visible_to in (None, user)]
        return {
            "id": channel.id,
            "name": self._state.bot_name if channel.is_im else channel.name,
            "is_im": channel.is_im,
            "members": list(channel.members),
            "messages": [
                {**self._payloads.message(message), "is_ephemeral": message.visible_to is not None}
                for message in sorted(seen, key=lambda message: message.ts)
            ],
        }


class PersonApi:
    """Routes for the page and for ``Person``, the client in Python."""

    def __init__(
        self,
        state: State,
        interactions: Interactions,
        posting: Posting,
        views: Views,
        uploads: FileMethods,
        snapshot: Snapshot,
        live: Live,
    ) -> None:
        self._state = state
        self._interactions = interactions
        self._posting = posting
        self._views = views
        self._uploads = uploads
        self._snapshot = snapshot
        self._live = live
        self._actions: Mapping[str, Action] = {
            "say": self._say,
            "command": self._command,
            "act": self._act,
            "submit": self._submit,
            "close": self._close,
            "home": self._home,
            "shortcut": self._shortcut,
            "react": self._react,
            "delete": self._delete,
        }

    def routes(self) -> list[Route]:
        return [
            Route("/", self.page),
            Route("/archives/{channel}/{message}", self.page),
            Route("/page/{path:path}", self.asset),
            Route("/person/state", self.state),
            Route("/person/events", self.events),
            Route("/person/files/{file}", self.file),
            Route("/person/upload", self.upload, methods=["POST"]),
            Route("/person/{action}", self.action, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        return _asset("index.html")

    async def asset(self, request: Request) -> Response:
        return _asset(request.path_params["path"])

    async def state(self, request: Request) -> Response:
        user = request.query_params.get("user") or next(iter(self._state.users))
        try:
            return JSONResponse(self._snapshot.of(user), headers=PAGE_HEADERS)
        except SlackError as error:
            return _refused(error.code, f"There is no such person: {user!r}.")

    async def events(self, request: Request) -> Response:
        headers = {**PAGE_HEADERS, "X-Accel-Buffering": "no"}
        return StreamingResponse(self._live.events(), media_type="text/event-stream", headers=headers)

    async def file(self, request: Request) -> Response:
        try:
            file = self._uploads.completed(request.path_params["file"])
        except SlackError:
            return PlainTextResponse("file_not_found\n", 404)
        download = "download" in request.query_params
        return file_response(file.content or b"", file.mimetype, file.name, download)

    async def upload(self, request: Request) -> Response:
        """A file from a person, as multipart form: user, channel, thread_ts, text, file."""
        if PERSON_HEADER not in request.headers:
            return _refused("forbidden", f"The header {PERSON_HEADER} is missing.", 403)
        async with request.form() as form:
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
            sent = form.get("file")
            if sent is None or isinstance(sent, str):
                return _refused("no_file", "There is no file in the form.")
            content, name = await sent.read(), sent.filename or "file"
        if not 0 < len(content) <= MAX_FILE_BYTES:
            return _refused("bad_size", f"A file needs 1 to {MAX_FILE_BYTES} bytes.")
        return await self._answer(self._share, fields.get("user", ""), {**fields, "name": name, "_": content})

    async def action(self, request: Request) -> Response:
        if PERSON_HEADER not in request.headers:
            return _refused("forbidden", f"The header {PERSON_HEADER} is missing.", 403)
        action = self._actions.get(request.path_params["action"])
        if action is None:
            return _refused("unknown_action", f"Unknown action; known: {', '.join(self._actions)}.", 404)
        try:
            body = json.loads(await request.body())
        except ValueError:
            return _refused("invalid_json", "The body must be JSON.")
        if wrong := _wrong_type(body):
            return _refused("invalid_arguments", wrong)
        return await self._answer(action, str(body.get("user", "")), body)

    async def _answer(self, action: Action, user: str, body: Json) -> Response:
        try:
            self._state.user(user)
            return JSONResponse({"ok": True, **await action(user, body)}, headers=PAGE_HEADERS)
        except SlackError as error:
            return _refused(error.code, f"Slack would refuse this: {error}.")
        except WorkspaceError as error:
            return _refused(error.code, str(error))
        except KeyError as error:
            return _refused("missing_argument", f"The argument {error} is missing.")

    async def _say(self, user: str, body: Json) -> Json:
        channel = self._channel(user, body["channel"])
        message = self._interactions.say(user, channel, body["text"], body.get("thread_ts"))
        return {"ts": message.ts}

    async def _share(self, user: str, body: Json) -> Json:
        channel = self._channel(user, body["channel"])
        file = self._uploads.create(body["name"], user)
        file.content, file.completed = body["_"], True
        file.channels.append(channel.id)
        thread = body.get("thread_ts") or None
        message = self._interactions.share_file(user, channel, file.id, body.get("text", ""), thread)
        return {"ts": message.ts, "file": file.id}

    async def _command(self, user: str, body: Json) -> Json:
        channel = self._channel(user, body["channel"])
        if body.get("thread_ts"):
            text = f"`{body['command']}` cannot be used in threads. Mention the app instead."
            self._posting.tell(user, channel, text, body["thread_ts"])
            raise WorkspaceError("not_in_threads", "Slash commands cannot be used in threads.")
        if body["command"] != self._snapshot.command:
            text = f"`{body['command']}` is not a command here; there is `{self._snapshot.command}`."
            self._posting.tell(user, channel, text)
            raise WorkspaceError("unknown_command", text.replace("`", ""))
        await self._interactions.command(user, channel, body["command"], body.get("text", ""))
        return {}

    async def _act(self, user: str, body: Json) -> Json:
        """An element was used: of a view when ``view_id`` is given, of a message otherwise."""
        how = (body["action_id"], body.get("block_id"), body.get("value"), body.get("state") or {})
        if body.get("view_id"):
            await self._interactions.act_on_view(user, self._view(user, body["view_id"]), *how)
        else:
            await self._interactions.act_on_message(user, self._message(user, body), *how)
        return {}

    async def _submit(self, user: str, body: Json) -> Json:
        view = self._view(user, body["view_id"])
        return {"errors": await self._interactions.submit(user, view, body.get("values") or {})}

    async def _close(self, user: str, body: Json) -> Json:
        self._views.dismiss(user, everything=bool(body.get("all")))
        return {}

    async def _home(self, user: str, body: Json) -> Json:
        self._interactions.open_home(user)
        return {}

    async def _shortcut(self, user: str, body: Json) -> Json:
        message = self._message(user, body) if body.get("ts") else None
        await self._interactions.shortcut(user, body["callback_id"], message)
        return {}

    async def _react(self, user: str, body: Json) -> Json:
        self._interactions.react(user, self._message(user, body), body["name"])
        return {}

    async def _delete(self, user: str, body: Json) -> Json:
        """Anybody may delete anything here, like an administrator of a Slack workspace."""
        self._posting.delete(self._message(user, body))
        return {}

    def _channel(self, user: str, reference: str) -> Channel:
        channel = self._state.channel(reference)
        if user not in channel.members:
            raise SlackError("channel_not_found")
        return channel

    def _message(self, user: str, body: Json) -> Message:
        message = self._state.message(self._channel(user, body["channel"]), body["ts"])
        if message.visible_to not in (None, user):
            raise SlackError("message_not_found")
        return message

    def _view(self, user: str, view_id: str) -> View:
        view = self._state.view(view_id)
        if view is None or view.user != user:
            raise WorkspaceError("view_closed", "This window is no longer open.")
        return view


def _wrong_type(body: object) -> str:
    """What is wrong with the body of an action, or nothing."""
    if not isinstance(body, dict):
        return "The body must be a JSON object."
    for name in ("values", "state"):
        if not isinstance(body.get(name) or {}, dict):
            return f"{name} must be an object."
    texts = (
        "user",
        "channel",
        "text",
        "ts",
        "thread_ts",
        "command",
        "action_id",
        "block_id",
        "view_id",
        "name",
    )
    for name in texts:
        if not isinstance(body.get(name) or "", str):
            return f"{name} must be a string."
    return ""


def _asset(path: str) -> Response:
    parts = PurePosixPath(path).parts
    resource = PAGE.joinpath(*parts)
    if ".." in parts or path.startswith("/") or not resource.is_file():
        return PlainTextResponse("not found\n", 404)
    kind = "text/javascript" if path.endswith(".js") else mimetypes.guess_type(path)[0]
    return Response(
        resource.read_bytes(), media_type=kind or "application/octet-stream", headers=PAGE_HEADERS
    )


def _refused(code: str, message: str, status: int = 200) -> Response:
    body: dict[str, Any] = {"ok": False, "error": code, "message": message}
    return JSONResponse(body, status, headers=PAGE_HEADERS)
