"""Answers to `/drift status`, `history` and `help`, and the polite refusal. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.estimates import estimates_line
from bot.shadow_text import status_line
from bot.slack.batch_blocks import EMOJI
from bot.slack.blocks import Block, Message, clip, context, divider, header, section, table
from bot.slack.text import (
    capital,
    clean,
    count,
    escape,
    escape_sentence,
    file_name,
    name,
    percent,
    person,
    place,
    score,
    utc,
    when,
)
from bot.status import ModelStatus, counted
from state.records import Batch, HistoryPoint

VERDICTS = {
    "stable": "stable",
    "warning": "moderate drift",
    "drift": "significant drift",
    "insufficient_data": "not enough rows to judge",
    "broken_feed": "the feed looks broken",
}
BARS = "▁▂▃▄▅▆▇█"
BAR = 0.05  # PSI of one step, so that moderate drift (0.1) and significant drift (0.2) keep their heights
MODELS = 12  # in one message
MODEL_TEXT = 1000  # characters about one model: twelve of them fit a message


def sparkline(points: Sequence[HistoryPoint]) -> str:
    """Overall PSI as one bar a batch, oldest first; a full bar is 0.35 or more, a dot is no PSI."""
    psis = [point.overall_psi for point in sorted(points, key=lambda point: point.at)]
    return "".join("·" if psi is None else BARS[min(int(psi / BAR), len(BARS) - 1)] for psi in psis)


def status_blocks(statuses: Sequence[ModelStatus]) -> Message:
    """One section a model, those that need somebody first."""
    if not statuses:
        text = "No models are configured. `driftcatcher init` writes a configuration to start from."
        return Message(text, [section(text)])
    ordered = by_urgency(statuses)
    needy = sum(1 for status in statuses if status.open_incident)
    title = (
        f"{count(len(statuses), 'model')}, {count(needy, 'open incident') if needy else 'no open incident'}"
    )
    blocks: list[Block] = [header(title)]
    for status in ordered[:MODELS]:
        blocks += [section(model_status(status)), divider()]
    blocks.pop()
    if len(ordered) > MODELS:
        blocks.append(
            context(f"and {count(len(ordered) - MODELS, 'more model')}: see the Home tab of this app")
        )
    spoken = [f"{clean(status.model)}: {_last(status.last_batch)[0]}" for status in ordered[:MODELS]]
    return Message(clip(escape(f"{title}. {'; '.join(spoken)}."), 2000), blocks)


def by_urgency(statuses: Sequence[ModelStatus]) -> list[ModelStatus]:
    """Models with an open incident first, then by name."""
    return sorted(statuses, key=lambda status: (status.open_incident is None, status.model))


def model_status(status: ModelStatus) -> str:
    """All about one model in a few lines of mrkdwn."""
    verdict, about = _last(status.last_batch)
    emoji = _emoji(status)
    lines = [f"{emoji} *{name(status.model)}* · {_champion(status)}", f"Last check: {verdict}{about}"]
    lines += _now(status)
    if status.history:
        batches = count(len(status.history), "batch", "batches")
        lines.append(f"Overall PSI of the last {batches}: {sparkline(status.history)}")
    if performance := status.last_performance:
        broken = (
            count(len(performance.breaches), "limit") + " broken"
            if performance.breaches
            else "within its limits"
        )
        accuracy = percent(performance.metrics.get("accuracy"))
        lines.append(f"Last performance: accuracy {accuracy}, {broken}, {when(performance.at)}")
    if status.estimates is not None:
        lines.append(estimates_line(status.estimates))
    if happened := counted(status.counters):
        lines.append(f"So far: {happened}")
    return clip("\n".join(lines), MODEL_TEXT)


def _emoji(status: ModelStatus) -> str:
    if status.running:
        return "🔵"
    if status.last_batch is None:
        return "⚪"
    return EMOJI.get(status.last_batch.verdict or "", "🟠")


def _champion(status: ModelStatus) -> str:
    if status.champion_version is None:
        return "not trained yet, run `driftcatcher train`"
    since = f" since {when(status.champion_since)}" if status.champion_since else ""
    return f"version {status.champion_version} in use{since}"


def _last(batch: Batch | None) -> tuple[str, str]:
    """The last verdict in words (plain) and what it was on (mrkdwn)."""
    if batch is None:
        return "none yet", ""
    verdict = VERDICTS.get(batch.verdict or "", "could not be checked")
    psi = "" if batch.overall_psi is None else f", overall PSI {score(batch.overall_psi)}"
    return verdict, f"{psi} · {file_name(batch.path, 40)} · {when(batch.checked_at or batch.claimed_at)}"


def _now(status: ModelStatus) -> list[str]:
    """What is under way or holds back."""
    lines = []
    if incident := status.open_incident:
        lines.append(f"Open incident since {when(incident.opened_at)} in {place(incident.channel)}")
    if running := status.running:
        state = "waits for its turn" if running.state == "queued" else "is running"
        lines.append(f"A retrain {state}, approved by {person(running.approved_by)}")
    if status.shadow is not None:
        lines.append(capital(status_line(status.shadow)))
    if status.labelled_waiting:
        lines.append(f"{count(status.labelled_waiting, 'labelled file')} waiting for a retrain")
    lines += [f"The serving {kind} does not have this version yet" for kind in status.to_hand_over]
    for until, what in (
        (status.silence_until, "Snoozed"),
        (status.alert_cooldown_until, "No new alert"),
        (status.retrain_cooldown_until, "No new retrain"),
    ):
        if until:
            lines.append(f"{what} until {when(until)}")
    return lines


def history_blocks(model: str, points: Sequence[HistoryPoint]) -> Message:
    """The last checks of a model: a line of bars and a table, newest first."""
    if not points:
        text = f"No batch of {name(model)} has been checked yet."
        return Message(text, [section(text)])
    newest = sorted(points, key=lambda point: point.at, reverse=True)
    title = f"{clean(model)}: the last {count(len(points), 'check')}"
    columns = ("Checked (UTC)", "File", "Rows", "Verdict", "Overall PSI", "Worst feature")
    block, shown = table(columns, [_history_row(point) for point in newest], right=(2, 4))
    bars = sparkline(newest[:60])
    blocks = [
        header(title),
        section(bars),
        context("One bar a batch, the newest on the right: overall PSI."),
        block,
    ]
    if shown < len(newest):
        blocks.append(context(f"and {count(len(newest) - shown, 'older check')}"))
    latest = newest[0]
    said = VERDICTS.get(latest.verdict, latest.verdict)
    return Message(escape(f"{title}; the newest: {said}, {utc(latest.at)}."), blocks)


def _history_row(point: HistoryPoint) -> tuple[str, ...]:
    return (
        utc(point.at).removesuffix(" UTC"),
        clean(point.path.rsplit("/", 1)[-1], 40),
        f"{point.rows:,}",
        VERDICTS.get(point.verdict, point.verdict),
        "" if point.overall_psi is None else score(point.overall_psi),
        clean(point.worst, 60) if point.worst else "",
    )


HELP = (
    ("check [file] [model]", "check a file of the inbox, or all that is new there, and see the verdict here"),
    ("status [model]", "every model: version in use, last verdict, open incidents, what is snoozed"),
    ("retrain [model]", "choose labelled files and approve a retrain (approvers only)"),
    ("cancel [model or number]", "end a retrain that is queued or running (approvers only)"),
    ("sample [file] [model]", "500 rows of a batch that are worth labelling, as a file (approvers only)"),
    ("history [model]", "the last checks of a model"),
    ("rollback [model]", "go back to an earlier version (approvers only)"),
    ("help", "this text"),
)


def help_blocks(command: str = "/drift", bot: str = "@DriftCatcher", models: Sequence[str] = ()) -> Message:
    """What can be asked, for somebody who has never seen the bot."""
    intro = (
        "I watch the data that your models get. When it drifts, I say so in the channel. Somebody approves a"
        " retrain on old and new labelled data, compares both versions, and promotes the new one."
        " One button takes it back."
    )
    lines = [f"• `{escape(command)} {usage}`: {what}" for usage, what in HELP]
    blocks = [section(intro), section("\n".join(lines))]
    mention = f"`{escape(bot)} status`"
    blocks.append(context(f"Slack has no commands inside threads. There, mention me instead: {mention}."))
    if models:
        shown = ", ".join(name(model, 40) for model in models[:20])
        rest = f" and {len(models) - 20:,} more" if len(models) > 20 else ""
        blocks.append(context(f"Models: {shown}{rest}"))
    return Message(clip(intro + "\n" + "\n".join(lines), 3000), blocks)


def refusal(text: str, *, ours: bool = True) -> Message:
    """A refusal with its reason, for one person only.

    Args:
        text: a sentence; mentions of people and groups and times in it work, all other markup is escaped.
        ours: False for a text with foreign names in it (files, labels): then mentions are escaped too.
    """
    safe = clip(escape_sentence(text) if ours else escape(text), 3000)
    return Message(safe, [section(safe)])
