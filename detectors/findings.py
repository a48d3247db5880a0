"""Every detector on every feature, on the model's score, and on all features together: scores, not verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.base import AnyDetector, Detector, Score, TableDetector, check_score
from detectors.cells import some_names
from detectors.errors import DetectorFailed
from detectors.report import DriftReport, FeatureDrift, Severity
from detectors.track_record import PREDICTIONS

if TYPE_CHECKING:
    from detectors.codes import CodedRows
    from detectors.policy import Policy
    from detectors.profile import FeatureProfile

TOGETHER = "(all features together)"  # the name of what a whole-table detector finds
LEADING = "(most important features together)"  # of those that the champion relies on
JOINT = (TOGETHER, LEADING)


@dataclass(frozen=True, slots=True)
class Finding:
    """A score with the thresholds it is held against."""

    feature: str
    detector: str
    score: Score
    moderate: float
    significant: float

    @property
    def effect(self) -> float:
        return self.score.statistic if self.score.effect is None else self.score.effect

    @property
    def relative(self) -> float:
        """The effect in units of what is significant."""
        return self.effect / max(self.significant, 1e-12)

    def drift(self, severity: Severity) -> FeatureDrift:
        return FeatureDrift(
            feature=self.feature,
            detector=self.detector,
            statistic=self.score.statistic,
            effect=self.effect,
            p_value=self.score.p_value,
            severity=severity,
            drifted=severity != "none",
            detail=self.score.detail,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """What the detectors said.

    Attributes:
        findings: one for each feature and detector that applies.
        errors: what failed, one sentence each.
        failed: features on which some detector failed.
    """

    findings: list[Finding]
    errors: list[str]
    failed: set[str]


def measure(
    references: Mapping[str, FeatureProfile],
    currents: Mapping[str, FeatureProfile],
    detectors: Sequence[AnyDetector],
    policy: Policy,
) -> Measured:
    """Ask every detector of single features; one that raises or answers NaN is named, the rest go on."""
    found = Measured([], [], set())
    for detector in (d for d in detectors if isinstance(d, Detector)):
        failed: dict[str, list[str]] = {}
        for name, current in currents.items():
            try:
                score = detector.score(references[name], current)
                if score is None:
                    continue
                found.findings.append(_finding(name, detector, score, policy))
            except Exception as error:  # noqa: BLE001 - a third party's code: what it raises is reported
                failed.setdefault(_said(error), []).append(name)
        for message, names in failed.items():
            found.failed.update(names)
            count = f"{len(names)} feature{'s' * (len(names) != 1)}"
            found.errors.append(
                f"detector {detector_name(detector)} failed on {count} ({some_names(names, 3)}): {message}"
            )
    return found


def measure_together(
    reference: CodedRows,
    current: CodedRows,
    detectors: Sequence[AnyDetector],
    policy: Policy,
    name: str = TOGETHER,
) -> Measured:
    """Ask every whole-table detector; `name` is that of its finding."""
    found = Measured([], [], set())
    for detector in (d for d in detectors if isinstance(d, TableDetector)):
        try:
            score = detector.score_table(reference, current)
            if score is not None:
                found.findings.append(_finding(name, detector, score, policy))
        except Exception as error:  # noqa: BLE001 - a third party's code: what it raises is reported
            found.errors.append(
                f"detector {detector_name(detector)} failed on the whole table: {_said(error)}"
            )
    return found


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, DetectorFailed) else f"{type(error).__name__}: {error}"


def stored_findings(report: DriftReport, detectors: Sequence[AnyDetector], policy: Policy) -> list[Finding]:
    """What an earlier check measured on the model's score and on all features together, under these thresholds.

    A summary of the batch cannot give it again. Of detectors that are not asked any more nothing is taken, nor
    what was found on all features together where each feature that drifted has thresholds of its own now: those
    are left out of what is looked at together.
    """
    by_name = {detector_name(detector): detector for detector in detectors}
    single = {f.feature for f in report.drifted} - {*PREDICTIONS, *JOINT}
    explained = bool(single) and all(policy.of(feature).own for feature in single)
    return [
        _finding(f.feature, by_name[f.detector], Score(f.statistic, f.p_value, f.effect, f.detail), policy)
        for f in report.features
        if f.feature in (*PREDICTIONS, *JOINT) and f.detector in by_name
        if not (explained and f.feature in JOINT)
        if math.isfinite(f.statistic) and math.isfinite(f.effect)
    ]


def _finding(name: str, detector: AnyDetector, score: Score, policy: Policy) -> Finding:
    check_score(score)
    own = policy.of(name)
    return Finding(
        name,
        str(detector.name),
        score,
        moderate=detector.moderate if own.moderate is None else own.moderate,
        significant=detector.significant if own.significant is None else own.significant,
    )


def only_joint(drifts: Iterable[FeatureDrift]) -> bool:
    """Whether something drifted, and no single feature did."""
    drifted = [drift.feature in JOINT for drift in drifts if drift.drifted]
    return bool(drifted) and all(drifted)


def detector_name(detector: AnyDetector) -> str:
    """Its name, also where the plug-in's own property fails: then its class says who it is."""
    try:
        return str(detector.name)
    except Exception:  # noqa: BLE001 - a third party's code
        return type(detector).__name__
