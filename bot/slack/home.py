"""The App Home: every model at a glance, open incidents first. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.slack.blocks import Block, context, divider, header, section
from bot.slack.status_blocks import HELP, by_urgency, model_status
from bot.slack.text import count, escape, name, place, when
from bot.status import ModelStatus
from state.records import Incident

MODELS = 40  # a section and a divider each, of the 100 blocks of a view
INCIDENTS = 10

STATES = {
    "open": "waits for somebody",
    "retraining": "retrain is running",
    "decision": "retrain finished, waits for a decision",
    "resolved": "resolved",
    "dismissed": "dismissed as false alarm",
}


def home_view(
    statuses: Sequence[ModelStatus], incidents: Sequence[Incident], command: str = "/drift"
) -> Block:
    """The view for `views.publish`.

    Args:
        statuses: all models.
        incidents: the newest incidents of all models, newest first, closed ones too.
        command: the slash command of this bot.
    """
    blocks: list[Block] = [header("Models"), *_models(statuses)]
    if incidents:
        blocks += [
            header("Newest incidents"),
            section("\n".join(_incident(i) for i in incidents[:INCIDENTS])),
        ]
    usages = " · ".join(f"`{escape(command)} {usage}`" for usage, _ in HELP)
    blocks.append(context(f"Ask me anywhere: {usages}"))
    return {"type": "home", "blocks": blocks}


def _models(statuses: Sequence[ModelStatus]) -> list[Block]:
    if not statuses:
        return [
            section("No models are configured. `driftcatcher init` writes a configuration to start from.")
        ]
    blocks: list[Block] = []
    for status in by_urgency(statuses)[:MODELS]:
        blocks += [section(model_status(status)), divider()]
    if len(statuses) > MODELS:
        blocks.append(context(f"and {count(len(statuses) - MODELS, 'more model')}: `driftcatcher status`"))
    return blocks


def _incident(incident: Incident) -> str:
    batches = count(incident.batches, "batch", "batches")
    opened = f"{name(incident.model)} in {place(incident.channel)}, {when(incident.opened_at)}"
    return f"• {opened}, {batches}: {STATES[incident.state]}"
