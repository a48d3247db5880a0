"""What an embedded workspace holds: people, channels, messages, files and views, all in memory.

Only the server's event loop changes this state; other threads read copies.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .errors import SlackError

Json = dict[str, Any]

TEAM_ID = "T0EMBEDDED"
APP_ID = "A0EMBEDDED"
BOT_USER_ID = "U0EMBEDBOT"
BOT_ID = "B0EMBEDBOT"


@dataclass(frozen=True, slots=True)
class User:
    """A person of the workspace. ``title`` is shown beside the name, e.g. "Approver"."""

    id: str
    name: str
    real_name: str
    title: str = ""
    tz: str = "UTC"


@dataclass(frozen=True, slots=True)
class UserGroup:
    """A user group, e.g. ``UserGroup("S0MLOPS", "ml-ops", "ML operations", ("U0ANNA",))``."""

    id: str
    handle: str
    name: str
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shortcut:
    """An entry in the menu of every message (``on_message``) or of the app as a whole."""

    callback_id: str
    name: str
    on_message: bool = True


@dataclass(slots=True)
class File:
    """An uploaded file; ``content`` is None until the upload arrives."""

    id: str
    name: str
    title: str
    mimetype: str
    user: str
    created: int
    alt_text: str = ""
    content: bytes | None = None
    upload_token: str = ""
    completed: bool = False
    channels: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Message:
    """One message of a channel or thread; ``visible_to`` names the reader of an ephemeral one."""

    ts: str
    channel: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    thread_ts: str | None = None
    broadcast: bool = False
    files: list[str] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    metadata: Json | None = None
    edited_ts: str | None = None
    visible_to: str | None = None
    deleted: bool = False
    sender: str | None = None  # a name for messages of the workspace itself
    values: dict[str, Json] = field(default_factory=dict)  # per user: what was picked in its inputs

    @property
    def by_bot(self) -> bool:
        return self.user == BOT_USER_ID


@dataclass(slots=True)
class Channel:
    """A channel or a direct message between one person and the bot (``is_im``)."""

    id: str
    name: str
    members: list[str]
    is_im: bool = False
    created: int = 0
    messages: dict[str, Message] = field(default_factory=dict)

    def replies(self, thread_ts: str) -> list[Message]:
        """Replies of a thread, oldest first, without its parent and without ephemeral messages."""
        found = (m for m in self.messages.values() if m.thread_ts == thread_ts and m.visible_to is None)
        return sorted(found, key=lambda message: message.ts)


@dataclass(slots=True)
class View:
    """A modal or a Home tab as one user sees it."""

    id: str
    user: str
    definition: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    values: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def blocks(self) -> list[Json]:
        blocks: list[Json] = self.definition["blocks"]
        return blocks


class State:
    """Everything in the workspace, with the lookups that every part of the server needs."""

    def __init__(
        self,
        name: str,
        users: Iterable[User],
        channels: Iterable[str],
        bot_name: str,
        groups: Iterable[UserGroup] = (),
    ) -> None:
        self.name = name
        self.bot_name = bot_name
        self.users = {user.id: user for user in users}
        self.groups = {group.id: group for group in groups}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, File] = {}
        self.modals: dict[str, list[View]] = {user: [] for user in self.users}
        self.homes: dict[str, View] = {}
        self.on_change: Callable[[], None] = lambda: None
        self._last_micros = 0
        for number, channel in enumerate(channels, start=1):
            channel_id = f"C{number:09d}"
            members = [*self.users, BOT_USER_ID]
            self.channels[channel_id] = Channel(
                channel_id, channel.lstrip("#"), members, created=int(time.time())
            )

    def next_ts(self) -> str:
        """A message time stamp, "seconds.micros", greater than every earlier one."""
        self._last_micros = max(self._last_micros + 1, time.time_ns() // 1000)
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"

    def new_id(self, prefix: str) -> str:
        """A fresh id in Slack's alphabet, e.g. ``F`` + ten characters."""
        return prefix + secrets.token_hex(5).upper()

    def user(self, user_id: str) -> User:
        if user_id not in self.users:
            raise SlackError("user_not_found")
        return self.users[user_id]

    def channel(self, reference: str) -> Channel:
        """The channel with this id, or with this name (with or without #)."""
        if reference in self.channels:
            return self.channels[reference]
        name = reference.removeprefix("#")
        for channel in self.channels.values():
            if channel.name == name and not channel.is_im:
                return channel
        raise SlackError("channel_not_found")

    def direct_message(self, user_id: str) -> Channel:
        """The conversation between the bot and this person; opened when there is none yet."""
        self.user(user_id)
        channel_id = "D" + user_id[1:]
        if channel_id not in self.channels:
            members = [user_id, BOT_USER_ID]
            self.channels[channel_id] = Channel(channel_id, channel_id, members, True, int(time.time()))
        return self.channels[channel_id]

    def message(self, channel: Channel, ts: str) -> Message:
        found = channel.messages.get(ts)
        if found is None or found.deleted:
            raise SlackError("message_not_found")
        return found

    def add(self, message: Message) -> Message:
        self.channels[message.channel].messages[message.ts] = message
        self.on_change()
        return message

    def remove(self, message: Message) -> None:
        """Delete a message; a thread parent leaves a tombstone, as in Slack."""
        channel = self.channels[message.channel]
        if message.thread_ts is None and channel.replies(message.ts):
            message.deleted = True
            message.text = "This message was deleted."
            message.blocks, message.files, message.attachments = [], [], []
        else:
            del channel.messages[message.ts]
        self.on_change()

    def view(self, view_id: str) -> View | None:
        """An open modal or published Home tab by id or by its app-chosen external id."""
        open_views = [view for stack in self.modals.values() for view in stack]
        for view in (*open_views, *self.homes.values()):
            if view_id in (view.id, view.definition.get("external_id") or None):
                return view
        return None
