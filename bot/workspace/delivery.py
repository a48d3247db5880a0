"""Brings payloads to the app, each to exactly one connection, and waits for its acknowledgement.

Two transports: Socket Mode (one of the open WebSockets, in turn) and HTTP (a signed POST). Events are
tried again when nobody acknowledges them; commands and interactions are not, as in Slack: there the
person is told that the app did not respond.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
import json
import time
import urllib.parse
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from uuid import uuid4

from starlette.websockets import WebSocket, WebSocketDisconnect

from .model import APP_ID, Json

Kind = Literal["slash_commands", "events_api", "interactive"]


@dataclass(frozen=True, slots=True)
class Ack:
    """The app's answer; ``payload`` is empty when it only acknowledged."""

    payload: Json


@dataclass(frozen=True, slots=True)
class Unacknowledged:
    """Why there was no answer: ``no_connection``, ``timeout``, ``connection_closed`` or ``http_error``."""

    reason: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """One delivery attempt."""

    id: str
    kind: Kind
    payload: Json
    attempt: int = 0
    reason: str = ""


class Transport(Protocol):
    """A way to the app."""

    async def send(self, envelope: Envelope) -> Ack | Unacknowledged: ...


class SocketTransport:
    """Socket Mode: the app's open connections take turns."""

    def __init__(self, ack_timeout: float) -> None:
        self._ack_timeout = ack_timeout
        self._connections: list[WebSocket] = []
        self._turn = 0
        self._waiting: dict[str, tuple[WebSocket, asyncio.Future[Ack | Unacknowledged]]] = {}

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def serve(self, socket: WebSocket) -> None:
        """Say hello on a fresh connection, then hand its acknowledgements to whoever waits for them."""
        await socket.accept()
        self._connections.append(socket)
        try:
            await socket.send_json(
                {
                    "type": "hello",
                    "num_connections": self.connections,
                    "connection_info": {"app_id": APP_ID},
                    "debug_info": {
                        "host": "embedded-workspace",
                        "build_number": 1,
                        "approximate_connection_time": 18060,
                    },
                }
            )
            while True:
                self._receive(await socket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            self._forget(socket)

    def _receive(self, text: str) -> None:
        try:
            frame = json.loads(text)
        except ValueError:
            return  # a keep-alive or garbage: Slack ignores what is not an acknowledgement
        waiting = self._waiting.get(frame.get("envelope_id", "")) if isinstance(frame, dict) else None
        if waiting is not None and not waiting[1].done():
            payload = frame.get("payload")
            waiting[1].set_result(Ack(payload if isinstance(payload, dict) else {}))

    def _forget(self, socket: WebSocket) -> None:
        if socket in self._connections:
            self._connections.remove(socket)
        for owner, future in self._waiting.values():
            if owner is socket and not future.done():
                future.set_result(Unacknowledged("connection_closed"))

    async def send(self, envelope: Envelope) -> Ack | Unacknowledged:
        if not self._connections:
            return Unacknowledged("no_connection")
        self._turn = (self._turn + 1) % len(self._connections)
        socket = self._connections[self._turn]
        future: asyncio.Future[Ack | Unacknowledged] = asyncio.get_running_loop().create_future()
        self._waiting[envelope.id] = (socket, future)
        frame: Json = {
            "envelope_id": envelope.id,
            "type": envelope.kind,
            "payload": envelope.payload,
            "accepts_response_payload": envelope.kind != "events_api",
        }
        if envelope.kind == "events_api":
            frame |= {"retry_attempt": envelope.attempt, "retry_reason": envelope.reason}
        try:
            await socket.send_json(frame)
            return await asyncio.wait_for(future, self._ack_timeout)
        except TimeoutError:
            return Unacknowledged("timeout")
        except (WebSocketDisconnect, RuntimeError):  # starlette's word for a socket that closed meanwhile
            self._forget(socket)
            return Unacknowledged("connection_closed")
        finally:
            del self._waiting[envelope.id]

    async def drop(self, reason: str | None) -> None:
        """Close every connection, after a ``disconnect`` frame when a reason is given."""
        for socket in list(self._connections):
            self._forget(socket)
            try:
                if reason is not None:
                    await socket.send_json({"type": "disconnect", "reason": reason})
                await socket.close(code=1001)
            except (WebSocketDisconnect, RuntimeError):
                continue  # it had gone by itself


class HttpTransport:
    """HTTP mode: one POST per payload, signed with the signing secret (version v0)."""

    def __init__(self, request_url: str, signing_secret: str, ack_timeout: float) -> None:
        self._url = request_url
        self._secret = signing_secret
        self._ack_timeout = ack_timeout

    async def send(self, envelope: Envelope) -> Ack | Unacknowledged:
        return await asyncio.to_thread(self._post, envelope)

    def _post(self, envelope: Envelope) -> Ack | Unacknowledged:
        content_type, body = _http_body(envelope)
        headers = {"Content-Type": content_type, **sign(self._secret, body, int(time.time()))}
        if envelope.attempt:
            headers |= {"X-Slack-Retry-Num": str(envelope.attempt), "X-Slack-Retry-Reason": envelope.reason}
        try:
            status, kind, answer = post(self._url, body, headers, self._ack_timeout)
        except TimeoutError:
            return Unacknowledged("http_timeout")
        except (OSError, http.client.HTTPException):
            return Unacknowledged("connection_failed")
        if status != 200:
            return Unacknowledged("http_error")
        try:
            return Ack(_http_answer(answer, kind))
        except ValueError:
            return Unacknowledged("invalid_answer")


def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> tuple[int, str, bytes]:
    """POST without a proxy. Returns status, content type and body."""
    parts = urllib.parse.urlsplit(url)
    secure = parts.scheme == "https"
    connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("POST", parts.path or "/", body, headers)
        response = connection.getresponse()
        return response.status, response.headers.get_content_type(), response.read()
    finally:
        connection.close()


def sign(secret: str, body: bytes, timestamp: int) -> dict[str, str]:
    """Slack's request signature: HMAC-SHA256 of ``v0:timestamp:body``."""
    digest = hmac.new(secret.encode(), b"v0:%d:" % timestamp + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(timestamp), "X-Slack-Signature": f"v0={digest}"}


def _http_body(envelope: Envelope) -> tuple[str, bytes]:
    if envelope.kind == "events_api":
        return "application/json", json.dumps(envelope.payload).encode()
    form = (
        envelope.payload if envelope.kind == "slash_commands" else {"payload": json.dumps(envelope.payload)}
    )
    return "application/x-www-form-urlencoded", urllib.parse.urlencode(form).encode()


def _http_answer(body: bytes, content_type: str) -> Json:
    if not body:
        return {}
    if content_type == "application/json":
        answer = json.loads(body)
        return answer if isinstance(answer, dict) else {}
    return {"text": body.decode(errors="replace")}


class Delivery:
    """Sends payloads, keeps at events until they are acknowledged or the schedule ends."""

    def __init__(self, transport: Transport, retry_schedule: Sequence[float]) -> None:
        self._transport = transport
        self._retry_schedule = tuple(retry_schedule)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def ask(self, kind: Kind, payload: Json) -> Ack | Unacknowledged:
        """Deliver a command or an interaction, once."""
        return await self._transport.send(Envelope(str(uuid4()), kind, payload))

    def announce(self, payload: Json) -> None:
        """Deliver an event in the background, with retries."""
        self.spawn(self._announce(payload))

    async def _announce(self, payload: Json) -> None:
        reason = ""
        for attempt, delay in enumerate((0.0, *self._retry_schedule)):
            await asyncio.sleep(delay)
            envelope = Envelope(str(uuid4()), "events_api", payload, attempt, reason)
            answer = await self._transport.send(envelope)
            if isinstance(answer, Ack):
                return
            reason = answer.reason

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something in the background until it ends or the server stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
