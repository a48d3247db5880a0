"""The verdict: many measurements, one decision. Detectors measure; this file judges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from types import MappingProxyType
from typing import Literal

from detectors.base import Detector, Score
from detectors.baseline import Baseline
from detectors.cells import some_names
from detectors.profile import FeatureProfile, Profile
from detectors.psi import PSI
from detectors.report import DriftReport, FeatureDrift, Recommendation, Severity, Verdict
from detectors.significance import proportions

BROKEN_SHARE = 0.5  # cells of the wrong type from which a column is broken, not drifted


@dataclass(frozen=True, slots=True)
class FeaturePolicy:
    """What is different for one feature; None keeps the general value.

    Attributes:
        moderate / significant: effect thresholds instead of the detector's.
        alpha: significance level instead of the policy's.
        ignore: leave the feature out of the verdict.
    """

    moderate: float | None = None
    significant: float | None = None
    alpha: float | None = None
    ignore: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """How measurements become a verdict.

    calibrated: a finding is drift when it is significant after the correction for all features and detectors
    *and* its size-corrected effect exceeds the detector's threshold. classic: the mean PSI over the features.

    Attributes:
        kind: calibrated or classic.
        alpha: family-wise significance level of a batch.
        correction: holm, or none (each finding at alpha by itself).
        classic_warning / classic_retrain: mean PSI above which classic warns, and recommends to retrain.
        features: overrides by feature.

    References:
        Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
    """

    kind: Literal["calibrated", "classic"] = "calibrated"
    alpha: float = 0.006
    correction: Literal["holm", "none"] = "holm"
    classic_warning: float = 0.1
    classic_retrain: float = 0.2
    features: Mapping[str, FeaturePolicy] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, feature: str) -> FeaturePolicy:
        """The overrides of one feature."""
        return self.features.get(feature, FeaturePolicy())


@dataclass(frozen=True, slots=True)
class _Finding:
    """A score with the thresholds it is held against."""

    feature: str
    detector: str
    score: Score
    moderate: float
    significant: float

    @property
    def effect(self) -> float:
        return self.score.statistic if self.score.effect is None else self.score.effect

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


def judge(
    baseline: Baseline,
    profile: Profile,
    *,
    detectors: Sequence[Detector] = (PSI(),),
    policy: Policy | None = None,
    labelled_rows: int = 0,
) -> DriftReport:
    """Compare the summary of a batch with the baseline and decide.

    Args:
        baseline / profile: from `Baseline.fit` and `profile_batch`.
        detectors: what to measure. One that raises or returns NaN is named in `report.errors`, the rest go on.
        policy: thresholds and corrections; calibrated where not given.
        labelled_rows: labelled rows at hand for a retrain; with none, drift recommends labelling.
    """
    policy = Policy() if policy is None else policy
    features = {
        n: p for n, p in profile.features.items() if n in baseline.features and not policy.of(n).ignore
    }
    findings, errors, failed = _measure(baseline, features, detectors, policy)
    unmeasured = tuple(name for name in features if name in failed - {f.feature for f in findings})
    broken = _broken(baseline, profile, features, policy)
    overall = _overall_psi(baseline, features, findings)
    drifts = _severities(findings, policy)
    verdict, needed, notes = _verdict(baseline, profile, drifts, overall, detectors, policy)
    if broken:
        verdict, needed, notes = "broken_feed", None, []
    elif not drifts:
        errors.append("no detector could measure any feature: there is no verdict on drift")
    elif unmeasured and verdict == "stable" and policy.kind == "calibrated":
        verdict = "insufficient_data"  # what was not measured is not known to be stable
        errors.append(f"{len(unmeasured)} of {len(features)} features were not measured: there is no verdict")
    advice = recommend(verdict, policy, labelled_rows)
    if not broken and (not drifts or (unmeasured and verdict == "insufficient_data")):
        advice = "investigate"
    return DriftReport(
        verdict=verdict,
        recommendation=advice,
        overall_psi=overall,
        rows=profile.rows,
        features=tuple(drifts),
        errors=(*broken, *profile.errors, *errors),
        notes=(*profile.notes, *notes),
        rows_needed=needed,
        baseline_version=baseline.version,
        policy=policy.kind,
        unmeasured=unmeasured,
    )


def _measure(
    baseline: Baseline, features: Mapping[str, FeatureProfile], detectors: Sequence[Detector], policy: Policy
) -> tuple[list[_Finding], list[str], set[str]]:
    """The findings, what failed in sentences, and the features on which some detector failed."""
    findings: list[_Finding] = []
    errors: list[str] = []
    without: set[str] = set()
    for detector in detectors:
        failed: dict[str, list[str]] = {}
        for name, current in features.items():
            try:
                score = detector.score(baseline.features[name], current)
                if score is None:
                    continue
                check_score(score)
                own = policy.of(name)
                moderate = detector.moderate if own.moderate is None else own.moderate
                significant = detector.significant if own.significant is None else own.significant
                findings.append(_Finding(name, detector.name, score, moderate, significant))
            except Exception as error:  # noqa: BLE001 - a third party's code: what it raises is reported
                failed.setdefault(f"{type(error).__name__}: {error}", []).append(name)
        for message, names in failed.items():
            without.update(names)
            count = f"{len(names)} feature{'s' * (len(names) != 1)}"
            errors.append(f"detector {_name(detector)} failed on {count} ({some_names(names, 3)}): {message}")
    return findings, errors, without


def _name(detector: Detector) -> str:
    try:
        return str(detector.name)
    except Exception:  # noqa: BLE001 - the plug-in's own property failed: its class says who it is
        return type(detector).__name__


def check_score(score: Score) -> None:
    """ValueError where a detector's answer cannot be judged: not finite, or p outside [0, 1]."""
    for what, value in (("statistic", score.statistic), ("effect", score.effect)):
        if value is not None and not math.isfinite(value):
            raise ValueError(f"its {what} is {value}, not a finite number")
    if score.p_value is not None and not 0.0 <= score.p_value <= 1.0:
        raise ValueError(f"its p-value is {score.p_value}, not within 0 and 1")


