"""The app's side over HTTP: ``/api/<method>``, response URLs, uploads and private files."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from .errors import SlackError
from .faults import ApiCall, Fault, Faults
from .file_methods import FileMethods
from .model import Json
from .params import Params
from .posting import Posting
from .security import file_response
from .tickets import ResponseUrls, SocketTickets

Handler = Callable[[Params], Json]
USUAL_ERRORS = {429: "ratelimited", 500: "internal_error", 503: "service_unavailable"}


@dataclass(frozen=True, slots=True)
class Tokens:
    """The app's bot token (xoxb) and app-level token (xapp)."""

    bot: str
    app: str


class WebApi:
    """Checks the token, finds the method, and answers as Slack does: HTTP 200 and ``ok``."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        tokens: Tokens,
        open_socket: Callable[[], str],
        faults: Faults,
        log: list[ApiCall],
    ) -> None:
        self._handlers = handlers
        self._tokens = tokens
        self._open_socket = open_socket
        self.faults = faults
        self.log = log

    def routes(self) -> list[Route]:
        return [Route("/api/{method}", self.call, methods=["GET", "POST"])]

    async def call(self, request: Request) -> Response:
        method = request.path_params["method"]
        fault = self.faults.take(method)
        params = Params({})
        try:
            params = await Params.read(request)
            if fault is not None and not fault.applied:
                return self._fail(method, params, fault)
            answer = self._dispatch(method, params, _token(request, params))
        except SlackError as error:
            self._record(method, params, error.code)
            return JSONResponse(_refusal(error))
        if fault is not None:
            return self._fail(method, params, fault)
        self._record(method, params, None)
        return JSONResponse({"ok": True, **answer})

    def _dispatch(self, method: str, params: Params, token: str | None) -> Json:
        if not token:
            raise SlackError("not_authed")
        is_bot, is_app = _same(token, self._tokens.bot), _same(token, self._tokens.app)
        if not (is_bot or is_app):
            raise SlackError("invalid_auth")
        if method == "apps.connections.open":
            if not is_app:
                raise SlackError("not_allowed_token_type")
            return {"url": self._open_socket()}
        if method not in self._handlers:
            raise SlackError("unknown_method", [f"the embedded workspace does not know {method}"])
        # auth.test answers for any valid token.
        if not is_bot and method != "auth.test":
            raise SlackError("not_allowed_token_type")
        return self._handlers[method](params)

    def _fail(self, method: str, params: Params, fault: Fault) -> Response:
        self._record(method, params, fault.error)
        return fault_response(fault)

    def _record(self, method: str, params: Params, error: str | None) -> None:
        shown = {name: value for name, value in params.values.items() if name != "token"}
        self.log.append(ApiCall(method, shown, error, time.time()))


class AppUrls:
    """URLs that the app was given: response URLs, upload URLs, and private files."""

    def __init__(
        self,
        posting: Posting,
        files: FileMethods,
        response_urls: ResponseUrls,
        api: WebApi,
        tokens: Tokens,
    ) -> None:
        self._posting = posting
        self._files = files
        self._response_urls = response_urls
        self._api = api
        self._tokens = tokens

    def routes(self) -> list[Route]:
        return [
            Route("/commands/{team}/{token}", self.respond, methods=["POST"]),
            Route("/upload/v1/{token}", self.upload, methods=["POST", "PUT"]),
            Route("/files-pri/{reference}/{name}", self.download),
        ]

    async def respond(self, request: Request) -> Response:
        """Take an app's answer to an interaction, at most five times within half an hour."""
        if (fault := self._api.faults.take("response_url")) is not None:
            return fault_response(fault)
        try:
            payload = json.loads(await request.body())
        except ValueError:
            return PlainTextResponse("invalid_payload", 400)
        if not isinstance(payload, dict):
            return PlainTextResponse("invalid_payload", 400)
        call = Params({name: value for name, value in payload.items() if name != "token"})
        try:
            self._posting.respond(self._response_urls.use(request.path_params["token"]), payload)
        except SlackError as error:
            self._api.log.append(ApiCall("response_url", call.values, error.code, time.time()))
            return JSONResponse(_refusal(error), 404 if error.code in ("used_url", "expired_url") else 400)
        self._api.log.append(ApiCall("response_url", call.values, None, time.time()))
        return PlainTextResponse("ok")

    async def upload(self, request: Request) -> Response:
        if (fault := self._api.faults.take("upload")) is not None:
            return fault_response(fault)
        content = await _uploaded_bytes(request)
        try:
            self._files.receive(request.path_params["token"], content)
        except SlackError as error:
            return PlainTextResponse(error.code, 404)
        return PlainTextResponse(f"OK - {len(content)}")

    async def download(self, request: Request) -> Response:
        """A private file: for the bot's token, or for the page (same origin, or opened by hand)."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        from_page = request.headers.get("sec-fetch-site") in ("same-origin", "none")
        if not from_page and not _same(token, self._tokens.bot):
            return PlainTextResponse("a bot token is needed\n", 403)
        try:
            file = self._files.completed(request.path_params["reference"].partition("-")[2])
        except SlackError:
            return PlainTextResponse("file_not_found\n", 404)
        download = "download" in request.query_params
        return file_response(file.content or b"", file.mimetype, file.name, download)


def fault_response(fault: Fault) -> Response:
    """The answer of a fault."""
    error = fault.error or USUAL_ERRORS.get(fault.status, "fatal_error")
    headers = {"Retry-After": str(fault.retry_after)} if fault.status == 429 else {}
    return JSONResponse({"ok": False, "error": error}, fault.status, headers)


def socket_url(origin: str, tickets: SocketTickets) -> str:
    """A WebSocket address that can be used once."""
    return f"{origin.replace('http', 'ws', 1)}/link/?ticket={tickets.issue()}"


def _same(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode(), secret.encode())


def _token(request: Request, params: Params) -> str | None:
    header = request.headers.get("authorization", "")
    return header.removeprefix("Bearer ").strip() or params.text("token")


def _refusal(error: SlackError) -> Json:
    answer: Json = {"ok": False, "error": error.code}
    if error.messages:
        answer["response_metadata"] = {"messages": list(error.messages)}
    return answer


async def _uploaded_bytes(request: Request) -> bytes:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await request.body()
    async with request.form() as form:
        for value in form.values():
            if not isinstance(value, str):
                return await value.read()
    return b""
