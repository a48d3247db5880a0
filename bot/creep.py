"""Creep over the checks of a model: a stable batch that goes on where earlier ones have begun is a warning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bot.config import ModelSection
from detectors.cells import some_names
from detectors.creep import Creeping, creeping
from detectors.findings import JOINT, detector_name
from detectors.report import DriftReport
from state.records import PastCheck

Key = tuple[str, str]  # feature and detector
Measured = Mapping[Key, tuple[float | None, float | None]]


def with_creep(report: DriftReport, earlier: Sequence[PastCheck], model: ModelSection) -> DriftReport:
    """The report of a stable batch, turned into a warning where it and earlier ones together show drift.

    Args:
        report: of the batch itself.
        earlier: checks of the same model, baseline and policy before it, oldest first.
    """
    if report.verdict != "stable" or model.policy == "classic" or not model.creep:
        return report
    past = [
        c for c in earlier if c.verdict != "broken_feed" and c.baseline_version == report.baseline_version
    ]
    # What is measured on all features together is no sum of evidence: each batch meets the same reference rows,
    # and its effect is the largest of many, which is above zero by chance alone.
    own: Measured = {
        (f.feature, f.detector): (f.p_value, f.effect) for f in report.features if f.feature not in JOINT
    }
    found = creeping([*_since_drift(past), own], _moderate(model, own))
    if not found:
        return report
    return replace(
        report,
        verdict="warning",
        recommendation="investigate",
        notes=(*report.notes, *_notes(found, past)),
        creeping=tuple(dict.fromkeys(c.key[0] for c in found)),
    )


def _since_drift(past: Sequence[PastCheck]) -> list[Measured]:
    """What was measured after a feature was last seen to drift by one batch alone: that was said already."""
    said: set[Key] = set()
    kept: list[Measured] = []
    for check in reversed(past):
        said |= check.drifted
        kept.append({key: pair for key, pair in check.scores.items() if key not in said})
    return kept[::-1]


def _moderate(model: ModelSection, measured: Measured) -> dict[Key, float]:
    policy = model.judging()
    general = {detector_name(d): d.moderate for d in model.load_detectors()}
    limits: dict[Key, float] = {}
    for feature, detector in measured:
        own = policy.of(feature).moderate
        if own is not None or detector in general:
            limits[feature, detector] = general[detector] if own is None else own
    return limits


def _notes(found: Sequence[Creeping[Key]], past: Sequence[PastCheck]) -> list[str]:
    """One sentence for each batch with which some features began."""
    began: dict[int, dict[str, None]] = {}
    named: set[str] = set()
    for creep in sorted(found, key=lambda c: c.since):
        feature = creep.key[0]
        if feature not in named:  # another detector may have noticed later
            named.add(feature)
            began.setdefault(creep.since, {})[feature] = None
    return [
        f"{some_names(list(features))}: creeping since the batch of {past[since].checked_at:%Y-%m-%d} "
        f"({Path(past[since].path).name}): each batch alone was below the threshold, together they are not"
        for since, features in began.items()
    ]
