"""Modals (a stack of at most three per person) and Home tabs."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from .elements import with_ids
from .errors import SlackError
from .limits import check_view
from .model import Json, State, View

MAX_STACK = 3

Closed = Callable[[View, bool], None]


class Views:
    """Opens, replaces and closes views; ``on_closed(view, is_cleared)`` reports dismissed modals."""

    def __init__(self, state: State, on_closed: Closed) -> None:
        self._state = state
        self._on_closed = on_closed

    def top(self, user: str) -> View | None:
        """The modal that this person sees."""
        stack = self._state.modals[user]
        return stack[-1] if stack else None

    def open(self, user: str, definition: object) -> View:
        """Show a modal; whatever was open goes away."""
        view = self._new(user, check_view(definition, "modal"), previous=None)
        self._report_closed(self._state.modals[user], is_cleared=True)
        self._state.modals[user] = [view]
        self._state.on_change()
        return view

    def push(self, user: str, definition: object) -> View:
        """Put a modal on top of the open one.

        Raises:
            SlackError: ``push_limit_reached`` with three open, ``not_found`` with none.
        """
        stack = self._state.modals[user]
        if not stack:
            raise SlackError("not_found", ["there is no open modal to push onto"])
        if len(stack) >= MAX_STACK:
            raise SlackError("push_limit_reached")
        view = self._new(user, check_view(definition, "modal"), previous=stack[-1])
        stack.append(view)
        self._state.on_change()
        return view

    def update(self, view: View, definition: object, expected_hash: str | None = None) -> View:
        """Replace a view's content in place; inputs with the same ids keep what was typed."""
        if expected_hash is not None and expected_hash != view.hash:
            raise SlackError("hash_conflict")
        checked = check_view(definition, str(view.definition["type"]))
        self._check_external_id(checked, view)
        view.definition = {**checked, "blocks": with_ids(checked["blocks"])}
        view.hash = _new_hash()
        self._state.on_change()
        return view

    def publish(self, user: str, definition: object, expected_hash: str | None = None) -> View:
        """Show a person's Home tab."""
        self._state.user(user)
        current = self._state.homes.get(user)
        if current is not None:
            return self.update(current, definition, expected_hash)
        view = self._new(user, check_view(definition, "home"), previous=None)
        self._state.homes[user] = view
        self._state.on_change()
        return view

    def submitted(self, user: str) -> None:
        """Close the top modal after a plain acknowledgement of its submission."""
        self._state.modals[user].pop()
        self._state.on_change()

    def clear(self, user: str) -> None:
        """Close all modals because the app said so."""
        self._state.modals[user].clear()
        self._state.on_change()

    def dismiss(self, user: str, everything: bool) -> None:
        """Close the top modal, or all of them, because the person wants so."""
        stack = self._state.modals[user]
        gone = list(stack) if everything else stack[-1:]
        del stack[len(stack) - len(gone) :]
        self._report_closed(gone, is_cleared=everything)
        self._state.on_change()

    def _report_closed(self, views: list[View], is_cleared: bool) -> None:
        for view in reversed(views):
            if view.definition.get("notify_on_close"):
                self._on_closed(view, is_cleared)

    def _new(self, user: str, definition: Json, previous: View | None) -> View:
        self._check_external_id(definition, None)
        view_id = self._state.new_id("V")
        return View(
            id=view_id,
            user=user,
            definition={**definition, "blocks": with_ids(definition["blocks"])},
            hash=_new_hash(),
            root_id=previous.root_id if previous else view_id,
            previous_id=previous.id if previous else None,
        )

    def _check_external_id(self, definition: Json, owner: View | None) -> None:
        external_id = definition.get("external_id")
        holder = self._state.view(external_id) if external_id else None
        if holder is not None and holder is not owner:
            raise SlackError("duplicate_external_id")


def _new_hash() -> str:
    return f"{secrets.randbelow(10**10):010d}.{secrets.token_hex(4)}"
