"""What a person does: writes, clicks, picks, submits. Each becomes a payload for the app."""

from __future__ import annotations

import html
import re
from typing import Any

from .delivery import Ack, Delivery, Unacknowledged
from .elements import (
    Value,
    Values,
    action_payload,
    element_state,
    elements_of,
    find_element,
    input_errors,
    state_values,
)
from .errors import AppNotRespondingError, SlackError, WorkspaceError
from .model import BOT_USER_ID, Channel, Json, Message, State, View
from .payloads import Payloads
from .posting import Announce, Draft, Posting
from .tickets import ResponseUrls, Triggers
from .views import Views


class Interactions:
    """Carries a person's actions to the app and the app's acknowledgement back."""

    def __init__(
        self,
        state: State,
        payloads: Payloads,
        posting: Posting,
        views: Views,
        delivery: Delivery,
        announce: Announce,
        triggers: Triggers,
        response_urls: ResponseUrls,
    ) -> None:
        self._state = state
        self._payloads = payloads
        self._posting = posting
        self._views = views
        self._delivery = delivery
        self._announce = announce
        self._triggers = triggers
        self._response_urls = response_urls

    def say(self, user: str, channel: Channel, text: str, thread_ts: str | None) -> Message:
        """Write into a channel or thread; @names become mentions."""
        if not text.strip():
            raise WorkspaceError("no_text", "There is nothing to send.")
        draft = Draft(text=self._slack_text(text), thread_ts=thread_ts)
        return self._announced(self._posting.post(user, channel, draft))

    def share_file(self, user: str, channel: Channel, file: str, text: str, thread_ts: str | None) -> Message:
        """Share an uploaded file in a channel or thread."""
        draft = Draft(text=self._slack_text(text), thread_ts=thread_ts, files=(file,))
        return self._announced(self._posting.post(user, channel, draft))

    def _announced(self, message: Message) -> Message:
        channel = self._state.channels[message.channel]
        if f"<@{BOT_USER_ID}>" in message.text and not channel.is_im:
            event = {**self._payloads.message_event(message), "type": "app_mention"}
            event.pop("channel_type")
            self._announce(event)
        return message

    def _slack_text(self, text: str) -> str:
        """Escape what a person typed, and turn @name and #channel into Slack's references."""
        escaped = html.escape(text, quote=False)
        names = {user.name: user.id for user in self._state.users.values()}
        names[self._state.bot_name] = names[self._state.bot_name.lower()] = BOT_USER_ID
        channels = {c.name: c.id for c in self._state.channels.values() if not c.is_im}
        known_ids = {*self._state.users, BOT_USER_ID}

        def mention(match: re.Match[str]) -> str:
            user_id = names.get(match[1], names.get(match[1].lower()))
            return f"<@{user_id}>" if user_id else match[0]

        def given(match: re.Match[str]) -> str:
            return f"<@{match[1]}>" if match[1] in known_ids else match[0]

        def channel(match: re.Match[str]) -> str:
            return f"<#{channels[match[1]]}|{match[1]}>" if match[1] in channels else match[0]

        escaped = re.sub(r"(?<![\w;])@([\w.-]*\w)", mention, escaped)
        escaped = re.sub(r"&lt;@(\w+)&gt;", given, escaped)
        return re.sub(r"(?<![\w&])#([\w-]+)", channel, escaped)

    async def command(self, user: str, channel: Channel, command: str, text: str) -> None:
        """Send a slash command; its acknowledgement may carry a message, ephemeral by default."""
        tickets = self._tickets(user, channel, None)
        payload = self._payloads.command(user, channel, command, text, tickets)
        answer = await self._delivery.ask("slash_commands", payload)
        if isinstance(answer, Unacknowledged):
            refusal = self._no_answer(answer)
            self._posting.tell(user, channel, f"`{f'{command} {text}'.strip()}` failed: {refusal}")
            raise refusal
        draft = Draft.from_response(answer.payload)
        if not draft.empty:
            in_channel = answer.payload.get("response_type") == "in_channel"
            self._show(draft, user, channel, in_channel)

    def _show(self, draft: Draft, user: str, channel: Channel, in_channel: bool) -> None:
        try:
            self._posting.post(BOT_USER_ID, channel, draft, visible_to=None if in_channel else user)
        except SlackError as error:
            self._posting.tell(user, channel, f"The app answered with something Slack refuses: {error}")
            raise WorkspaceError(error.code, f"The app's answer was refused: {error}") from error

    async def act_on_message(
        self, user: str, message: Message, action_id: str, block_id: str | None, value: Value, given: Values
    ) -> None:
        """Click or pick in a message."""
        for block, states in given.items():
            message.values.setdefault(user, {}).setdefault(block, {}).update(states)
        held = message.values.setdefault(user, {})
        actions = self._act(message.blocks, held, action_id, block_id, value)
        channel = self._state.channels[message.channel]
        tickets = self._tickets(user, channel, message)
        payload = self._payloads.message_action(user, message, actions, tickets)
        await self._interact(payload)

    async def act_on_view(
        self, user: str, view: View, action_id: str, block_id: str | None, value: Value, given: Values
    ) -> None:
        """Click or pick in a modal or Home tab."""
        self._fill(view, given)
        actions = self._act(view.blocks, view.values, action_id, block_id, value)
        trigger_id = self._triggers.issue(user)
        await self._interact(self._payloads.view_action(user, view, actions, trigger_id))

    def _act(
        self,
        blocks: list[Json],
        held: dict[str, dict[str, Any]],
        action_id: str,
        block_id: str | None,
        value: Value,
    ) -> list[Json]:
        """Note what was picked and describe it; buttons carry their own value."""
        wanted = value if isinstance(value, str) else None
        found = find_element(blocks, action_id, block_id, wanted)
        if found is None:
            known = ", ".join(e["action_id"] for block in blocks for e in elements_of(block)) or "none"
            which = f"{action_id!r} with value {wanted!r}" if wanted else repr(action_id)
            raise WorkspaceError("no_such_action", f"There is no {which} here; actions: {known}.")
        block, element = found
        action = action_payload(block, element, value, self._state.next_ts())
        if element["type"] not in ("button", "overflow"):
            held.setdefault(block["block_id"], {})[element["action_id"]] = value
        return [action]

    async def submit(self, user: str, view: View, given: Values) -> dict[str, str]:
        """Submit a modal. Returns the errors to show beside the fields; empty when it was accepted."""
        self._fill(view, given)
        values = state_values(view.blocks, view.values)
        if errors := input_errors(view.blocks, values):
            return errors
        trigger_id = self._triggers.issue(user)
        answer = await self._delivery.ask(
            "interactive", self._payloads.view_submission(user, view, trigger_id)
        )
        if isinstance(answer, Unacknowledged):
            raise self._no_answer(answer)
        return self._after_submission(user, view, answer)

    def _after_submission(self, user: str, view: View, answer: Ack) -> dict[str, str]:
        action = answer.payload.get("response_action")
        try:
            if action == "errors":
                return self._field_errors(view, answer.payload.get("errors"))
            if action == "update":
                self._views.update(view, answer.payload.get("view"))
            elif action == "push":
                self._views.push(user, answer.payload.get("view"))
            elif action == "clear":
                self._views.clear(user)
            elif action is not None:
                raise SlackError("invalid_arguments", [f"unknown response_action {action!r}"])
            elif self._views.top(user) is view:
                self._views.submitted(user)
        except SlackError as error:
            raise WorkspaceError(error.code, f"The app's answer was refused: {error}") from error
        return {}

    def _field_errors(self, view: View, errors: object) -> dict[str, str]:
        inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
        if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
            detail = (
                f"errors must name input blocks of the view ({', '.join(sorted(inputs))}), not {errors!r}"
            )
            raise SlackError("invalid_arguments", [detail])
        return {str(block): str(message) for block, message in errors.items()}

    def _fill(self, view: View, given: Values) -> None:
        """Put a person's values into a view's fields; every name must exist."""
        for block_id, by_action in given.items():
            for action_id, value in by_action.items():
                found = find_element(view.blocks, action_id, block_id, None)
                if found is None:
                    known = [(b["block_id"], e["action_id"]) for b in view.blocks for e in elements_of(b)]
                    where = f"no field {block_id}/{action_id} in this view; fields: {known}"
                    raise WorkspaceError("no_such_field", where)
                element_state(found[1], value)
                view.values.setdefault(block_id, {})[action_id] = value

    async def closed(self, view: View, is_cleared: bool) -> None:
        """Report a dismissed modal to an app that asked for it; nobody waits for the answer."""
        payload = self._payloads.view_closed(view.user, view, is_cleared)
        await self._delivery.ask("interactive", payload)

    def open_home(self, user: str) -> None:
        """Tell the app that a person looks at its Home tab."""
        channel = self._state.direct_message(user)
        event: Json = {
            "type": "app_home_opened",
            "user": user,
            "channel": channel.id,
            "tab": "home",
            "event_ts": self._state.next_ts(),
        }
        if user in self._state.homes:
            event["view"] = self._payloads.view(self._state.homes[user])
        self._announce(event)

    async def shortcut(self, user: str, callback_id: str, message: Message | None) -> None:
        """Choose a shortcut, from a message's menu or globally."""
        if message is None:
            trigger_id = self._triggers.issue(user)
            await self._interact(self._payloads.shortcut(user, callback_id, trigger_id))
            return
        tickets = self._tickets(user, self._state.channels[message.channel], message)
        await self._interact(self._payloads.message_shortcut(user, message, callback_id, tickets))

    def react(self, user: str, message: Message, name: str) -> None:
        """Add this person's reaction, or take it away again."""
        users = message.reactions.setdefault(name, [])
        added = user not in users
        if added:
            users.append(user)
        else:
            users.remove(user)
        if not users:
            del message.reactions[name]
        self._state.on_change()
        event: Json = {
            "type": "reaction_added" if added else "reaction_removed",
            "user": user,
            "reaction": name,
            "item_user": message.user,
            "item": {"type": "message", "channel": message.channel, "ts": message.ts},
            "event_ts": self._state.next_ts(),
        }
        self._announce(event)

    async def _interact(self, payload: Json) -> None:
        answer = await self._delivery.ask("interactive", payload)
        if isinstance(answer, Unacknowledged):
            raise self._no_answer(answer)

    def _no_answer(self, answer: Unacknowledged) -> AppNotRespondingError:
        why = "it is not connected" if answer.reason == "no_connection" else answer.reason.replace("_", " ")
        return AppNotRespondingError(
            "app_did_not_respond", f"{self._state.bot_name} did not respond ({why})."
        )

    def _tickets(self, user: str, channel: Channel, message: Message | None) -> Json:
        token = self._response_urls.issue(
            user, channel.id, message.ts if message else None, message.thread_ts if message else None
        )
        return {
            "trigger_id": self._triggers.issue(user),
            "response_url": self._payloads.addresses.response_url(token),
        }
