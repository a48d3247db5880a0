"""The outbox is emptied into Slack: in order within a thread, at least once, and never twice on purpose.

What is said is rendered when it is sent, so an edit always shows the newest state.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.slack.blocks import Message
from bot.slack.rendering import NotYetError, Post, Renderer, UnsayableError
from state.records import OutboxItem
from state.store import Store

log = logging.getLogger(__name__)

EVENT_TYPE = "driftcatcher_outbox"
GIVE_UP_AFTER = 50  # attempts; with the longest pause of 30 minutes that is about a day
# Slack does not take what we say, or we cannot say it: the same again is refused again, and others wait behind it.
OUR_FAULT = 8  # attempts, some minutes
CONTENT = ("invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long", "no_text",
           "invalid_arguments", "invalid_metadata_format")  # fmt: skip
HELP = {
    "channel_not_found": "the channel does not exist or the bot cannot see it: check `channel` and invite the bot",
    "not_in_channel": "the bot is not in the channel: invite it with /invite @DriftCatcher",
    "is_archived": "the channel is archived: name another one in the configuration",
    "invalid_auth": "Slack does not take the bot token: check SLACK_BOT_TOKEN",
    "missing_scope": "the app lacks a scope: install it again with the manifest of `driftcatcher manifest`",
}
# Slack cannot say at the moment: what is asked is asked again later, and nothing is concluded from it.
PASSING = ("ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout")
PICTURES_TRIED = 5  # attempts; a host that takes no uploads must not hold up the thread for long
SKEW = timedelta(seconds=60)  # by which our clock and Slack's may differ


def _code(error: SlackApiError) -> str:
    return str(error.response.get("error", "unknown"))


def _passing(error: Exception) -> bool:
    """Whether the same may succeed later; what is no answer of Slack's (no route, a failed upload) may."""
    if not isinstance(error, SlackApiError):
        return True
    return error.response.status_code != 200 or _code(error) in PASSING


def pause(attempts: int) -> timedelta:
    """Before the next attempt: 2 s doubling up to 30 minutes."""
    return timedelta(seconds=min(2.0 ** min(attempts + 1, 11), 1800.0))


