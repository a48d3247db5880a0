"""Wires the workspace together and runs it in a thread."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from collections.abc import Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from .chat_methods import ChatMethods
from .delivery import Delivery, HttpTransport, SocketTransport
from .errors import SlackError
from .faults import ApiCall, Fault, Faults
from .file_methods import FileMethods
from .interactions import Interactions
from .live import Live
from .model import Json, Shortcut, State, User, UserGroup, View
from .payloads import Addresses, Payloads
from .person import Person
from .person_api import Offer, PersonApi, Snapshot
from .posting import Posting
from .security import LocalOnly
from .team_methods import TeamMethods
from .tickets import ResponseUrls, SocketTickets, Triggers
from .view_methods import ViewMethods
from .views import Views
from .web_api import AppUrls, Tokens, WebApi, socket_url

HOST = "127.0.0.1"
START_SECONDS = 10.0
EVENTS = ("app_mention", "app_home_opened", "message")


class Workspace:
    """A Slack-compatible workspace on 127.0.0.1, for one app.

    The state lives in memory as long as the object; ``stop`` and ``start`` again is an outage of Slack.

    Args:
        users: the people; the first one is who the page starts as.
        channels: channel names; everybody and the bot are members.
        bot_name: the app's name.
        command: the app's slash command.
        command_help: (usage, description) pairs, shown when a person types "/".
        port: 0 takes a free one.
        request_url: HTTP mode: where to POST payloads; None: Socket Mode.
        groups: user groups.
        shortcuts: the app's shortcuts.
        name: the workspace's name.
        events: event types the app subscribed to (as in its manifest); others are not delivered.
        retry_schedule: seconds to wait before each repetition of an unacknowledged event.
            Slack's own is 0, 60, 300.
        ack_timeout: seconds within which the app must acknowledge.

    Attributes:
        bot_token, app_token, signing_secret: the app's secrets, made up anew for each workspace.
    """

    def __init__(
        self,
        users: Sequence[User],
        channels: Sequence[str],
        *,
        bot_name: str = "DriftCatcher",
        command: str = "/drift",
        command_help: Iterable[tuple[str, str]] = (),
        port: int = 0,
        request_url: str | None = None,
        groups: Iterable[UserGroup] = (),
        shortcuts: Iterable[Shortcut] = (),
        name: str = "Embedded workspace",
        events: Iterable[str] = EVENTS,
        retry_schedule: Sequence[float] = (0.0, 2.0, 10.0),
        ack_timeout: float = 3.0,
    ) -> None:
        if not users or not channels:
            raise ValueError("a workspace needs at least one user and one channel")
        self.bot_token = f"xoxb-{secrets.token_hex(16)}"
        self.app_token = f"xapp-1-{secrets.token_hex(16)}"
        self.signing_secret = secrets.token_hex(16)
        self._offer = Offer(command, tuple(command_help), tuple(shortcuts))
        self._state = State(name, users, channels, bot_name, groups)
        self._events = frozenset(events)
        self._port = port
        self._request_url = request_url
        self._retry_schedule = retry_schedule
        self._ack_timeout = ack_timeout
        self._sockets = SocketTransport(ack_timeout)
        self._socket_tickets = SocketTickets()
        self._triggers = Triggers()
        self._response_urls = ResponseUrls()
        self._faults = Faults()
        self._api_log: list[ApiCall] = []
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Workspace:
        """Listen; returns when requests are answered."""
        listener = socket.create_server((HOST, self._port))
        self._port = listener.getsockname()[1]
        ready = threading.Event()
        failure: list[BaseException] = []
        self._thread = threading.Thread(
            target=self._run, args=(listener, ready, failure), name="embedded-workspace", daemon=True
        )
        self._thread.start()
        if not ready.wait(START_SECONDS) or failure:
            raise RuntimeError("the embedded workspace did not start") from (failure[0] if failure else None)
        return self

    def stop(self) -> None:
        """Close every connection and the port. Does nothing when it is not running."""
        if self._server is None or self._thread is None:
            return
        self._on_loop(self._close())
        self._server.should_exit = True
        self._thread.join(START_SECONDS)
        self._server = self._thread = None

    def __enter__(self) -> Workspace:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def origin(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def api_url(self) -> str:
        """The ``base_url`` for ``slack_sdk.WebClient``."""
        return f"{self.origin}/api/"

    @property
    def page_url(self) -> str:
        """The page that a person opens in a browser."""
        return f"{self.origin}/"

    @property
    def request_url(self) -> str | None:
        """HTTP mode: where payloads go; may be set before ``start``."""
        return self._request_url

    @request_url.setter
    def request_url(self, url: str | None) -> None:
        self._request_url = url

    @property
    def api_log(self) -> list[ApiCall]:
        """A copy of the calls the app has made so far, oldest first."""
        return list(self._api_log)

    @property
    def connections(self) -> int:
        """How many Socket Mode connections the app holds."""
        return self._sockets.connections

    def person(self, user_id: str) -> Person:
        """A client that acts as this person, over HTTP as the page does."""
        if user_id not in self._state.users:
            raise ValueError(f"no user {user_id!r}; there are: {', '.join(self._state.users)}")
        return Person(self.page_url, user_id)

    def fail_next(
        self,
        method: str,
        status: int = 500,
        retry_after: int = 1,
        times: int = 1,
        error: str = "",
        applied: bool = False,
    ) -> None:
        """Make the next calls of a Web API method (or ``upload``, ``response_url``) fail.

        Args:
            method: e.g. ``chat.postMessage``.
            status: HTTP status; 429 carries Retry-After; 200 answers ``{"ok": false, "error": error}``.
            retry_after: seconds.
            times: how many calls.
            error: Slack's error name, when not the usual one of the status.
            applied: let the call take effect and lose only its answer.
        """
        self._faults.add(Fault(method, status, retry_after, error, applied), times)

    def drop_connections(self, reason: str | None = None) -> None:
        """Close the app's WebSockets, after a ``disconnect`` frame when a reason is given."""
        self._on_loop(self._sockets.drop(reason))

    def remove_bot(self, channel: str) -> None:
        """Take the bot out of a channel: it gets ``not_in_channel`` until it joins again."""

        async def remove() -> None:
            found = self._state.channel(channel)
            found.members = [member for member in found.members if member in self._state.users]
            self._state.on_change()

        self._on_loop(remove())

    def _run(self, listener: socket.socket, ready: threading.Event, failure: list[BaseException]) -> None:
        try:
            asyncio.run(self._serve(listener, ready))
        except BaseException as error:
            failure.append(error)
            raise
        finally:
            ready.set()
            listener.close()

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._live = Live()
        self._state.on_change = self._live.bump
        config = uvicorn.Config(
            self._application(),
            log_level="error",
            lifespan="off",
            ws="websockets-sansio",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not (self._server.started or serving.done()):
            await asyncio.sleep(0.005)
        ready.set()
        await serving

    def _application(self) -> Starlette:
        """Build the parts around the state that this object keeps."""
        payloads = Payloads(self._state, Addresses(self.origin), secrets.token_hex(12))
        transport = (
            HttpTransport(self._request_url, self.signing_secret, self._ack_timeout)
            if self._request_url
            else self._sockets
        )
        self._delivery = Delivery(transport, self._retry_schedule)

        def announce(event: Json) -> None:
            if event["type"] in self._events:
                self._delivery.announce(payloads.event(event))

        def on_closed(view: View, is_cleared: bool) -> None:
            self._delivery.spawn(interactions.closed(view, is_cleared))

        posting = Posting(self._state, payloads, announce)
        views = Views(self._state, on_closed)
        interactions = Interactions(
            self._state, payloads, posting, views, self._delivery, announce, self._triggers,
            self._response_urls,
        )  # fmt: skip
        files = FileMethods(self._state, payloads, posting)
        handlers = {
            **ChatMethods(self._state, payloads, posting).handlers(),
            **TeamMethods(self._state, payloads).handlers(),
            **files.handlers(),
            **ViewMethods(views, self._triggers, payloads, self._state.view).handlers(),
        }
        tokens = Tokens(self.bot_token, self.app_token)
        api = WebApi(handlers, tokens, self._new_socket_url, self._faults, self._api_log)
        urls = AppUrls(posting, files, self._response_urls, api, tokens)
        snapshot = Snapshot(self._state, payloads, self._live, self._offer, self._connected)
        person = PersonApi(self._state, interactions, posting, views, files, snapshot, self._live)
        return Starlette(
            routes=[
                *api.routes(),
                *urls.routes(),
                *person.routes(),
                WebSocketRoute("/link/", self._link),
            ],
            middleware=[Middleware(LocalOnly, port=self._port)],
        )

    async def _link(self, connection: WebSocket) -> None:
        """A Socket Mode connection, with a ticket from ``apps.connections.open``."""
        if not self._socket_tickets.redeem(connection.query_params.get("ticket", "")):
            await connection.close(code=1008)
            return
        self._live.bump()
        try:
            await self._sockets.serve(connection)
        finally:
            self._live.bump()

    def _new_socket_url(self) -> str:
        if self._request_url:
            raise SlackError("not_allowed", ["this workspace delivers over HTTP to its request_url"])
        return socket_url(self.origin, self._socket_tickets)

    def _connected(self) -> int | None:
        return None if self._request_url else self._sockets.connections

    async def _close(self) -> None:
        self._live.close()
        await self._sockets.drop(None)
        await self._delivery.close()

    def _on_loop(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something on the server's thread and wait for it."""
        if self._server is None:
            work.close()
            raise RuntimeError("the embedded workspace is not running")
        asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS)
