"""The one message of an incident, for each state it can be in. Pure: records in, Block Kit out.

The first two lines say which model, how bad, and what to do; the message is edited in place as things change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.shadow_text import status_line
from bot.slack import ids
from bot.slack.batch_blocks import cost, drifted_table, facts, feature_lines, headline, meaning
from bot.slack.blocks import (
    Block,
    Message,
    Style,
    actions,
    button,
    clip,
    confirmation,
    header,
    option,
    section,
)
from bot.slack.retrain_blocks import metrics_table, outcome_line
from bot.slack.text import capital, clean, clock, count, escape, file_name, link, listed, name, person, when
from detectors.report import DriftReport
from state.records import BOT, Batch, Feedback, Incident, Retrain, Shadow, Silence
from trainers.base import ModelVersion

SNOOZES: Mapping[str, tuple[str, timedelta]] = {
    "6h": ("Snooze for 6 hours", timedelta(hours=6)),
    "24h": ("Snooze for 24 hours", timedelta(hours=24)),
    "7d": ("Snooze for 7 days", timedelta(days=7)),
}
END = "end"
NAMED = 5  # people whose opinion is shown by name


@dataclass(frozen=True, slots=True)
class _Case:
    """All that the message is made from."""

    incident: Incident
    batch: Batch
    champion: ModelVersion | None
    retrain: Retrain | None
    silence: Silence | None
    labelled: int
    folder: str
    label_column: str
    baseline_rows: int | None
    alert_cooldown: timedelta
    cooling_until: datetime | None
    feedback: Sequence[Feedback]
    broken: Batch | None
    shadow: Shadow | None


@dataclass(frozen=True, slots=True)
class _Parts:
    """The message before it is put together: plain headline, mrkdwn of the second line, the rest."""

    title: str
    advice: str
    body: list[Block]
    buttons: list[Block]


def incident_message(
    incident: Incident,
    batch: Batch,
    *,
    champion: ModelVersion | None = None,
    latest_retrain: Retrain | None = None,
    silence: Silence | None = None,
    labelled: int = 0,
    labelled_folder: str = "",
    label_column: str = "",
    baseline_rows: int | None = None,
    alert_cooldown: timedelta = timedelta(0),
    cooling_until: datetime | None = None,
    feedback: Sequence[Feedback] = (),
    broken: Batch | None = None,
    shadow: Shadow | None = None,
    chart_url: str = "",
) -> Message:
    """The message of an incident in its present state.

    Args:
        incident: the incident; its state decides on headline and buttons.
        batch: its newest checked batch.
        champion: the version in use now.
        latest_retrain: the newest retrain of this incident, in whatever state.
        silence: the snooze that holds now, None if there is none or it is over.
        labelled: labelled files that wait and no version has learned from.
        labelled_folder: where to put labelled files, as people know it.
        label_column: name of the label column.
        baseline_rows: rows that the baseline of the batch was fitted on.
        alert_cooldown: how long after an alert no new incident is opened.
        cooling_until: when the retrain cool-down ends, None if it is over.
        feedback: what counts of this incident, one opinion a person.
        broken: the model's newest batch, if its feed is broken: until it is set aside nothing may be approved.
        shadow: the shadow period of `latest_retrain`, if it has one.
        chart_url: the MLflow run in which the checks are a chart; empty before there is one.
    """
    case = _Case(
        incident,
        batch,
        champion,
        latest_retrain if latest_retrain and latest_retrain.incident_id == incident.id else None,
        silence,
        labelled,
        labelled_folder or f"labeled/{incident.model}/",
        label_column,
        baseline_rows,
        alert_cooldown,
        cooling_until,
        feedback,
        broken,
        shadow,
    )
    parts = _STATES[incident.state](case)
    blocks = [
        header(parts.title),
        section(parts.advice),
        section(_facts(case) + _chart(chart_url)),
        *parts.body,
    ]
    if parts.buttons:
        blocks.append(actions(*parts.buttons))
    return Message(_fallback(parts, case), blocks)


def _open(case: _Case) -> _Parts:
    report = case.batch.report
    title = headline(case.incident.model, report) if report else f"🔴 {clean(case.incident.model)}: drift"
    lines = [_advice(case)]
    if case.silence:
        lines.insert(
            0,
            f"*Snoozed until {when(case.silence.until)}* by {person(case.silence.by)}."
            " No new alert about drift until then; you can still act now.",
        )
    if case.retrain:
        lines.append(outcome_line(case.retrain))
    return _Parts(title, "\n".join(line for line in lines if line), _features(case), _open_buttons(case))


def _advice(case: _Case) -> str:
    """What to do now, and what that means."""
    report = case.batch.report
    if case.broken is not None:
        return (
            f"*A retrain cannot be approved now:* the newest batch, {file_name(case.broken.path)}, is a broken feed."
            " *Next step:* mend the feed, or quarantine that batch."
        )
    if report is None:
        return "*Next step:* look at the thread; the newest batch was not measured."
    if report.recommendation not in ("label", "retrain"):
        return meaning(report)
    if not case.labelled or not _cost_known(report):
        return _label_some(case)
    waiting = f"{count(case.labelled, 'labelled file')} {'waits' if case.labelled == 1 else 'wait'}"
    stays = f"Version {case.champion.version}" if case.champion else "The present version"
    cooling = (
        f" The last retrain was a short while ago: until {when(case.cooling_until)} the form asks to override"
        " the cool-down."
        if case.cooling_until
        else ""
    )
    return (
        f"*Next step: approve a retrain.* {waiting} in {name(case.folder, 200)}. "
        f"{stays} stays in use until somebody promotes the new one.{cooling}"
    )


def _cost_known(report: DriftReport) -> bool:
    """Whether labelled rows are for a retrain, and not first of all for what the drift has cost."""
    harmless = report.estimate is not None and report.estimate.harmless
    return report.recommendation == "retrain" or (report.verdict == "drift" and not harmless)


def _labels_first(case: _Case) -> bool:
    """Whether to label is what is recommended, and nobody has brought labels that would do."""
    report = case.batch.report
    if report is None or report.recommendation != "label":
        return False
    return not case.labelled or not _cost_known(report)


def _label_some(case: _Case) -> str:
    drawn = "Press *Sample rows to label* for some that are worth it. "
    column = f"the label column {name(case.label_column)}" if case.label_column else "the label column"
    if case.labelled:
        return (
            f"*Next step: label some rows of this batch.* {drawn}Only labels show what it has cost. If it has, put "
            f"them as a CSV with {column} into {name(case.folder, 200)} and press *Approve retrain*."
        )
    return (
        f"*Next step: label some rows of this batch.* {drawn}No labelled rows are waiting yet. "
        f"Put a CSV with {column} into {name(case.folder, 200)}, then press *Approve retrain*."
    )


def _open_buttons(case: _Case) -> list[Block]:
    key, report = str(case.incident.id), case.batch.report
    buttons: list[Block] = []
    fed = report is None or report.verdict != "broken_feed"
    first = _labels_first(case)
    sample = _sample_button(key, "primary" if first else None)
    if fed and case.broken is None:  # a retrain would learn the fault
        style: Style | None = "primary" if report and report.verdict == "drift" and not first else None
        buttons.append(button("Approve retrain", ids.INCIDENT_APPROVE, key, style=style))
    if fed:
        buttons.insert(0 if first else 1, sample)
    close = confirmation(
        "Dismiss as false alarm?",
        f"The incident is closed for everybody and nothing is retrained. {_afterwards(case.alert_cooldown)}",
        "Dismiss",
        style="danger",
    )
    return [
        *buttons,
        _snooze(case),
        button("True drift", ids.INCIDENT_CONFIRM, key),
        button("Dismiss as false alarm", ids.INCIDENT_DISMISS, key, confirm=close),
        _details(case),
    ]


def _sample_button(key: str, style: Style | None) -> Block:
    ask = confirmation(
        "Draw rows to label?",
        "Some 500 rows of the newest batch come as a file into this thread: everybody in the channel can read them.",
        "Draw",
    )
    return button("Sample rows to label", ids.INCIDENT_SAMPLE, key, style=style, confirm=ask)


def _afterwards(cooldown: timedelta) -> str:
    """What a batch that drifts does after the incident was dismissed."""
    if not cooldown:
        return "The next batch that drifts opens a new incident."
    return (
        f"Batches stay quiet for the alert cool-down ({_length(cooldown)}, counted from this alert); if the"
        " newest one still drifts after that, it opens a new incident."
    )


def _length(time: timedelta) -> str:
    minutes = max(round(time.total_seconds() / 60), 1)
    for size, unit in ((24 * 60, "day"), (60, "hour")):
        if minutes % size == 0:
            return count(minutes // size, unit)
    return count(minutes, "minute")


def _snooze(case: _Case, choices: Mapping[str, str] | None = None) -> Block:
    """The value of each choice carries the incident, as a button's value does."""
    if choices is None:
        choices = {choice: label for choice, (label, _) in SNOOZES.items()}
        choices |= {END: "End the snooze"} if case.silence else {}
    return {
        "type": "static_select",
        "action_id": ids.INCIDENT_SNOOZE,
        "placeholder": {"type": "plain_text", "text": "Snooze", "emoji": False},
        "options": [option(label, f"{case.incident.id}:{choice}") for choice, label in choices.items()],
    }


