"""What is said about a retrain: start, result with both models side by side, what came of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.expectation_text import came_line, expectation_line
from bot.slack import ids
from bot.slack.blocks import (
    Block,
    Message,
    actions,
    button,
    clip,
    confirmation,
    context,
    header,
    section,
    table,
    verbatim,
)
from bot.slack.shadow_blocks import announcement
from bot.slack.text import (
    bullets,
    clean,
    clock,
    count,
    difference,
    escape,
    file_name,
    link,
    listed,
    percent,
    person,
    when,
)
from detectors.metrics import MEANS, ClassMetrics, recall_of
from detectors.metrics import RATES as RATES_OF_CLASSES
from state.records import Retrain, Shadow
from trainers.base import Evaluation, RetrainOutcome
from trainers.judgement import Expectation

# Field of detectors.performance.Metrics, and what people call it.
RATES = (
    ("accuracy", "Accuracy"),
    ("precision", "Precision"),
    ("recall", "Recall"),
    ("f1", "F1"),
    ("fpr", "False positive rate"),
    ("fnr", "False negative rate"),
)
AVERAGES = tuple(
    (f"{mean}_{rate}", f"{mean.capitalize()} {said}")
    for mean in MEANS
    for rate, said in zip(RATES_OF_CLASSES, ("precision", "recall", "F1"), strict=True)
)
HOLDOUTS = {"old": "Old hold-out", "new": "New hold-out"}


def retrain_started(
    retrain: Retrain, steps: Sequence[str] = (), expected: Expectation | None = None
) -> Message:
    """First reply in the thread; may be edited with the newest steps while the retrain runs."""
    rows = sum(file.rows for file in retrain.files)
    files = listed([file_name(file.path) for file in retrain.files], 5)
    text = (
        f"*Retrain started.* Approved by {person(retrain.approved_by)} at {clock(retrain.approved_at)}"
        f"{_forced(retrain)}.\nTraining data: everything version {retrain.champion_version} learned from,"
        f" and {count(len(retrain.files), 'new file')} ({count(rows, 'row')}): {files}."
    )
    blocks = [section(text)]
    if retrain.why.strip():
        blocks.append(section(f"Reason given: {escape(clean(retrain.why, 1000))}"))
    if expected is not None:
        blocks.append(context(escape(expectation_line(expected))))
    if steps:
        blocks.append(context("\n".join(escape(clean(step, 200)) for step in steps[-5:])))
    if retrain.state in ("queued", "running"):
        blocks.append(actions(_cancel_button(retrain)))
    return Message(clip(text, 2000), blocks)


def _cancel_button(retrain: Retrain) -> Block:
    sure = confirmation(
        "Cancel this retrain?",
        f"It ends at once and nothing of it is kept. Version {retrain.champion_version} stays in use, and a retrain"
        " may be approved again.",
        "Cancel the retrain",
        no="Let it run",
        style="danger",
    )
    return button("Cancel", ids.RETRAIN_CANCEL, str(retrain.id), confirm=sure)


def _forced(retrain: Retrain) -> str:
    return ", before the cool-down was over" if retrain.forced else ""


def retrain_finished(
    retrain: Retrain,
    outcome: RetrainOutcome,
    expected: Expectation | None = None,
    shadow: Shadow | None = None,
) -> Message:
    """The result: metrics on the same hold-outs, the recommendation with its reasons, and the two buttons.

    Once somebody has decided, the decision stands where the buttons were.
    """
    version, model = outcome.version.version, clean(retrain.model)
    advised = outcome.recommendation == "promote"
    title = f"{'🟢' if advised else '🟠'} {model}: version {version} is trained"
    advice = f"promote version {version}" if advised else f"keep version {retrain.champion_version}"
    reasons = bullets([escape(clean(reason, 300)) for reason in outcome.reasons], 8, 1800)
    said = f"*Recommendation: {advice}.* You decide."
    blocks = [header(title), section(f"{said}\n{reasons}".strip()), *metrics_table(retrain, outcome)]
    if expected is not None and (came := came_line(expected, retrain)):
        blocks.append(context(f"{escape(came)}."))
    blocks.append(context(_provenance(outcome)))
    notes = [*outcome.notes, *map(str, outcome.ledger)]
    if notes:
        blocks.append(context(bullets([escape(clean(note, 200)) for note in notes], 6, 1200)))
    if retrain.state in ("promoted", "kept", "rolled_back"):
        blocks.append(section(outcome_line(retrain)))
    else:
        blocks += [section(announcement(shadow))] if shadow is not None else []
        blocks.append(actions(*_decision_buttons(retrain, outcome)))
    spoken = [escape(title) + ".", said, *(f"{line}." for line in _spoken(outcome))]
    return Message(clip(" ".join(spoken), 2000), blocks)


def metrics_table(retrain: Retrain, outcome: RetrainOutcome) -> list[Block]:
    """Champion and challenger side by side: one row a metric, one column a hold-out."""
    pairs = list(zip(outcome.champion, outcome.challenger, strict=True))
    heads = [f"{HOLDOUTS[new.holdout]}, {count(new.rows, 'row')}" for _, new in pairs]
    classes = _classes(outcome)
    rows = [(title, *(_rate(*pair, field) for pair in pairs)) for field, title in _rates(classes)]
    if not classes:
        rows.append(("ROC AUC", *(_auc(before, after) for before, after in pairs)))
    block, shown = table(("Metric", *heads), rows)
    reading = (
        f"Each cell: version {retrain.champion_version} → version {outcome.version.version},"
        f" and the difference in percentage points{'' if classes else ' (ROC AUC: from 0 to 1)'}."
    )
    if shown < len(rows):
        reading += f" {count(len(rows) - shown, 'more class', 'more classes')} in the MLflow run."
    return [block, context(reading)]


def _classes(outcome: RetrainOutcome) -> tuple[str, ...]:
    """The names where each counts by itself."""
    found = (evaluation.metrics for evaluation in outcome.challenger)
    return next((metrics.classes for metrics in found if isinstance(metrics, ClassMetrics)), ())


def _rates(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Which metrics are shown, and what they are called."""
    if not classes:
        return list(RATES)
    each = [(recall_of(name), f"Recall of {clean(name, 40)}") for name in classes]
    return [RATES[0], *AVERAGES[: len(RATES_OF_CLASSES)], *each]


