"""Puts messages into channels, changes and deletes them, and tells the app about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .elements import with_ids
from .errors import SlackError
from .limits import check_message, check_metadata
from .model import BOT_USER_ID, Channel, Json, Message, State
from .payloads import Payloads
from .tickets import ResponseUrl

Announce = Callable[[Json], None]
WORKSPACE_SENDER = "USLACKBOT"


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be shown: the parts of a message that its author chooses. None: not given."""

    text: str | None = None
    blocks: list[Json] | None = None
    attachments: list[Json] | None = None
    thread_ts: str | None = None
    broadcast: bool = False
    metadata: Json | None = None
    files: tuple[str, ...] = field(default=())

    @classmethod
    def from_response(cls, payload: Json) -> Draft:
        """The draft in a slash acknowledgement or a response_url call."""
        return cls(
            text=payload.get("text"),
            blocks=payload.get("blocks"),
            attachments=payload.get("attachments"),
            thread_ts=payload.get("thread_ts"),
        )

    @property
    def empty(self) -> bool:
        return not (self.text or self.blocks or self.attachments or self.files)


class Posting:
    """All changes to messages go through here."""

    def __init__(self, state: State, payloads: Payloads, announce: Announce) -> None:
        self._state = state
        self._payloads = payloads
        self._announce = announce

    def post(self, user: str, channel: Channel, draft: Draft, visible_to: str | None = None) -> Message:
        """Add a message; an ephemeral one when ``visible_to`` names a person.

        Raises:
            SlackError: the content breaks a limit, or the thread does not exist.
        """
        if user == BOT_USER_ID and not draft.files:
            self.check(draft)
        if draft.metadata is not None:
            check_metadata(draft.metadata)
        self._check_thread(channel, draft.thread_ts)
        message = self._state.add(
            Message(
                ts=self._state.next_ts(),
                channel=channel.id,
                user=user,
                text=draft.text or "",
                blocks=with_ids(draft.blocks or []),
                attachments=draft.attachments or [],
                thread_ts=draft.thread_ts,
                broadcast=draft.broadcast,
                files=list(draft.files),
                metadata=draft.metadata,
                visible_to=visible_to,
            )
        )
        if visible_to is None:
            self._announce(self._payloads.message_event(message))
        return message

    def tell(self, user: str, channel: Channel, text: str, thread_ts: str | None = None) -> None:
        """A private word from the workspace itself, e.g. that the app did not respond."""
        ts = self._state.next_ts()
        note = Message(ts, channel.id, WORKSPACE_SENDER, text, thread_ts=thread_ts, visible_to=user)
        note.sender = self._state.name
        self._state.add(note)

    def update(self, message: Message, draft: Draft) -> Message:
        """Change a message as ``chat.update`` does.

        New text without blocks removes the old blocks; only a text-only edit is marked as edited.
        """
        blocks = draft.blocks
        if blocks is None:
            blocks = message.blocks if draft.text is None else []
        attachments = message.attachments if draft.attachments is None else draft.attachments
        text = message.text if draft.text is None else draft.text
        self.check(Draft(text, blocks, attachments))
        if draft.metadata is not None:
            check_metadata(draft.metadata)
            message.metadata = draft.metadata
        before = self._payloads.message(message)
        message.text, message.attachments = text, attachments
        message.blocks = blocks if blocks is message.blocks else with_ids(blocks)
        if not draft.blocks:
            message.edited_ts = self._state.next_ts()
        self._state.on_change()
        if message.visible_to is None:
            self._announce_change("message_changed", message, before)
        return message

    def delete(self, message: Message) -> None:
        before = self._payloads.message(message)
        self._state.remove(message)
        if message.visible_to is None:
            self._announce_change("message_deleted", message, before)

    def respond(self, url: ResponseUrl, payload: Json) -> None:
        """Carry out what an app sent to a response_url."""
        channel = self._state.channel(url.channel)
        source = channel.messages.get(url.message_ts or "")
        if payload.get("delete_original") and source is not None:
            self.delete(source)
            return
        draft = Draft.from_response(payload)
        if payload.get("replace_original") and source is not None:
            self.update(source, draft)
            return
        if draft.thread_ts is None and source is not None and source.thread_ts:
            draft = Draft(draft.text, draft.blocks, draft.attachments, source.thread_ts)
        in_channel = payload.get("response_type") == "in_channel"
        self.post(BOT_USER_ID, channel, draft, visible_to=None if in_channel else url.user)

    def check(self, draft: Draft) -> None:
        """Refuse what Slack refuses, and images of files that are not there."""
        for name, value in (("blocks", draft.blocks), ("attachments", draft.attachments)):
            if value is not None and not isinstance(value, list):
                raise SlackError(f"invalid_{name}_format", [f"[ERROR] {name} must be a list"])
        blocks = draft.blocks or []
        check_message(draft.text, blocks, draft.attachments or [])
        for file_id, at in slack_files(blocks):
            file = self._state.files.get(file_id)
            if file is None or not file.completed:
                raise SlackError(
                    "invalid_blocks", [f"[ERROR] no uploaded file {file_id} [json-pointer:{at}]"]
                )

    def _check_thread(self, channel: Channel, thread_ts: str | None) -> None:
        if thread_ts is None:
            return
        parent = channel.messages.get(thread_ts)
        if parent is None or parent.visible_to is not None:
            raise SlackError("thread_not_found")
        if parent.thread_ts is not None:
            raise SlackError(
                "cannot_reply_to_message", [f"{thread_ts} is a reply; its thread is {parent.thread_ts}"]
            )

    def _announce_change(self, subtype: str, message: Message, before: Json) -> None:
        event: Json = {
            "type": "message",
            "subtype": subtype,
            "hidden": True,
            "channel": message.channel,
            "channel_type": "im" if self._state.channels[message.channel].is_im else "channel",
            "ts": self._state.next_ts(),
            "previous_message": before,
        }
        event["event_ts"] = event["ts"]
        if subtype == "message_changed":
            event["message"] = self._payloads.message(message)
        else:
            event["deleted_ts"] = message.ts
        self._announce(event)


def slack_files(value: Any, at: str = "/blocks") -> Iterator[tuple[str, str]]:
    """Ids of the uploaded files that blocks show, each with its place."""
    if isinstance(value, dict):
        reference = value.get("slack_file")
        if isinstance(reference, dict):
            yield file_id_of(reference), f"{at}/slack_file"
        for key, item in value.items():
            yield from slack_files(item, f"{at}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from slack_files(item, f"{at}/{index}")


def file_id_of(reference: Json) -> str:
    """The file id in ``{"id": …}`` or in ``{"url": url_private}``."""
    if "id" in reference:
        return str(reference["id"])
    tail = str(reference.get("url", "")).partition("/files-pri/")[2]
    return tail.split("/")[0].partition("-")[2]