def snooze_choice(value: str) -> tuple[int, timedelta | None]:
    """The incident and the duration behind a choice of the snooze menu, e.g. `"3:24h"`; None ends the snooze.

    Raises:
        ValueError: the value is not one that `incident_message` writes.
    """
    number, _, choice = value.partition(":")
    if not number.isdecimal() or choice not in (*SNOOZES, END):
        raise ValueError(f"Not a snooze choice: {value!r}")
    return int(number), SNOOZES[choice][1] if choice in SNOOZES else None


def _details(case: _Case) -> Block:
    return button("Details", ids.INCIDENT_DETAILS, str(case.incident.id))


def _features(case: _Case) -> list[Block]:
    report = case.batch.report
    return [*drifted_table(report, "in Details"), *cost(report)] if report else []


def _retraining(case: _Case) -> _Parts:
    title = f"🔵 {clean(case.incident.model)}: retrain is running"
    advice = "The result comes in this thread. Nothing to do until then."
    if case.retrain:
        waiting = case.retrain.state == "queued"
        state = "retrain waits for its turn" if waiting else "retrain is running"
        advice = (
            f"Approved by {person(case.retrain.approved_by)} at {clock(case.retrain.approved_at)}; {state}. "
            + advice
        )
        title = f"🔵 {clean(case.incident.model)}: {state}"
    return _Parts(title, advice, _features(case), [_details(case)])


