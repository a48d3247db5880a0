"""How Slack reaches the bot: Socket Mode, or HTTP with the signature checked by Bolt."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from slack_bolt import App
from slack_bolt.adapter.socket_mode.internals import run_bolt_app, send_response
from slack_sdk import WebClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

# The websocket-client variant notices a closed connection at once; the builtin one takes up to a minute.
from slack_sdk.socket_mode.websocket_client import SocketModeClient

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)

PING, PONG = 5.0, 2.0  # seconds between two pings, and until the answer to one is missed


class QuickClient(SocketModeClient):
    """slack_sdk's client, which would go on listening to a connection that it has replaced for up to 10 s.

    Slack has connections replaced every few hours; all clicks in those seconds would fail. With a time limit
    for the answer to a ping the old one is left within that limit, and one that is dead without a word is
    noticed too.
    """

    def _run_current_session(self) -> None:
        session = self.current_session
        if session is None:
            return
        try:
            session.run_forever(ping_interval=self.ping_interval, ping_timeout=PONG)
        except Exception:  # its thread must live on, to run the next session
            log.exception("the connection to Slack broke off")
            session.close()


class SocketConnection:
    """Socket Mode. The first connection is tried until it holds; later ones are the client's own business."""

    def __init__(self, app: App, app_token: str, api_url: str) -> None:
        web = WebClient(token=app_token, base_url=api_url, timeout=15)
        self._app = app
        self._client = QuickClient(app_token, logger=app.logger, web_client=web, ping_interval=PING)
        self._client.socket_mode_request_listeners.append(self._handle)
        self._client.message_listeners.append(self._hear)
        self.connected = threading.Event()

    def _handle(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        begun = time.time()
        send_response(client, request, run_bolt_app(self._app, request), begun)

    def _hear(self, client: object, message: dict[str, Any], raw: str | None = None) -> None:
        """Slack says hello once it can reach the bot; a socket may be open before that."""
        if message.get("type") == "hello":
            self.connected.set()

    def start(self, stop: threading.Event) -> None:
        """Connect, with growing pauses between attempts."""
        pause = 1.0
        while not stop.is_set():
            try:
                self._client.connect()
            except Exception as error:  # noqa: BLE001  the network or Slack is away: say so and try again
                log.warning("no connection to Slack (%s); trying again in %.0f s", error, pause)
                stop.wait(pause)
                pause = min(pause * 2, 60.0)
            else:
                return  # the socket opens now; from here on the client reconnects by itself

    def stop(self) -> None:
        """Close for good. The client's own close may wait for its next ping, so nobody waits for it."""
        self._client.auto_reconnect_enabled = False
        self._client.disconnect()
        threading.Thread(target=self._client.close, daemon=True).start()


class HttpConnection:
    """An HTTP server for Slack's requests under /slack/events, with /healthz for a load balancer."""

    def __init__(self, app: App, host: str, port: int) -> None:
        import uvicorn
        from starlette.applications import Starlette
        from starlette.routing import Route

        self._app = app
        self.connected = threading.Event()
        self._socket = socket.create_server((host, port))
        self.port = int(self._socket.getsockname()[1])
        routes = [
            Route("/slack/events", self._events, methods=["POST"]),
            Route("/healthz", self._health),
        ]
        server = uvicorn.Config(Starlette(routes=routes), log_level="warning", lifespan="off")
        self._server = uvicorn.Server(server)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="http", daemon=True
        )

    async def _events(self, request: Request) -> Response:
        from slack_bolt.adapter.starlette.handler import to_bolt_request, to_starlette_response
        from starlette.concurrency import run_in_threadpool

        body = await request.body()
        answer: Any = await run_in_threadpool(self._app.dispatch, to_bolt_request(request, body))
        return to_starlette_response(answer)

    async def _health(self, request: Request) -> Response:
        from starlette.responses import PlainTextResponse

        return PlainTextResponse("ok")

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()
        self.connected.set()  # the socket listens already: requests wait in it until the server takes them
        log.info("listening for Slack on port %s", self.port)

    def stop(self) -> None:
        """End the server."""
        self._server.should_exit = True
        self._thread.join(timeout=10)
