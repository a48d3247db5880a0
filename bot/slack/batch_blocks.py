"""What is said about one checked batch: findings, details, and errors that must be seen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from bot.sentences import cause_lines, estimate_lines
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
    more_note,
    section,
    table,
    verbatim,
)
from bot.slack.text import bullets, clean, count, escape, file_name, listed, name, probability, score, when
from detectors.findings import JOINT
from detectors.report import DriftReport, FeatureDrift
from detectors.track_record import PREDICTIONS
from state.records import OURS, Batch

EMOJI = {"stable": "🟢", "warning": "🟠", "drift": "🔴", "insufficient_data": "⚪", "broken_feed": "🟣"}
PSI_LEGEND = (
    "PSI (population stability index) says how far a feature has moved from the baseline: "
    "0 is not at all, above 0.2 is a lot."
)
NO_FEATURES = frozenset({*PREDICTIONS, *JOINT})  # findings that are about no single feature
TOP = 6  # features in a message; all are in Details


@dataclass(frozen=True, slots=True)
class FeatureLine:
    """All findings on one feature: the worst one leads, the scores of every detector are shown."""

    feature: str
    detail: str
    scores: str
    severity: str


def feature_lines(findings: Sequence[FeatureDrift]) -> list[FeatureLine]:
    """One line a feature, in the order of the findings (worst first)."""
    grouped: dict[str, list[FeatureDrift]] = {}
    for finding in findings:
        grouped.setdefault(finding.feature, []).append(finding)
    only_one = len({finding.detector for finding in findings}) <= 1
    return [
        FeatureLine(
            feature=clean(feature, 48),
            detail=next((f.detail for f in group if f.detail), ""),
            scores=", ".join(
                score(f.statistic) if only_one else f"{detector_title(f.detector)} {score(f.statistic)}"
                for f in group
            ),
            severity=group[0].severity,
        )
        for feature, group in grouped.items()
    ]


def score_column(findings: Sequence[FeatureDrift]) -> str:
    """Head of the column with the scores: the detector's name if there is only one."""
    names = {finding.detector for finding in findings}
    return detector_title(names.pop()) if len(names) == 1 else "Score"


def detector_title(detector: str) -> str:
    return detector.upper() if len(detector) <= 3 else detector


def drifted_table(report: DriftReport, where: str = "") -> list[Block]:
    """The worst drifted features, how many more there are and `where`; nothing when none drifted."""
    lines = feature_lines(report.drifted)
    if not lines:
        return []
    columns = ("Feature", "What changed", score_column(report.drifted), "Severity")
    block, shown = table(
        columns, [(x.feature, x.detail, x.scores, x.severity) for x in lines[:TOP]], right=(2,)
    )
    left = sum(line.feature not in NO_FEATURES for line in lines[shown:])
    rest = more_note(left, "drifted feature", where)
    return [block, context(rest)] if rest else [block]


def totals(report: DriftReport) -> tuple[int, int]:
    """How many features drifted, of how many that were measured."""
    drifted, measured = {f.feature for f in report.drifted}, {f.feature for f in report.features}
    return len(drifted - NO_FEATURES), len(measured - NO_FEATURES)


def headline(model: str, report: DriftReport) -> str:
    """One line: which model, how bad. Plain text."""
    drifted, measured = totals(report)
    overall = "" if report.overall_psi is None else f", overall PSI {score(report.overall_psi)}"
    of = f", {drifted:,} of {count(measured, 'feature')}" if drifted else overall
    said = {
        "stable": "stable",
        "warning": f"moderate drift{of}",
        "drift": f"significant drift{of}",
        "insufficient_data": "could not be measured" if report.unmeasured else "not enough rows to judge",
        "broken_feed": "the feed looks broken",
    }
    return f"{EMOJI[report.verdict]} {clean(model)}: {said[report.verdict]}"


def facts(batch: Batch, baseline_rows: int | None = None, *, with_drift: bool = False) -> str:
    """Which file, how many rows, when, compared with what, how far overall. mrkdwn, two lines.

    `with_drift` counts the drifted features too, where the headline does not.
    """
    report = batch.report
    first = [file_name(batch.path)]
    if (rows := report.rows if report else batch.rows) is not None:
        first.append(count(rows, "row"))
    first.append(f"checked {when(batch.checked_at or batch.claimed_at)}")
    size = "" if baseline_rows is None else f" ({count(baseline_rows, 'row')})"
    version = (report.baseline_version if report else "") or batch.baseline_version
    second = [f"Compared with the baseline of version {escape(clean(version, 20))}{size}"]
    if report:
        if with_drift:
            drifted, measured = totals(report)
            second.append(f"{drifted:,} of {count(measured, 'feature')} drifted")
        if report.overall_psi is not None:
            second.append(f"overall PSI {score(report.overall_psi)}")
    return " · ".join(first) + "\n" + " · ".join(second)