def _severities(findings: Sequence[_Finding], policy: Policy) -> list[FeatureDrift]:
    """Each finding with its severity, worst first: drifted, then by effect relative to the threshold."""
    real = [True] * len(findings) if policy.kind == "classic" else _significant(findings, policy)

    def severity(finding: _Finding, is_real: bool) -> Severity:
        size = finding.score.statistic if policy.kind == "classic" else finding.effect
        if not is_real or size <= finding.moderate:
            return "none"
        return "significant" if size > finding.significant else "moderate"

    rated = [(f, f.drift(severity(f, r))) for f, r in zip(findings, real, strict=True)]
    rated.sort(key=lambda pair: (not pair[1].drifted, -pair[0].effect / max(pair[0].significant, 1e-12)))
    return [drift for _, drift in rated]


def _significant(findings: Sequence[_Finding], policy: Policy) -> list[bool]:
    """Holm's step-down over all p-values, or each alone; a finding without p is judged by its effect alone."""
    scaled: list[tuple[float, int]] = []
    verdicts = [f.score.p_value is None for f in findings]
    for i, f in enumerate(findings):
        if f.score.p_value is not None:
            own = policy.of(f.feature).alpha
            scaled.append((f.score.p_value * (policy.alpha / own if own else 1.0), i))
    scaled.sort()
    for rank, (p, i) in enumerate(scaled):
        family = len(scaled) - rank if policy.correction == "holm" else 1
        if p * family > policy.alpha:
            if policy.correction == "holm":
                break
            continue
        verdicts[i] = True
    return verdicts