def _rate(before: Evaluation, after: Evaluation, field: str) -> str:
    old, new = _metric(before, field), _metric(after, field)
    return _arrow(percent(old), percent(new), difference(old, new))


def _auc(before: Evaluation, after: Evaluation) -> str:
    old, new = _metric(before, "roc_auc"), _metric(after, "roc_auc")
    shown = ["n/a" if value is None else f"{value:.3f}" for value in (old, new)]
    return _arrow(shown[0], shown[1], difference(old, new, scale=1, decimals=3))


def _metric(evaluation: Evaluation, field: str) -> float | None:
    return evaluation.metrics.value(field)


def _arrow(old: str, new: str, moved: str) -> str:
    return f"{old} → {new} ({moved})" if moved else f"{old} → {new}"


def _spoken(outcome: RetrainOutcome) -> list[str]:
    """Recall in words, for notifications: it is the metric that drift hurts first."""
    field, said = ("macro_recall", "Macro recall") if _classes(outcome) else ("recall", "Recall")
    return [
        f"{said} on the {HOLDOUTS[new.holdout].lower()}: {_rate(old, new, field)}"
        for old, new in zip(outcome.champion, outcome.challenger, strict=True)
    ]


def _provenance(outcome: RetrainOutcome) -> str:
    parts = [
        link(outcome.version.run_url, "MLflow run"),
        f"trainer {escape(clean(outcome.version.trainer, 40))}",
    ]
    if outcome.duplicates:
        parts.append(f"{count(outcome.duplicates, 'duplicate row')} dropped")
    if outcome.conflicts:
        parts.append(f"{count(outcome.conflicts, 'row')} with the same values but another label")
    return " · ".join(parts)


def _decision_buttons(retrain: Retrain, outcome: RetrainOutcome) -> list[Block]:
    key, version = str(retrain.id), outcome.version.version
    if outcome.recommendation == "promote":
        promote = button(f"Promote version {version}", ids.RETRAIN_PROMOTE, key, style="primary")
    else:
        sure = confirmation(
            f"Promote version {version} all the same?",
            f"The gate recommends to keep version {retrain.champion_version}. You can roll back afterwards.",
            "Promote",
            style="danger",
        )
        promote = button(f"Promote version {version}", ids.RETRAIN_PROMOTE, key, style="danger", confirm=sure)
    return [promote, button(f"Keep version {retrain.champion_version}", ids.RETRAIN_KEEP, key)]