def check_reply(batch: Batch, baseline_rows: int | None = None) -> Message:
    """The answer to `/drift check`: verdict, what it means, the worst features. No buttons."""
    report = batch.report
    if report is None:
        return failed_batch_message(batch.model, batch.path, batch.error_kind or "error", batch.error or "")
    title = headline(batch.model, report)
    blocks = [
        header(title),
        section(meaning(report)),
        section(facts(batch, baseline_rows)),
        *drifted_table(report),
    ]
    blocks += cost(report)
    blocks += _remarks("Could not be measured", report.errors)
    return Message(_fallback(title, batch, report), blocks)


def cost(report: DriftReport) -> list[Block]:
    """The leading cause, and what the batch has probably cost the model; nothing where neither is known."""
    lines = [f"Mostly {line}" for line in cause_lines(report, 1)[:1]] + estimate_lines(report)
    return [context(escape(clean(line, 600))) for line in lines]


def meaning(report: DriftReport) -> str:
    """What a verdict asks of the reader, in one or two sentences. mrkdwn."""
    needed = "" if report.rows_needed is None else f" About {count(report.rows_needed, 'row')} would do."
    recommended = {
        "none": "",
        "investigate": " *Next step:* look at the features; a retrain is not recommended yet.",
        "label": " *Next step:* label some rows of this batch; a retrain needs them.",
        "retrain": " *Next step:* approve a retrain; it needs labelled rows of this batch.",
    }[report.recommendation]
    return {
        "stable": "The data looks like the data the model was trained on. Nothing to do.",
        "warning": _moderate(report) + recommended,
        "drift": "The data no longer looks like the data the model was trained on." + recommended,
        "insufficient_data": _unmeasured(report)
        or f"{count(report.rows, 'row')} cannot show whether the data has changed.{needed}"
        " Wait for a larger batch, or join several.",
        "broken_feed": "*Next step:* check where the file comes from; a retrain would learn the fault.",
    }[report.verdict]


def _moderate(report: DriftReport) -> str:
    """What a warning is about; not always a feature that moved."""
    if report.creeping:
        names = name(listed([clean(feature, 40) for feature in report.creeping], 5), 250)
        return f"No batch alone shows it, but this and earlier ones together do: {names} moves slowly away."
    if not report.drifted:
        return "No feature has moved enough by itself, but the model's estimated accuracy has fallen."
    return "The data has changed a little."


def _unmeasured(report: DriftReport) -> str:
    if not report.unmeasured:
        return ""
    names = name(listed([clean(feature, 40) for feature in report.unmeasured], 5), 250)
    return (
        f"*{count(len(report.unmeasured), 'feature')} could not be measured*, so nothing is known of them: {names}."
        " *Next step:* mend the detectors that failed, or take them out of the configuration."
    )


def unmeasured_message(batch: Batch) -> Message:
    """A batch whose features the detectors could not measure: it is not "no drift", and everybody can see so."""
    report = batch.report
    if report is None:
        return failed_batch_message(batch.model, batch.path, batch.error_kind or "error", batch.error or "")
    title = headline(batch.model, report).replace(EMOJI["insufficient_data"], "🟠", 1)
    blocks = [header(title), section(meaning(report)), section(facts(batch))]
    blocks += _remarks("What failed", report.errors)
    return Message(_fallback(title, batch, report), blocks)


def details_reply(batch: Batch, report: DriftReport) -> Message:
    """The long answer for the thread: every drifted feature with its numbers, then notes and errors."""
    drifted, measured = totals(report)
    title = escape(f"Details of {file_of(batch)}")
    summary = f"*Details* of {file_name(batch.path)}, {count(report.rows, 'row')}: "
    summary += (
        f"{drifted:,} of {count(measured, 'feature')} drifted" if drifted else "no single feature drifted"
    )
    blocks = [section(summary)]
    if drifted:
        columns = ("Feature", "What changed", "Score", "Effect", "p-value")  # more would not fit a thread
        block, shown = table(columns, [_finding_row(f) for f in report.drifted], right=(2, 3, 4))
        blocks.append(block)
        if rest := more_note(len(report.drifted) - shown, "finding", "in `driftcatcher check FILE --json`"):
            blocks.append(context(rest))
        blocks.append(
            context(f"{PSI_LEGEND} Effect is the score without the part that chance explains at this size.")
        )
    blocks += _remarks("Causes, by drift times importance to the model", cause_lines(report, 5))
    blocks += _remarks("What it has probably cost", estimate_lines(report))
    blocks += _remarks("Could not be measured", report.errors)
    blocks += _remarks("Notes", report.notes)
    return Message(f"{title}: {drifted:,} of {count(measured, 'feature')} drifted.", blocks)


