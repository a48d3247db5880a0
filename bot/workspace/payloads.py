"""What Slack sends to an app: commands, events and interactions, in Slack's shapes."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

from .elements import state_values
from .model import APP_ID, BOT_ID, BOT_USER_ID, TEAM_ID, Channel, File, Json, Message, State, View


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where this workspace is reached, e.g. ``Addresses("http://127.0.0.1:4801")``."""

    origin: str

    @property
    def api(self) -> str:
        return f"{self.origin}/api/"

    def response_url(self, token: str) -> str:
        return f"{self.origin}/commands/{TEAM_ID}/{token}"

    def permalink(self, message: Message) -> str:
        link = f"{self.origin}/archives/{message.channel}/p{message.ts.replace('.', '')}"
        if message.thread_ts and message.thread_ts != message.ts:
            link += f"?thread_ts={message.thread_ts}&cid={message.channel}"
        return link

    def file(self, file: File) -> str:
        return f"{self.origin}/files-pri/{TEAM_ID}-{file.id}/{file.name}"


class Payloads:
    """Builds payloads from the state; it changes nothing."""

    def __init__(self, state: State, addresses: Addresses, token: str) -> None:
        self._state = state
        self.addresses = addresses
        self._verification_token = token

    def command(self, user: str, channel: Channel, command: str, text: str, tickets: Json) -> Json:
        """A slash command; ``tickets`` holds its trigger_id and response_url."""
        return {
            "token": self._verification_token,
            "team_id": TEAM_ID,
            "team_domain": "embedded",
            "channel_id": channel.id,
            "channel_name": "directmessage" if channel.is_im else channel.name,
            "user_id": user,
            "user_name": self._state.user(user).name,
            "command": command,
            "text": text,
            "api_app_id": APP_ID,
            "is_enterprise_install": "false",
            **tickets,
        }

    def event(self, event: Json) -> Json:
        """The outer body of an Events API delivery."""
        return {
            "token": self._verification_token,
            "team_id": TEAM_ID,
            "api_app_id": APP_ID,
            "event": event,
            "type": "event_callback",
            "event_id": "Ev" + secrets.token_hex(5).upper(),
            "event_time": int(time.time()),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": TEAM_ID,
                    "user_id": BOT_USER_ID,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": False,
            "event_context": secrets.token_urlsafe(12),
        }

    def message_event(self, message: Message) -> Json:
        """A ``message`` event as it appears in a channel or direct message."""
        channel = self._state.channels[message.channel]
        event = {
            **self.message(message),
            "channel": channel.id,
            "channel_type": "im" if channel.is_im else "channel",
            "event_ts": message.ts,
        }
        if message.files and not message.by_bot:
            event["subtype"] = "file_share"
        return event

    def message_action(self, user: str, message: Message, actions: list[Json], tickets: Json) -> Json:
        """``block_actions`` of an element in a message; an ephemeral message is not included."""
        channel = self._state.channels[message.channel]
        container: Json = {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": channel.id,
            "is_ephemeral": message.visible_to is not None,
        }
        if message.thread_ts:
            container["thread_ts"] = message.thread_ts
        payload = {
            **self._interaction("block_actions", user),
            "container": container,
            "channel": self._channel(channel),
            "state": {"values": state_values(message.blocks, message.values.get(user, {}))},
            "actions": actions,
            **tickets,
        }
        if message.visible_to is None:
            payload["message"] = self.message(message)
        return payload

    def view_action(self, user: str, view: View, actions: list[Json], trigger_id: str) -> Json:
        """``block_actions`` of an element in a modal or Home tab."""
        return {
            **self._interaction("block_actions", user),
            "container": {"type": "view", "view_id": view.id},
            "view": self.view(view),
            "actions": actions,
            "trigger_id": trigger_id,
        }

    def view_submission(self, user: str, view: View, trigger_id: str) -> Json:
        return {
            **self._interaction("view_submission", user),
            "trigger_id": trigger_id,
            "view": self.view(view),
            "response_urls": [],
        }

    def view_closed(self, user: str, view: View, is_cleared: bool) -> Json:
        return {
            **self._interaction("view_closed", user),
            "view": self.view(view),
            "is_cleared": is_cleared,
        }

    def shortcut(self, user: str, callback_id: str, trigger_id: str) -> Json:
        """A global shortcut."""
        return {
            **self._interaction("shortcut", user),
            "callback_id": callback_id,
            "trigger_id": trigger_id,
            "action_ts": self._state.next_ts(),
        }

    def message_shortcut(self, user: str, message: Message, callback_id: str, tickets: Json) -> Json:
        return {
            **self._interaction("message_action", user),
            "callback_id": callback_id,
            "channel": self._channel(self._state.channels[message.channel]),
            "message": self.message(message),
            "message_ts": message.ts,
            "action_ts": self._state.next_ts(),
            **tickets,
        }

    def message(self, message: Message) -> Json:
        """A message as the Web API and payloads show it."""
        shown: Json = {
            "type": "message",
            "ts": message.ts,
            "user": message.user,
            "text": message.text,
            "team": TEAM_ID,
        }
        if message.by_bot:
            shown |= {"bot_id": BOT_ID, "app_id": APP_ID, "bot_profile": self.bot_profile()}
        if message.blocks:
            shown["blocks"] = message.blocks
        if message.attachments:
            shown["attachments"] = message.attachments
        if message.metadata is not None:
            shown["metadata"] = message.metadata
        if message.files:
            shown["files"] = [self.file(self._state.files[file]) for file in message.files]
        if message.reactions:
            shown["reactions"] = [
                {"name": name, "users": list(users), "count": len(users)}
                for name, users in message.reactions.items()
            ]
        if message.edited_ts:
            shown["edited"] = {"user": message.user, "ts": message.edited_ts}
        if message.deleted:
            shown |= {"subtype": "tombstone", "hidden": True}
        if message.sender:
            shown["username"] = message.sender
        return shown | self._thread_fields(message)

    def _thread_fields(self, message: Message) -> Json:
        if message.thread_ts is not None:
            fields: Json = {"thread_ts": message.thread_ts}
            parent = self._state.channels[message.channel].messages.get(message.thread_ts)
            if parent is not None:
                fields["parent_user_id"] = parent.user
            if message.broadcast:
                fields["subtype"] = "thread_broadcast"
            return fields
        replies = self._state.channels[message.channel].replies(message.ts)
        if not replies or message.visible_to is not None:
            return {}
        users = list(dict.fromkeys(reply.user for reply in replies))
        return {
            "thread_ts": message.ts,
            "reply_count": len(replies),
            "reply_users": users,
            "reply_users_count": len(users),
            "latest_reply": replies[-1].ts,
        }

    def view(self, view: View) -> Json:
        """A view as the Web API and payloads show it."""
        return {
            "id": view.id,
            "team_id": TEAM_ID,
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "clear_on_close": False,
            "notify_on_close": False,
            "title": None,
            "submit": None,
            "close": None,
            **view.definition,
            "state": {"values": state_values(view.blocks, view.values)},
            "hash": view.hash,
            "root_view_id": view.root_id,
            "previous_view_id": view.previous_id,
            "app_id": APP_ID,
            "bot_id": BOT_ID,
            "app_installed_team_id": TEAM_ID,
        }

    def file(self, file: File) -> Json:
        url = self.addresses.file(file)
        return {
            "id": file.id,
            "created": file.created,
            "timestamp": file.created,
            "name": file.name,
            "title": file.title,
            "mimetype": file.mimetype,
            "filetype": file.name.rsplit(".", 1)[-1].lower() if "." in file.name else "text",
            "user": file.user,
            "mode": "hosted",
            "size": len(file.content or b""),
            "alt_txt": file.alt_text,
            "url_private": url,
            "url_private_download": url + "?download=1",
            "permalink": url,
            "channels": list(file.channels),
        }

    def bot_profile(self) -> Json:
        return {
            "id": BOT_ID,
            "deleted": False,
            "name": self._state.bot_name,
            "updated": 0,
            "app_id": APP_ID,
            "team_id": TEAM_ID,
            "icons": {},
        }

    def _interaction(self, kind: str, user: str) -> dict[str, Any]:
        person = self._state.user(user)
        return {
            "type": kind,
            "token": self._verification_token,
            "team": {"id": TEAM_ID, "domain": "embedded"},
            "enterprise": None,
            "is_enterprise_install": False,
            "api_app_id": APP_ID,
            "user": {"id": user, "username": person.name, "name": person.name, "team_id": TEAM_ID},
        }

    def _channel(self, channel: Channel) -> Json:
        return {"id": channel.id, "name": "directmessage" if channel.is_im else channel.name}
