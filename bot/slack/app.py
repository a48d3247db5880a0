"""The Bolt app with all its listeners."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from slack_bolt import App
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry import HttpRequest, HttpResponse, RetryHandler, RetryState
from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)

from bot import status
from bot.slack import actions, commands
from bot.slack.home import home_view
from bot.slack.services import Services

log = logging.getLogger(__name__)


# Repeated at once, these would be said twice if only Slack's answer was lost: the outbox looks before it repeats.
SPEAKING = ("/chat.postMessage", "/files.completeUploadExternal")
BAD_TOKEN = (
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "token_revoked",
    "token_expired",
    "not_allowed_token_type",
)


class TokenRefused(Exception):
    """Slack does not take the bot token; the text says what to do."""


class _Unsaid(RetryHandler):
    """Another handler, kept away from the calls that say something."""

    def __init__(self, handler: RetryHandler) -> None:
        super().__init__(handler.max_retry_count, handler.interval_calculator)
        self._handler = handler

    def _can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        if request.url.endswith(SPEAKING):
            return False
        return self._handler.can_retry(state=state, request=request, response=response, error=error)


def web_client(token: str, base_url: str) -> WebClient:
    """A client that waits when told to, and tries once more after an error where nothing can be said twice."""
    handlers = [
        RateLimitErrorRetryHandler(),
        _Unsaid(ConnectionErrorRetryHandler()),
        _Unsaid(ServerErrorRetryHandler()),
    ]
    return WebClient(token=token, base_url=base_url, timeout=15, retry_handlers=handlers)


def check_token(client: WebClient) -> None:
    """TokenRefused where Slack says so. A Slack that is away or ill is no reason not to start."""
    _asked(client.auth_test, "SLACK_BOT_TOKEN", "OAuth & Permissions")


def check_app_token(web: WebClient, app_token: str) -> None:
    """The same for the app-level token of Socket Mode."""
    _asked(
        lambda: web.apps_connections_open(app_token=app_token),
        "SLACK_APP_TOKEN",
        "Basic Information, App-Level Tokens (it needs connections:write)",
    )


def _asked(question: Callable[[], object], variable: str, where: str) -> None:
    try:
        question()
    except SlackApiError as error:
        code = str(error.response.get("error", "unknown"))
        if code in BAD_TOKEN:
            raise TokenRefused(
                f"Slack does not take {variable} ({code}): copy it anew from {where}"
            ) from error
        log.warning("Slack could not check %s (%s); going on", variable, code)
    except OSError as error:
        log.warning("Slack is not to be reached (%s); going on until it is", error)


def build(client: WebClient, signing_secret: str, services: Services) -> App:
    """A Bolt app whose listeners call the use cases. Slack need not be there yet: see `check_token`."""
    app = App(
        client=client,
        signing_secret=signing_secret,
        raise_error_for_unhandled_request=False,
        token_verification_enabled=False,
    )
    commands.register(app, services)
    actions.register(app, services)

    @app.event("app_home_opened")
    def home(event: dict[str, Any], client: WebClient) -> None:
        if event.get("tab", "home") != "home":
            return
        config, store = services.config, services.store
        read = [status.read(model, store, services.now()) for model in config.models]
        view = home_view(read, store.incidents(None, 10), config.slack.command)
        client.views_publish(user_id=event["user"], view=view)

    @app.error
    def unknown(error: Exception, body: dict[str, Any]) -> None:
        log.error("a listener failed on %s", body.get("type") or body.get("command"), exc_info=error)

    return app
