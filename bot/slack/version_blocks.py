"""The versions that a model can be rolled back to, each with its button, and that one came back. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.slack import ids
from bot.slack.blocks import Block, Message, button, confirmation, context, section
from bot.slack.text import clean, escape, name, percent, person, when
from state.records import Promotion, Trained

SHOWN = 5


def rollback_choice(model: str, champion: int, past: Sequence[Trained]) -> Message:
    """One line a version, newest first: when it was trained, how good it was then, and the way back to it."""
    text = f"Version {champion} of {name(model)} is in use. An earlier one comes back with its own baseline:"
    blocks = [section(text), *(_line(model, champion, one) for one in past[:SHOWN])]
    if len(past) > SHOWN:
        older = f"{len(past) - SHOWN:,} older versions:"
        blocks.append(context(f"{older} `driftcatcher rollback VERSION` at the terminal goes back to them."))
    return Message(f"Roll {escape(model)} back?", blocks)


def _line(model: str, champion: int, trained: Trained) -> Block:
    version = trained.record.version
    old = next((e.metrics.accuracy for e in trained.record.evaluations if e.holdout == "old"), None)
    measured = "" if old is None else f", accuracy {percent(old)} on its hold-out"
    sure = confirmation(
        f"Roll back to version {version}?",
        f"Version {version} and its baseline are in use again. Version {champion} stays in the registry.",
        "Roll back",
        style="danger",
    )
    value = f"{model} {version} {champion}"  # bound to what was seen
    block = section(f"*Version {version}*, trained {when(trained.created_at)}{measured}")
    block["accessory"] = button(f"Roll back to {version}", ids.VERSION_ROLLBACK, value, confirm=sure)
    return block


def rolled_back_to(model: str, version: int) -> Message:
    """For the one who asked; the thread of the retrain that was taken back, or the channel, tells the others."""
    text = f"↩️ Version {version} of {name(model)} is in use again, with its baseline."
    return Message(text, [section(text)])


def back_in_use(move: Promotion, why: str) -> Message:
    """For everybody, where no retrain has made the version that was taken back: there is no thread to say it in."""
    text = (
        f"↩️ *Version {move.version} of {name(move.model)} is in use again*, instead of version {move.previous}. "
        f"Rolled back by {person(move.by)}, {when(move.at)}. Its baseline came back with it."
    )
    reason = [section(f"Reason given: {escape(clean(why, 1000))}")] if why.strip() else []
    return Message(text, [section(text), *reason])
