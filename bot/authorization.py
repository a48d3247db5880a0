"""Who may approve, promote, snooze, dismiss and roll back: pure, and nobody by default."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Permission:
    """The answer, with a sentence for the person who is refused."""

    granted: bool
    refusal: str = ""


def may_decide(
    user: str, approvers: Collection[str], members_of: Callable[[str], Collection[str]], what: str, model: str
) -> Permission:
    """Whether a Slack user may decide for a model.

    `approvers` are user ids (U…, W…) and user-group ids (S…); `members_of` looks a group up and may raise,
    which refuses: who cannot be checked may not decide.
    """
    if not approvers:
        return Permission(
            False, f"Nobody may {what} for {model} yet: name approvers for it in the bot's configuration."
        )
    if user in approvers:
        return Permission(True)
    if any(user in members_of(group) for group in approvers if group.startswith("S")):
        return Permission(True)
    return Permission(False, f"Sorry, you are not an approver of {model}. Approvers: {mention(approvers)}.")


def mention(approvers: Collection[str]) -> str:
    """The approvers as Slack mentions."""
    return ", ".join(f"<!subteam^{a}>" if a.startswith("S") else f"<@{a}>" for a in approvers)