@dataclass(slots=True)
class Delivery:
    """Delivers the outbox. `run` loops in a thread of its own; `flush` empties what is due once."""

    store: Store
    client: WebClient
    renderer: Renderer
    now: Callable[[], datetime]
    _wake: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _refusals: dict[int, int] = field(default_factory=dict)  # of each item, since this process runs

    def wake(self) -> None:
        """There is something new: do not wait for the next look."""
        self._wake.set()

    def stop(self) -> None:
        """End `run` after the item in hand."""
        self._stop.set()
        self._wake.set()

    def run(self) -> None:
        """Look every second, since the command line may have put something there too."""
        while not self._stop.is_set():
            try:
                self.flush()
            except Exception:
                log.exception("the outbox could not be read; trying again")
            self._wake.wait(1.0)
            self._wake.clear()

    def flush(self) -> int:
        """Deliver everything that is due; returns how many were delivered."""
        delivered = 0
        while not self._stop.is_set():
            due = self.store.due(self.now(), 20)
            fine = [self._try(item) for item in due]
            delivered += sum(fine)
            if not any(fine):
                return delivered
        return delivered

    def _try(self, item: OutboxItem) -> bool:
        try:
            self._deliver(item)
        except SlackApiError as error:
            self._refused(item, error)
        except NotYetError as error:  # its message was given up: it is tried anew, and the thread waits
            now = self.now()
            self.store.enqueue("incident", f"{item.key}:first:{now.timestamp()}", {}, item.incident_id, now)
            self.store.retry_later(item.id, now + pause(item.attempts), str(error))
        except UnsayableError as error:
            log.error("%s cannot be said: %s", item.key, error)
            self.store.give_up(item.id, str(error), self.now())
        except OSError as error:  # urllib's errors and time-outs are OSErrors
            log.warning("Slack is not to be reached (%s); %s waits", error, item.key)
            self.store.retry_later(item.id, self.now() + pause(item.attempts), str(error))
        except Exception as error:
            log.exception("%s could not be rendered or sent", item.key)
            self._again(item, f"{type(error).__name__}: {error}", OUR_FAULT)
        else:
            self.store.delivered(item.id, self.now())
            self._refusals.pop(item.id, None)
            return True
        return False

    def _refused(self, item: OutboxItem, error: SlackApiError) -> None:
        code = _code(error)
        if code == "ratelimited" or error.response.status_code == 429:
            seconds = int(error.response.headers.get("Retry-After", 5) or 5)
            self.store.retry_later(item.id, self.now() + timedelta(seconds=seconds), code)
            return
        if _passing(error):
            log.warning("Slack cannot take %s now (%s)", item.key, code)
            self.store.retry_later(item.id, self.now() + pause(item.attempts), code)
            return
        log.error("Slack refused %s: %s", item.key, HELP.get(code, code))
        self._again(item, code, OUR_FAULT if code in CONTENT else GIVE_UP_AFTER)

    def _again(self, item: OutboxItem, why: str, attempts: int) -> None:
        """Once more later; the attempts of an outage before it do not count against it."""
        refused = self._refusals.get(item.id, 0) + 1
        self._refusals[item.id] = refused
        if refused >= attempts:
            self.store.give_up(item.id, why, self.now())
        else:
            self.store.retry_later(item.id, self.now() + pause(item.attempts), why)

    def _deliver(self, item: OutboxItem) -> None:
        unsure = item.started  # an attempt that was cut off may have reached Slack
        item = self.store.mark_started(item.id, self.now())  # from here on an edit is an item of its own
        for number, post in enumerate(self.renderer.posts(item)):
            key = f"{item.key}#{number}"
            found = self._already_there(item, post, key) if unsure and post.edit_ts is None else None
            if found is None:
                self._send(item, post, key)
            elif not post.files:
                self.renderer.sent(item, *found)

    def _send(self, item: OutboxItem, post: Post, key: str) -> None:
        if post.files:
            self._upload(item, post, key)
            return
        try:
            channel, ts = self._say(post, post.message, key)
        except SlackApiError as error:
            if error.response.get("error") != "invalid_blocks" or post.plain is None:
                raise
            channel, ts = self._say(post, post.plain, key)  # a workspace without table blocks
        if post.edit_ts is None or ts != post.edit_ts:
            self.renderer.sent(item, channel, ts)

    def _upload(self, item: OutboxItem, post: Post, key: str) -> None:
        """Pictures are a help; decisions wait behind them in the same thread: refused, they are left out."""
        try:
            self.client.files_upload_v2(
                channel=self._channel_id(post.channel),
                thread_ts=post.thread_ts,
                initial_comment=post.message.text,
                file_uploads=[
                    {"content": f.content, "filename": f.name, "title": f.title, "alt_txt": f.alt}
                    for f in post.files
                ],
            )
        except (SlackClientError, OSError) as error:
            if _passing(error) and item.attempts < PICTURES_TRIED:
                raise
            code = _code(error) if isinstance(error, SlackApiError) else str(error)
            log.error("the files of %s are left out: %s", item.key, HELP.get(code, code))
            if post.otherwise is not None:
                self._say(post, post.otherwise, key)

    def _say(self, post: Post, message: Message, key: str) -> tuple[str, str]:
        said: dict[str, Any] = {"text": message.text, "blocks": message.blocks}
        if post.edit_ts is not None:
            try:
                self.client.chat_update(channel=post.channel, ts=post.edit_ts, **said)
                return post.channel, post.edit_ts
            except SlackApiError as error:
                if error.response.get("error") != "message_not_found":
                    raise
                if not post.repost:
                    log.info("the message that %s would edit was deleted; it stays so", key)
                    return post.channel, post.edit_ts
                log.warning("the message of %s was deleted; posting it again", key)
        sent = self.client.chat_postMessage(
            channel=post.channel,
            thread_ts=post.thread_ts,
            unfurl_links=False,
            unfurl_media=False,
            metadata={"event_type": EVENT_TYPE, "event_payload": {"key": key}},
            **said,
        )
        return str(sent["channel"]), str(sent["ts"])

    def _already_there(self, item: OutboxItem, post: Post, key: str) -> tuple[str, str] | None:
        """Channel and ts where an attempt that was cut off had reached Slack after all."""
        channel = self._channel_id(post.channel)
        names = {f.name for f in post.files}
        try:
            for message in self._said_since(item.started_at, channel, post.thread_ts):
                marked = (message.get("metadata") or {}).get("event_payload", {}).get("key") == key
                pictured = bool(names) and names <= {f.get("name") for f in message.get("files", [])}
                if marked or pictured:
                    return channel, str(message["ts"])
        except SlackApiError as error:
            if _passing(error):
                raise
            log.info("could not look for %s in the channel (%s)", key, _code(error))
        return None

    def _said_since(
        self, since: datetime | None, channel: str, thread_ts: str | None
    ) -> Iterator[dict[str, Any]]:
        """Messages of a channel or a thread from shortly before that time on, all pages of them."""
        wanted: dict[str, Any] = {"channel": channel, "include_all_metadata": True, "limit": 200}
        if since is not None:
            wanted["oldest"] = f"{(since - SKEW).timestamp():.6f}"
        while True:
            if thread_ts is None:
                page = self.client.conversations_history(**wanted)
            else:
                page = self.client.conversations_replies(ts=thread_ts, **wanted)
            yield from page.get("messages", [])
            wanted["cursor"] = (page.get("response_metadata") or {}).get("next_cursor", "")
            if not wanted["cursor"]:
                return

    def _channel_id(self, channel: str) -> str:
        """Uploads and look-ups want an id where posting takes a name."""
        if channel[:1] in "CGD" and channel.isalnum() and channel.isupper():
            return channel
        cursor = ""
        while True:
            page = self.client.conversations_list(
                types="public_channel,private_channel", limit=500, exclude_archived=True, cursor=cursor
            )
            for found in page["channels"]:
                if found["name"] == channel:
                    return str(found["id"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                return channel
