"""A proxy in front of a Slack that makes chosen Web API calls fail, the same way for every emulator.

``WebClient(base_url=proxy.api_url)`` sends its calls through the proxy. Addresses that the emulator itself
hands out (Socket Mode, uploads, response_url) lead past it.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal

ANSWER_SECONDS = 30.0
_HOP_HEADERS = {
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "accept-encoding",
}  # RFC 9110, 7.6.1


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure to come.

    Attributes:
        kind: "status" answers with an HTTP error, "hang" is silent for a while and then closes the
            connection, "drop" closes it at once.
        status: HTTP status of the kind "status".
        retry_after: seconds in the Retry-After header of a 429.
        seconds: how long the kind "hang" is silent.
        applied: the call reaches Slack and only its answer is lost.
    """

    kind: Literal["status", "hang", "drop"]
    status: int = 0
    retry_after: int = 1
    seconds: float = 0.0
    applied: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A call that came by: Web API method, status that the app saw (0: none), whether Slack got it."""

    method: str
    status: int
    forwarded: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class FaultProxy:
    """Forwards ``/api/*`` to a Slack, except where a fault was ordered. Listens on 127.0.0.1, on a free port.

    Args:
        target_url: the Slack's ``api_url``, e.g. ``http://127.0.0.1:4801/api/``.
    """

    def __init__(self, target_url: str) -> None:
        self._target = target_url.rstrip("/")
        self._faults: dict[str, deque[Fault]] = {}
        self._calls: list[Call] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()

        class Handler(_Handler):
            proxy = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="fault-proxy", daemon=True)

    def start(self) -> FaultProxy:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port; calls that hang are let go."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> FaultProxy:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def api_url(self) -> str:
        """The ``base_url`` for ``slack_sdk.WebClient``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/"

    @property
    def calls(self) -> list[Call]:
        """A copy of what came by so far, oldest first."""
        with self._lock:
            return list(self._calls)

    def fail_next(
        self, method: str, status: int = 500, retry_after: int = 1, times: int = 1, applied: bool = False
    ) -> None:
        """Answer the next calls of a method, e.g. ``chat.postMessage``, with an HTTP error."""
        self._order(method, Fault("status", status=status, retry_after=retry_after, applied=applied), times)

    def hang_next(self, method: str, seconds: float, times: int = 1, applied: bool = False) -> None:
        """Say nothing for ``seconds`` and then close the connection: the caller's time-out comes first."""
        self._order(method, Fault("hang", seconds=seconds, applied=applied), times)

    def drop_next(self, method: str, times: int = 1, applied: bool = False) -> None:
        """Close the connection of the next calls without an answer."""
        self._order(method, Fault("drop", applied=applied), times)

    def _order(self, method: str, fault: Fault, times: int) -> None:
        with self._lock:
            self._faults.setdefault(method, deque()).extend([fault] * times)

    def answer(self, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer | None:
        """Status, headers and body for a call, or None when it gets no answer."""
        method = path.partition("?")[0].removeprefix("/api/")
        with self._lock:
            waiting = self._faults.get(method)
            fault = waiting.popleft() if waiting else None
        forwarded = self._forward(path, headers, body) if fault is None or fault.applied else None
        answer = forwarded if fault is None else self._fail(fault)
        with self._lock:
            self._calls.append(Call(method, answer.status if answer else 0, forwarded is not None))
        return answer

    def _fail(self, fault: Fault) -> Answer | None:
        if fault.kind != "status":
            self._ended.wait(fault.seconds)
            return None
        limited = fault.status == 429
        headers = {"Content-Type": "application/json"} | (
            {"Retry-After": str(fault.retry_after)} if limited else {}
        )
        error = "ratelimited" if limited else "internal_error"
        return Answer(fault.status, headers, json.dumps({"ok": False, "error": error}).encode())

    def _forward(self, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer | None:
        """Slack's answer; None when it is away, so that the caller's connection is closed too."""
        kept = {name: value for name, value in headers.items() if name.lower() not in _HOP_HEADERS}
        request = urllib.request.Request(self._target + path.removeprefix("/api"), body, kept)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as refused:
            return Answer(refused.code, dict(refused.headers), refused.read())
        except urllib.error.URLError:
            return None


class _Handler(BaseHTTPRequestHandler):
    """Reads one request, asks the proxy, writes its answer."""

    proxy: FaultProxy

    def do_GET(self) -> None:
        self._handle(None)

    def do_POST(self) -> None:
        self._handle(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _handle(self, body: bytes | None) -> None:
        self.close_connection = True
        if not self.path.startswith("/api/"):
            self.send_error(404)
            return
        answer = self.proxy.answer(self.path, dict(self.headers.items()), body)
        if answer is None:
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_HEADERS | {"date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet; ``FaultProxy.calls`` tells."""
