"""How good the estimates without labels have been, told by the labels that came later. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from detectors.report import DriftReport
from state.records import PerformanceRecord

LEAST_LABELS = 100  # fewer measure chance rather than the estimate


@dataclass(frozen=True, slots=True)
class EstimateRecord:
    """Attributes: checked: estimates compared with labels; error: mean absolute difference in points of accuracy;
    inside: how many labelled accuracies lie in the estimate's 95 % interval."""

    checked: int
    error: float
    inside: int

    @property
    def share_inside(self) -> float:
        return self.inside / self.checked


def comparable(records: Iterable[PerformanceRecord]) -> dict[int, PerformanceRecord]:
    """Batch id -> its newest evaluation that an estimate can be held against.

    That is one of the classes that the model has, with at least 100 labels, whose batch was named or has as many rows
    as there were predictions.
    """
    found: dict[int, PerformanceRecord] = {}
    for record in sorted(records, key=lambda record: record.id, reverse=True):
        if record.batch_id is not None and record.rows >= LEAST_LABELS and _belongs(record):
            found.setdefault(record.batch_id, record)
    return found


def estimates(
    records: Iterable[PerformanceRecord], reports: Mapping[int, DriftReport | None]
) -> EstimateRecord | None:
    """Hold the valid estimates of checked batches against the labels; None where there are none to compare.

    Args:
        records: evaluations of one model; of each batch the newest counts.
        reports: batch id -> its report.
    """
    errors, inside = [], 0
    for batch_id, record in comparable(records).items():
        report, accuracy = reports.get(batch_id), record.metrics.get("accuracy")
        if report is None or report.estimate is None or not report.estimate.valid or accuracy is None:
            continue
        errors.append(abs(report.estimate.accuracy - accuracy))
        inside += report.estimate.low <= accuracy <= report.estimate.high
    if not errors:
        return None
    return EstimateRecord(len(errors), 100 * sum(errors) / len(errors), inside)


def estimates_line(found: EstimateRecord) -> str:
    """The record in one line for people."""
    return (
        f"Estimates so far: {found.checked:,} checked against labels, off by {found.error:.1f} points"
        f"{' on average' if found.checked > 1 else ''}, {found.inside:,} of {found.checked:,} inside the interval"
    )


def _belongs(record: PerformanceRecord) -> bool:
    details = record.details
    batch = details.get("batch") or {}
    predictions = (details.get("counts") or {}).get("predictions")
    comparable_accuracy = details.get("classes") is None or bool(details.get("own_classes"))
    return comparable_accuracy and (bool(batch.get("named")) or batch.get("rows") == predictions)