def _decision(case: _Case) -> _Parts:
    outcome = case.retrain.outcome if case.retrain else None
    title = f"🟡 {clean(case.incident.model)}: retrain finished, your decision"
    if outcome is None or case.retrain is None:
        return _Parts(title, "*Next step:* decide in the thread.", [], [_details(case)])
    said = "promote it" if outcome.recommendation == "promote" else "keep the present version"
    advice = (
        f"*Next step: promote version {outcome.version.version} or keep version"
        f" {case.retrain.champion_version}; the buttons are in the thread.* The gate recommends to {said}."
    )
    if case.shadow is not None:
        advice += f"\n{capital(status_line(case.shadow))}."
    return _Parts(title, advice, metrics_table(case.retrain, outcome), [_details(case)])


def _resolved(case: _Case) -> _Parts:
    model = clean(case.incident.model)
    if case.retrain and case.retrain.state == "promoted" and case.retrain.outcome:
        title = f"🟢 {model}: resolved, version {case.retrain.outcome.version.version} is in use"
        return _Parts(title, outcome_line(case.retrain), [], [_details(case)])
    if case.incident.closed_at and case.incident.closed_by == BOT:
        over = f"The newest batches look like the baseline again: closed {when(case.incident.closed_at)}."
        return _Parts(f"🟢 {model}: the drift is over", over + " Nothing more to do.", [], [_details(case)])
    return _Parts(f"🟢 {model}: resolved", _closed("Resolved", case.incident), [], [_details(case)])


def _dismissed(case: _Case) -> _Parts:
    title, text = (
        f"⚪ {clean(case.incident.model)}: dismissed as false alarm",
        _closed("Dismissed", case.incident),
    )
    if not case.silence:
        return _Parts(title, text, [], [])
    quiet = f" No new alert about drift until {when(case.silence.until)}."
    return _Parts(title, text + quiet, [], [_snooze(case, {END: "End the snooze"})])


def _closed(verb: str, incident: Incident) -> str:
    by = f" by {person(incident.closed_by)}" if incident.closed_by else ""
    at = f", {when(incident.closed_at)}" if incident.closed_at else ""
    return f"{verb}{by}{at}. Nothing more to do."


def _facts(case: _Case) -> str:
    text = facts(case.batch, case.baseline_rows, with_drift=case.incident.state != "open")
    if case.incident.batches > 1:
        text = f"{case.incident.batches:,} batches since {when(case.incident.opened_at)}; the newest: {text}"
    used = case.champion.version if case.champion else None
    if case.incident.state == "open" and used is not None and str(used) != case.batch.baseline_version:
        text += f" · version {used} is in use now"
    return "\n".join([text, *_opinions(case)])


def _chart(url: str) -> str:
    return f"\nDrift over time: {link(url, 'MLflow run')}" if url else ""


def _opinions(case: _Case) -> list[str]:
    """What people have said of the alert; whoever dismissed it is named above already."""
    closer = case.incident.closed_by if case.incident.state == "dismissed" else None
    lines = []
    for verdict, words in (
        ("true_drift", "Confirmed as true drift"),
        ("false_alarm", "Called a false alarm"),
    ):
        who = [
            person(said.who)
            for said in case.feedback
            if said.verdict == verdict and not (verdict == "false_alarm" and said.who == closer)
        ]
        if who:
            lines.append(f"{words} by {listed(who, NAMED)}")
    return lines


def _fallback(parts: _Parts, case: _Case) -> str:
    """The whole in words, for notifications and screen readers."""
    lines = [escape(parts.title), parts.advice, _facts(case)]
    unsettled = case.incident.state in ("open", "retraining")
    if unsettled and case.batch.report and (worst := feature_lines(case.batch.report.drifted)[:3]):
        lines.append(escape("Worst: " + ", ".join(line.feature for line in worst)))
    return clip("\n".join(lines), 3000)


_STATES: Mapping[str, Callable[[_Case], _Parts]] = {
    "open": _open,
    "retraining": _retraining,
    "decision": _decision,
    "resolved": _resolved,
    "dismissed": _dismissed,
}
