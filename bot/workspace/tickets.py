"""Short-lived permissions: trigger ids (3 s, once), response URLs (30 min, 5 times), socket tickets."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import SlackError

TRIGGER_SECONDS = 3.0
RESPONSE_URL_SECONDS = 30 * 60.0
RESPONSE_URL_USES = 5
SOCKET_SECONDS = 30.0

Clock = Callable[[], float]


@dataclass(slots=True)
class Trigger:
    user: str
    born: float
    used: bool = False


class Triggers:
    """Trigger ids let an app open one modal in answer to one interaction."""

    def __init__(self, clock: Clock = time.monotonic, lifetime: float = TRIGGER_SECONDS) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._issued: dict[str, Trigger] = {}

    def issue(self, user: str) -> str:
        trigger_id = (
            f"{secrets.randbelow(10**13):013d}.{secrets.randbelow(10**12):012d}.{secrets.token_hex(16)}"
        )
        self._issued[trigger_id] = Trigger(user, self._clock())
        return trigger_id

    def exchange(self, trigger_id: str) -> str:
        """The user behind a trigger id, which is used up by this.

        Raises:
            SlackError: ``invalid_trigger_id``, ``exchanged_trigger_id`` or ``expired_trigger_id``.
        """
        trigger = self._issued.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if self._clock() - trigger.born > self._lifetime:
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger.user


@dataclass(slots=True)
class ResponseUrl:
    """What a response URL may answer: a command, or an interaction on one message."""

    user: str
    channel: str
    message_ts: str | None
    thread_ts: str | None
    born: float
    uses: int = 0


class ResponseUrls:
    """Response URLs let an app answer an interaction without being in the channel."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._issued: dict[str, ResponseUrl] = {}

    def issue(
        self, user: str, channel: str, message_ts: str | None = None, thread_ts: str | None = None
    ) -> str:
        token = secrets.token_urlsafe(24)
        self._issued[token] = ResponseUrl(user, channel, message_ts, thread_ts, self._clock())
        return token

    def use(self, token: str) -> ResponseUrl:
        """Count one use.

        Raises:
            SlackError: ``no_team`` for an unknown URL, ``used_url`` after five uses or half an hour.
        """
        url = self._issued.get(token)
        if url is None:
            raise SlackError("no_team")
        if url.uses >= RESPONSE_URL_USES:
            raise SlackError("used_url")
        if self._clock() - url.born > RESPONSE_URL_SECONDS:
            raise SlackError("expired_url")
        url.uses += 1
        return url


class SocketTickets:
    """Single-use tickets that ``apps.connections.open`` hands out for a WebSocket."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._issued: dict[str, float] = {}

    def issue(self) -> str:
        ticket = secrets.token_urlsafe(18)
        self._issued[ticket] = self._clock()
        return ticket

    def redeem(self, ticket: str) -> bool:
        born = self._issued.pop(ticket, None)
        return born is not None and self._clock() - born <= SOCKET_SECONDS
