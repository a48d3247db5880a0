"""A relay in front of an MLflow server that holds one chosen request, or its answer."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

PATIENCE = 120.0  # seconds
_HOP = {"connection", "transfer-encoding", "keep-alive", "host", "content-length"}
Chooses = Callable[[str, str, bytes], bool]  # method, path, body


@dataclass
class Hold:
    """One request that waits: `reached` when it has come, until `release`."""

    chooses: Chooses
    when: Literal["before", "after"]
    reached: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)
    _cut: bool = False

    def release(self, *, cut: bool = False) -> None:
        """Let it go on; with `cut` its sender gets no answer."""
        self._cut = cut
        self._released.set()

    def pause(self) -> bool:
        """Wait; whether the connection is to be cut."""
        self.reached.set()
        self._released.wait(PATIENCE)
        return self._cut


class Relay:
    """Listens on a free port of 127.0.0.1 and passes everything on to `port`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._hold: Hold | None = None
        self._lock = threading.Lock()

        class Handler(_Handler):
            relay = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="relay", daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def hold(self, chooses: Chooses, when: Literal["before", "after"]) -> Hold:
        """Hold the next request that is chosen, once."""
        self._hold = Hold(chooses, when)
        return self._hold

    def taken(self, method: str, path: str, body: bytes) -> Hold | None:
        with self._lock:
            hold = self._hold
            if hold is None or not hold.chooses(method, path, body):
                return None
            self._hold = None
            return hold

    def close(self) -> None:
        if self._hold is not None:
            self._hold.release(cut=True)
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    relay: Relay

    def _pass_on(self) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hold = self.relay.taken(self.command, self.path, body)
        if hold is not None and hold.when == "before" and hold.pause():
            return
        try:
            status, headers, content = self._ask(body)
        except (OSError, http.client.HTTPException):
            return  # the server is gone: so is this connection
        if hold is not None and hold.when == "after" and hold.pause():
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        server = http.client.HTTPConnection("127.0.0.1", self.relay.port, timeout=PATIENCE)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            server.request(self.command, self.path, body or None, headers)
            answer = server.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            server.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815  http.server's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""