def _overall_psi(
    baseline: Baseline, features: Mapping[str, FeatureProfile], findings: Sequence[_Finding]
) -> float | None:
    """Mean PSI over the features, uncorrected; measured here where no detector did."""
    values = [f.score.statistic for f in findings if f.detector == "psi"]
    if not values:
        scores = [PSI().score(baseline.features[name], part) for name, part in features.items()]
        values = [score.statistic for score in scores if score is not None]
    return sum(values) / len(values) if values else None


def _verdict(
    baseline: Baseline,
    profile: Profile,
    drifts: Sequence[FeatureDrift],
    overall: float | None,
    detectors: Sequence[Detector],
    policy: Policy,
) -> tuple[Verdict, int | None, list[str]]:
    if policy.kind == "classic":
        if overall is None:
            return "insufficient_data", None, []
        if overall <= policy.classic_warning:
            return "stable", None, []
        return ("drift" if overall > policy.classic_retrain else "warning"), None, []
    if any(d.severity == "significant" for d in drifts):
        return "drift", None, []
    if any(d.drifted for d in drifts):
        return "warning", None, []
    if not drifts:
        return "insufficient_data", None, []
    needed, possible = _rows_needed(baseline, drifts, detectors, policy)
    if not possible:
        few = f"the reference has only {baseline.rows:,} rows: no batch could show significant drift"
        return "insufficient_data", None, [few]
    if needed is not None and profile.rows < needed:
        return "insufficient_data", needed, []
    return "stable", None, []


def _rows_needed(
    baseline: Baseline, drifts: Sequence[FeatureDrift], detectors: Sequence[Detector], policy: Policy
) -> tuple[int | None, bool]:
    """Rows with which a significant effect in a typical feature would show; and whether any number would do."""
    tests = sum(d.p_value is not None for d in drifts)
    alpha = policy.alpha / max(1, tests) if policy.correction == "holm" else policy.alpha
    answers: list[float] = []
    for detector in detectors:
        ask = getattr(detector, "rows_needed", None)
        measured = [d.feature for d in drifts if d.detector == _name(detector)]
        if ask is None or not measured:
            continue
        rows = [ask(baseline.features[name], alpha) for name in measured]
        answers.append(median(math.inf if r is None else r for r in rows))
    if not answers:
        return None, True
    best = min(answers)
    return (None, False) if math.isinf(best) else (math.ceil(best), True)


def _broken(
    baseline: Baseline, profile: Profile, features: Mapping[str, FeatureProfile], policy: Policy
) -> list[str]:
    """What is wrong with the feed rather than with the world, one sentence each."""
    found = []
    if missing := [name for name in profile.missing_columns if not policy.of(name).ignore]:
        plural = "s are" if len(missing) > 1 else " is"
        found.append(f"{len(missing)} feature column{plural} missing: {some_names(missing)}")
    for name, current in features.items():
        reference = baseline.features[name]
        if _wrong_type(current) >= BROKEN_SHARE > _wrong_type(reference) and (
            proportions(reference.invalid, reference.rows, current.invalid, current.rows)
            <= policy.alpha / len(features)
        ):
            share = 100 * current.invalid / current.rows
            found.append(f'"{name}": {share:.0f} % of the cells are not numbers')
        elif current.rows and current.missing == current.rows:
            # a few missing cells in a row may be chance where the reference had some
            log_chance = current.rows * math.log((reference.missing + 1) / (reference.rows + 1))
            if log_chance < math.log(policy.alpha / len(features)):
                before = 100 * reference.missing / reference.rows
                found.append(f'"{name}": no values at all (missing in {before:.0f} % before)')
    return found


def _wrong_type(part: FeatureProfile) -> float:
    return part.invalid / part.rows if part.rows else 0.0


def recommend(verdict: Verdict, policy: Policy, labelled_rows: int) -> Recommendation:
    """What to do about a verdict; with no labelled rows at hand, drift recommends labelling."""
    if verdict == "drift":
        return "retrain" if labelled_rows > 0 or policy.kind == "classic" else "label"
    return "investigate" if verdict in ("warning", "broken_feed") else "none"
