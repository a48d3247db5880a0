"""Keeps other web sites out of a server on 127.0.0.1.

A page on the internet can make the reader's browser call local addresses (CSRF), and can point its own
name at 127.0.0.1 (DNS rebinding). Against the first stand the Origin, Sec-Fetch-Site and a header that
no foreign page may send; against the second the Host.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

PERSON_HEADER = "x-workspace-person"

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def foreign(headers: Headers, port: int) -> str | None:
    """Why a request does not come from this machine's own page or programs; None when it does."""
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
    # slack_sdk's WebSocket client sends its Host without a port.
    if headers.get("host", "") not in hosts | {"127.0.0.1", "localhost"}:
        return "unexpected Host"
    origin = headers.get("origin")
    if origin is not None and origin.removeprefix("http://") not in hosts:
        return "unexpected Origin"
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "cross-site request"
    return None


class LocalOnly:
    """Middleware: answers 403 to every foreign HTTP request and refuses foreign WebSockets."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = foreign(Headers(scope=scope), self._port)
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(code=1008)
        else:
            await PlainTextResponse(f"refused: {reason}\n", 403)(scope, receive, send)


def file_response(content: bytes, mimetype: str, name: str, download: bool) -> Response:
    """A stored file: shown in place only when it is a bitmap image, otherwise saved."""
    inline = mimetype in ("image/png", "image/jpeg", "image/gif", "image/webp") and not download
    ascii_name = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in name)
    headers = {
        **PAGE_HEADERS,
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": f'{"inline" if inline else "attachment"}; filename="{ascii_name}"',
    }
    return Response(content, media_type=mimetype if inline else "application/octet-stream", headers=headers)