def _finding_row(finding: FeatureDrift) -> tuple[str, ...]:
    return (
        clean(finding.feature, 48),
        clean(finding.detail, 80) if finding.detail else "",
        f"{detector_title(finding.detector)} {score(finding.statistic)}",
        score(finding.effect),
        probability(finding.p_value),
    )


def _remarks(title: str, lines: Sequence[str]) -> list[Block]:
    if not lines:
        return []
    return [section(f"*{title}*"), verbatim(bullets([clean(line, 300) for line in lines], 15, 1800))]


def broken_feed_message(batch: Batch) -> Message:
    """A batch whose feed is broken: said loudly, without a button to train on it, with one to set it aside."""
    report = batch.report
    if report is None and batch.error_kind == "released":
        title = f"⚪ {clean(batch.model)}: a batch was released from quarantine"
        return Message(title, [header(title), section(f"{file_name(batch.path)} is checked again.")])
    if report is None:
        return failed_batch_message(batch.model, batch.path, batch.error_kind or "error", batch.error or "")
    title = headline(batch.model, report)
    blocks = [header(title), section(meaning(report)), section(facts(batch))]
    blocks += _remarks("What is wrong", report.errors) + _remarks("Notes", report.notes)
    if batch.quarantine is not None:
        blocks.append(section("*Set aside in quarantine.* It is no part of the history any more."))
    if batch.quarantine is not None or report.verdict == "broken_feed":
        blocks.append(actions(_quarantine_button(batch)))
    return Message(_fallback(title, batch, report), blocks)


def _quarantine_button(batch: Batch) -> Block:
    if batch.quarantine is not None:
        return button("Release", ids.BATCH_RELEASE, str(batch.id))
    ask = confirmation(
        "Quarantine this batch?",
        "Its file is moved into the quarantine folder beside the inbox, and it is left out of the history."
        " Nothing is deleted; it can be released again.",
        "Quarantine",
    )
    return button("Quarantine", ids.BATCH_QUARANTINE, str(batch.id), confirm=ask)


def failed_batch_message(model: str, path: str, kind: str, message: str) -> Message:
    """A file that could not be read or measured: it is not "no drift", and everybody can see so."""
    title = f"🟠 {clean(model)}: a file could not be checked"
    file, message = clean(PurePath(path).name or path), without_folder(message, path)
    blocks = [
        header(title),
        section(f"{file_name(path)} was *not* checked for drift. {_remedy([kind])}"),
        verbatim(message),
        context(f"Kind of error: {name(kind, 40)}. The other files are checked as usual."),
    ]
    return Message(escape(f"{title}. {file} was not checked for drift: {clean(message, 300)}"), blocks)


def failed_batches_message(batches: Sequence[Batch]) -> Message:
    """Several files of one model that could not be checked, in one message.

    Args:
        batches: failed batches of the same model, at least one.
    """
    model = batches[0].model
    if len(batches) == 1:
        only = batches[0]
        return failed_batch_message(model, only.path, only.error_kind or "error", only.error or "")
    title = f"🟠 {clean(model)}: {count(len(batches), 'file')} could not be checked"
    told = f"They were *not* checked for drift. {_remedy([batch.error_kind or '' for batch in batches])}"
    lines = [_failure(batch) for batch in batches]
    blocks = [header(title), section(told), verbatim(bullets(lines, 20, 1900))]
    return Message(clip(escape(f"{title}: {listed([file_of(b) for b in batches], 5)}"), 2000), blocks)


def _remedy(kinds: Sequence[str]) -> str:
    """What to do about files that failed; the fault may be ours."""
    if all(kind in OURS for kind in kinds):
        return (
            "This is no fault of the file: it is tried again with the next scan, and the bot's log has more."
        )
    what = "the file and put it" if len(kinds) == 1 else "them and put them"
    return f"Correct {what} in the inbox again."


def _failure(batch: Batch) -> str:
    """One line with the file's name, once."""
    file, message = file_of(batch), clean(without_folder(batch.error or "no message", batch.path), 300)
    return message if file in message else f"{file}: {message}"


def without_folder(message: str, path: str) -> str:
    """The message with the file's name where its path stood: the channel need not know the machine's folders."""
    return message.replace(path, PurePath(path).name or path)


def file_of(batch: Batch) -> str:
    """The batch's file name as plain text."""
    return clean(PurePath(batch.path).name or batch.path)


def _fallback(title: str, batch: Batch, report: DriftReport) -> str:
    """The whole in words, for notifications and screen readers."""
    worst = ", ".join(line.feature for line in feature_lines(report.drifted)[:3])
    parts = [f"{title}.", f"{file_of(batch)}, {count(report.rows, 'row')}."]
    if worst:
        parts.append(f"Worst: {worst}.")
    return clip(escape(" ".join(parts)), 2000)
