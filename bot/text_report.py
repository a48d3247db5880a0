"""A check and the status as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.estimates import estimates_line
from bot.sentences import cause_lines, estimate_lines
from bot.shadow_text import status_line
from bot.status import ModelStatus, counted
from detectors.report import DriftReport, FeatureDrift
from state.records import Batch

SHOWN = 15  # features a person reads; --json has all
WHY = 100  # characters of a reason; it may be as long as somebody likes


def report_text(model: str, batch: Batch, report: DriftReport) -> str:
    """Verdict first, then what drifted, worst first, then what could not be measured."""
    psi = "not measured" if report.overall_psi is None else f"{report.overall_psi:.3f}"
    name = batch.path.rsplit("/", 1)[-1]
    lines = [
        f"{model}: {report.verdict.replace('_', ' ')}  (recommendation: {report.recommendation})",
        f"  {name}, {report.rows:,} rows, against the baseline of version {report.baseline_version}; "
        f"overall PSI {psi}; policy {report.policy}",
    ]
    if report.rows_needed is not None:
        lines.append(f"  {report.rows_needed:,} rows would be enough for a verdict")
    if report.drifted:
        lines += ["", *_table([_row(f) for f in report.drifted[:SHOWN]])]
        if len(report.drifted) > SHOWN:
            lines.append(f"  and {len(report.drifted) - SHOWN} more (--json has all)")
    if report.causes:
        lines += ["", *(f"  cause: {line}" for line in cause_lines(report))]
    lines += [f"  {line}" for line in estimate_lines(report)]
    lines += [f"  error: {e}" for e in report.errors]
    lines += [f"  note: {n}" for n in report.notes]
    return "\n".join(lines)


def _row(finding: FeatureDrift) -> tuple[str, ...]:
    score = f"{finding.detector.upper()} {finding.statistic:.3f}"
    return finding.feature[:40], score, _p(finding.p_value), finding.severity, finding.detail


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return f"p {value:.1e}" if value else "p < 1e-300"  # less than a float can tell


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def status_text(status: ModelStatus) -> str:
    """One model in a few lines."""
    champion = "not trained yet"
    if status.champion_version is not None:
        champion = f"champion version {status.champion_version} since {_at(status.champion_since)}"
    lines = [f"{status.model}: {champion}", f"  last check: {_last(status.last_batch)}"]
    if status.open_incident is not None:
        incident = status.open_incident
        lines.append(
            f"  incident {incident.id}: {incident.state}, since {_at(incident.opened_at)}, "
            f"{incident.batches} batch{'es' * (incident.batches != 1)}"
        )
    if status.running is not None:
        lines.append(
            f"  retrain {status.running.id}: {status.running.state}, approved by {status.running.approved_by}"
        )
    if status.shadow is not None:
        lines.append(f"  {status_line(status.shadow)}; `driftcatcher shadow` shows more")
    for title, until in (
        ("alert cool-down", status.alert_cooldown_until),
        ("retrain cool-down", status.retrain_cooldown_until),
        ("snoozed", status.silence_until),
    ):
        if until is not None:
            lines.append(f"  {title} until {_at(until)}")
    if status.last_performance is not None:
        record = status.last_performance
        accuracy = record.metrics.get("accuracy")
        shown = "" if accuracy is None else f", accuracy {accuracy:.4f}"
        case = f", {record.case.replace('_', ' ')}" if record.case else ""
        lines.append(
            f"  last performance: {_at(record.at)}, {record.rows:,} rows{shown}, "
            f"{len(record.breaches)} out of bounds{case}"
        )
    if status.estimates is not None:
        lines.append(f"  {estimates_line(status.estimates)}")
    lines.append(
        f"  so far: {counted(status.counters) or 'nothing yet'}; labelled files waiting: {status.labelled_waiting}"
    )
    lines += [f"  the serving {kind} does not have the champion yet" for kind in status.to_hand_over]
    if status.waiting_for_mlflow:
        lines.append(
            f"  waiting for MLflow: {status.waiting_for_mlflow:,}; "
            "the running bot logs them, or `driftcatcher mlflow --sync`"
        )
    lines += [f"  cannot be used: {reason}" for reason in status.unusable]
    for decision in status.decisions:
        reason = " ".join(decision.why.split())
        why = f" ({reason if len(reason) <= WHY else reason[: WHY - 1] + '…'})" if reason else ""
        lines.append(f"    {_at(decision.at)}  {decision.what} {decision.subject} by {decision.who}{why}")
    for point in status.history:
        psi = "     " if point.overall_psi is None else f"{point.overall_psi:.3f}"
        name = point.path.rsplit("/", 1)[-1]
        lines.append(f"    {_at(point.at)}  PSI {psi}  {point.verdict:<17} {name}  {point.worst}".rstrip())
    return "\n".join(lines)


def _last(batch: Batch | None) -> str:
    if batch is None:
        return "none"
    name = batch.path.rsplit("/", 1)[-1]
    result = batch.verdict if batch.state == "checked" else f"{batch.state}: {batch.error}"
    return f"{name} at {_at(batch.checked_at or batch.claimed_at)}: {result}"


def _at(moment: datetime | None) -> str:
    return "?" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