def retrain_failed(retrain: Retrain, error: str) -> Message:
    """The retrain came to nothing: why, and that nothing else changed."""
    if retrain.state == "cancelled":
        return _cancelled(retrain)
    what = "was interrupted when the bot stopped" if retrain.state == "interrupted" else "failed"
    text = f"🔴 *The retrain {what}.* Version {retrain.champion_version} stays in use; nothing was changed."
    again = "Approve a retrain again once the cause is gone."
    reason = [verbatim(error)] if error.strip() else []
    return Message(f"{text} {escape(clean(error or again, 500))}", [section(text), *reason, context(again)])


def _cancelled(retrain: Retrain) -> Message:
    text = (
        f"⚪ *The retrain was cancelled* by {person(retrain.decided_by or '')}{_at(retrain)}."
        f" Version {retrain.champion_version} stays in use; nothing was changed."
    )
    reason = [section(f"Reason given: {escape(clean(retrain.error, 1000))}")] if retrain.error else []
    return Message(
        text, [section(text), *reason, context("It costs no cool-down: approve again at any time.")]
    )


def promoted(retrain: Retrain, version: int, by: str) -> Message:
    """The new version is in use; the way back is one button. After a roll back it says so instead."""
    if retrain.state == "rolled_back":
        text = f"⚪ *Version {version} was in use for a while.* {outcome_line(retrain)}"
        return Message(text, [section(text)])
    text = (
        f"🟢 *Version {version} is in use.* Promoted by {person(by)}{_at(retrain)}."
        " Model and baseline moved together: new batches are compared with the data of this version."
    )
    back = confirmation(
        f"Roll back to version {retrain.champion_version}?",
        f"Version {retrain.champion_version} and its baseline are in use again."
        f" Version {version} stays in the registry.",
        "Roll back",
        style="danger",
    )
    undo = button(
        f"Roll back to version {retrain.champion_version}",
        ids.RETRAIN_ROLLBACK,
        str(retrain.id),
        confirm=back,
    )
    return Message(text, [section(text), actions(undo)])


def rolled_back(retrain: Retrain, version: int, by: str) -> Message:
    """The earlier version is in use again, and so is its baseline."""
    text = (
        f"↩️ *Version {version} is in use again.* Rolled back by {person(by)}{_at(retrain)}."
        " Its baseline came back with it."
    )
    return Message(text, [section(text)])


def kept(retrain: Retrain, by: str, in_use: int | None = None) -> Message:
    """Somebody decided against the challenger; `in_use` is the version that stays, if not the one it was up against."""
    stays = in_use or retrain.champion_version
    text = f"⚪ *Version {stays} stays in use.* Decided by {person(by)}{_at(retrain)}."
    if retrain.incident_id is not None and stays == retrain.champion_version:
        text += " The drift is still there, so the incident stays open."
    return Message(text, [section(text)])


def _at(retrain: Retrain) -> str:
    return f", {when(retrain.decided_at)}" if retrain.decided_at else ""


def outcome_line(retrain: Retrain) -> str:
    """What became of a retrain, in one line of mrkdwn; empty while nothing has."""
    new = retrain.outcome.version.version if retrain.outcome else None
    who = f" by {person(retrain.decided_by)}" if retrain.decided_by else ""
    old = retrain.back_to or retrain.champion_version
    return {
        "promoted": f"Version {new} was promoted{who}{_at(retrain)}.",
        "kept": f"Decided{who}{_at(retrain)}: version {new} is not promoted.",
        "rolled_back": f"Version {new} was rolled back{who}{_at(retrain)}; version {old} is in use again.",
        "failed": f"The last retrain failed: {escape(clean(retrain.error or 'no message', 200))}",
        "cancelled": f"The last retrain was cancelled{who}{_at(retrain)}.",
        "interrupted": "The last retrain was interrupted when the bot stopped. Approve again to repeat it.",
    }.get(retrain.state, "")
