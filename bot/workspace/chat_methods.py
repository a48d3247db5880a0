"""Web API: ``chat.*``, ``reactions.*`` and ``conversations.*``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from .errors import SlackError
from .model import BOT_USER_ID, TEAM_ID, Channel, Json, Message, State
from .params import Params
from .payloads import Payloads
from .posting import Draft, Posting

Handler = Callable[[Params], Json]
Item = TypeVar("Item")
MAX_PAGE = 999


class ChatMethods:
    """Messages as the app posts, edits and reads them."""

    def __init__(self, state: State, payloads: Payloads, posting: Posting) -> None:
        self._state = state
        self._payloads = payloads
        self._posting = posting

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "chat.postMessage": self.post_message,
            "chat.postEphemeral": self.post_ephemeral,
            "chat.update": self.update,
            "chat.delete": self.delete,
            "chat.getPermalink": self.permalink,
            "reactions.add": self.add_reaction,
            "reactions.remove": self.remove_reaction,
            "conversations.list": self.list_channels,
            "conversations.info": self.info,
            "conversations.join": self.join,
            "conversations.open": self.open,
            "conversations.members": self.members,
            "conversations.history": self.history,
            "conversations.replies": self.replies,
        }

    def post_message(self, params: Params) -> Json:
        message = self._posting.post(BOT_USER_ID, self._writable(params), _draft(params))
        return {"channel": message.channel, "ts": message.ts, "message": self._payloads.message(message)}

    def post_ephemeral(self, params: Params) -> Json:
        channel = self._writable(params)
        user = params.required("user", "invalid_arguments")
        if user not in channel.members:
            raise SlackError("user_not_in_channel")
        message = self._posting.post(BOT_USER_ID, channel, _draft(params), visible_to=user)
        return {"message_ts": message.ts}

    def update(self, params: Params) -> Json:
        channel = self._member_channel(params)
        message = self._own(channel, params.required("ts"), "cant_update_message")
        self._posting.update(message, _draft(params))
        return {
            "channel": channel.id,
            "ts": message.ts,
            "text": message.text,
            "message": self._payloads.message(message),
        }

    def delete(self, params: Params) -> Json:
        channel = self._member_channel(params)
        message = self._own(channel, params.required("ts"), "cant_delete_message")
        self._posting.delete(message)
        return {"channel": channel.id, "ts": message.ts}

    def permalink(self, params: Params) -> Json:
        channel = self._state.channel(params.required("channel"))
        message = self._state.message(channel, params.required("message_ts"))
        return {"channel": channel.id, "permalink": self._payloads.addresses.permalink(message)}

    def add_reaction(self, params: Params) -> Json:
        message, name = self._reaction(params)
        users = message.reactions.setdefault(name, [])
        if BOT_USER_ID in users:
            raise SlackError("already_reacted")
        users.append(BOT_USER_ID)
        self._state.on_change()
        return {}

    def remove_reaction(self, params: Params) -> Json:
        message, name = self._reaction(params)
        if BOT_USER_ID not in message.reactions.get(name, []):
            raise SlackError("no_reaction")
        message.reactions[name].remove(BOT_USER_ID)
        if not message.reactions[name]:
            del message.reactions[name]
        self._state.on_change()
        return {}

    def list_channels(self, params: Params) -> Json:
        kinds = params.names("types") or ["public_channel"]
        wanted = [
            channel
            for channel in self._state.channels.values()
            if ("im" if channel.is_im else "public_channel") in kinds
        ]
        page, cursor = _page(wanted, params, default=100)
        return {"channels": [self._channel(channel) for channel in page], **cursor}

    def info(self, params: Params) -> Json:
        return {"channel": self._channel(self._state.channel(params.required("channel")))}

    def join(self, params: Params) -> Json:
        channel = self._state.channel(params.required("channel"))
        if channel.is_im:
            raise SlackError("method_not_supported_for_channel_type")
        joined = BOT_USER_ID in channel.members
        if not joined:
            channel.members.append(BOT_USER_ID)
            self._state.on_change()
        warning = {"warning": "already_in_channel"} if joined else {}
        return {"channel": self._channel(channel), **warning}

    def open(self, params: Params) -> Json:
        if params.text("channel"):
            channel = self._state.channel(params.required("channel"))
        else:
            users = params.names("users")
            if len(users) != 1:
                raise SlackError("invalid_arguments", ["[ERROR] users must name one person"])
            channel = self._state.direct_message(users[0])
        return {"channel": self._channel(channel)}

    def members(self, params: Params) -> Json:
        channel = self._state.channel(params.required("channel"))
        page, cursor = _page(channel.members, params, default=100)
        return {"members": page, **cursor}

    def history(self, params: Params) -> Json:
        channel = self._member_channel(params)
        top = [
            message
            for message in channel.messages.values()
            if message.visible_to is None and (message.thread_ts is None or message.broadcast)
        ]
        wanted = sorted(_within(top, params), key=lambda message: message.ts, reverse=True)
        page, cursor = _page(wanted, params, default=100)
        return {
            "messages": [self._payloads.message(message) for message in page],
            "has_more": bool(cursor["response_metadata"]["next_cursor"]),
            "pin_count": 0,
            **cursor,
        }

    def replies(self, params: Params) -> Json:
        channel = self._member_channel(params)
        parent = channel.messages.get(params.required("ts"))
        if parent is None or parent.visible_to is not None:
            raise SlackError("thread_not_found")
        if parent.thread_ts is not None:
            parent = channel.messages[parent.thread_ts]
        wanted = [parent, *_within(channel.replies(parent.ts), params)]
        page, cursor = _page(wanted, params, default=1000)
        return {
            "messages": [self._payloads.message(message) for message in page],
            "has_more": bool(cursor["response_metadata"]["next_cursor"]),
            **cursor,
        }

    def _writable(self, params: Params) -> Channel:
        reference = params.required("channel", "channel_not_found")
        if reference in self._state.users:
            return self._state.direct_message(reference)
        return self._member(self._state.channel(reference))

    def _member_channel(self, params: Params) -> Channel:
        return self._member(self._state.channel(params.required("channel", "channel_not_found")))

    def _member(self, channel: Channel) -> Channel:
        if BOT_USER_ID not in channel.members:
            raise SlackError("not_in_channel")
        return channel

    def _own(self, channel: Channel, ts: str, error: str) -> Message:
        message = self._state.message(channel, ts)
        if message.visible_to is not None:
            raise SlackError("message_not_found")  # ephemeral messages are changed by response_url only
        if not message.by_bot:
            raise SlackError(error)
        return message

    def _reaction(self, params: Params) -> tuple[Message, str]:
        name = params.required("name", "invalid_name")
        if not re.fullmatch(r"[a-z0-9_+'-]+(::skin-tone-[2-6])?", name):
            raise SlackError("invalid_name")
        channel = self._member_channel(params)
        return self._state.message(channel, params.required("timestamp", "bad_timestamp")), name

    def _channel(self, channel: Channel) -> Json:
        shown: Json = {
            "id": channel.id,
            "created": channel.created,
            "is_archived": False,
            "is_im": channel.is_im,
            "is_channel": not channel.is_im,
            "is_private": channel.is_im,
            "is_member": BOT_USER_ID in channel.members,
            "num_members": len(channel.members),
            "context_team_id": TEAM_ID,
        }
        if channel.is_im:
            return {**shown, "user": channel.members[0]}
        empty = {"value": "", "creator": "", "last_set": 0}
        return {
            **shown, "name": channel.name, "name_normalized": channel.name, "topic": empty, "purpose": empty,
        }  # fmt: skip


def _draft(params: Params) -> Draft:
    blocks = params.parsed("blocks", "invalid_blocks_format")
    attachments = params.parsed("attachments", "invalid_attachments_format")
    text = params.text("text")
    if (markdown := params.text("markdown_text")) is not None:
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        blocks = [{"type": "markdown", "text": markdown}]
    return Draft(
        text=text,
        blocks=blocks,
        attachments=attachments,
        thread_ts=params.text("thread_ts") or None,
        broadcast=params.flag("reply_broadcast"),
        metadata=params.parsed("metadata", "invalid_metadata_format"),
    )


def _within(messages: list[Message], params: Params) -> list[Message]:
    oldest, latest = params.text("oldest"), params.text("latest")
    inclusive = params.flag("inclusive")
    return [
        message
        for message in messages
        if (not oldest or message.ts > oldest or (inclusive and message.ts == oldest))
        and (not latest or message.ts < latest or (inclusive and message.ts == latest))
    ]


def _page(items: list[Item], params: Params, default: int) -> tuple[list[Item], Json]:
    start = _cursor_position(params.text("cursor") or "")
    limit = min(max(params.integer("limit", default), 1), MAX_PAGE)
    following = start + limit
    cursor = f"next:{following}" if following < len(items) else ""
    return items[start:following], {"response_metadata": {"next_cursor": cursor}}


def _cursor_position(cursor: str) -> int:
    if not cursor:
        return 0
    position = cursor.removeprefix("next:")
    if not position.isdecimal():
        raise SlackError("invalid_cursor")
    return int(position)
