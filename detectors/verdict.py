"""The verdict: many measurements, one decision. Detectors measure; this file judges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING

from detectors.attribution import causes, contributions
from detectors.base import AnyDetector, TableDetector
from detectors.baseline import Baseline
from detectors.codes import CodedRows, coded, shuffled_order
from detectors.feed import find_faults
from detectors.findings import (
    JOINT,
    LEADING,
    Finding,
    Measured,
    detector_name,
    measure,
    measure_together,
    only_joint,
    stored_findings,
)
from detectors.holm import holm
from detectors.policy import Policy
from detectors.profile import FeatureProfile, Profile
from detectors.psi import PSI
from detectors.recommendation import recommend
from detectors.report import Cause, DriftReport, FeatureDrift, Severity, Verdict
from detectors.track_record import PREDICTED_CLASS, PREDICTION, PREDICTIONS, named

if TYPE_CHECKING:
    import numpy as np

    from detectors.report import Estimate

_RANK: Mapping[Severity, int] = MappingProxyType({"none": 0, "moderate": 1, "significant": 2})
_LAST = (*PREDICTIONS, *JOINT)  # among what drifted: after the features that say why
_LEADING = 8  # features that the champion relies on most, and that are looked at together by themselves
_LEAST_RECORD = 200  # hold-out rows below which a drift of the model's score is not asked for


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What the champion said of the sampled rows of a batch (`Profile.sample`), in their order.

    Attributes:
        predicted / score: label 0 or 1 and probability of class 1, shape (rows,); of several classes position and
            probability of the one that was said.
    """

    predicted: np.ndarray
    score: np.ndarray

    def __post_init__(self) -> None:
        if not ((self.score >= 0) & (self.score <= 1)).all():
            raise ValueError("the model's scores must be probabilities, finite and within 0 and 1")


def judge(
    baseline: Baseline,
    profile: Profile,
    *,
    detectors: Sequence[AnyDetector] = (PSI(),),
    policy: Policy | None = None,
    labelled_rows: int = 0,
    scored: Scored | None = None,
    stored: DriftReport | None = None,
) -> DriftReport:
    """Compare the summary of a batch with the baseline and decide.

    Args:
        baseline / profile: from `Baseline.fit` and `profile_batch`.
        detectors: what to measure. One that raises or returns NaN is named in `report.errors`, the rest go on.
        policy: thresholds and corrections; calibrated where not given.
        labelled_rows: labelled rows at hand for a retrain; with none, drift recommends labelling.
        scored: what the champion said of the sampled rows: its score is then judged like a feature, and what
            the batch has cost is estimated, where the baseline has a track record.
        stored: the report of an earlier check of the same batch, where only its profile is left: what was found
            on the model's score and on all features together, and the estimate, are taken from it.
    """
    policy = Policy() if policy is None else policy
    features = {
        n: p for n, p in profile.features.items() if n in baseline.features and not policy.of(n).ignore
    }
    rows = None
    if scored is not None or any(isinstance(detector, TableDetector) for detector in detectors):
        rows, scored = _coded_sample(baseline, profile, list(features), scored)
    found = _measure(baseline, features, rows, detectors, policy, scored)
    if stored is not None:
        found.findings.extend(stored_findings(stored, detectors, policy))
    silent = found.failed - {finding.feature for finding in found.findings}
    unmeasured = tuple(name for name in features if name in silent)
    faults = find_faults(baseline, profile, policy) if stored is None else stored.faults
    broken = [fault.text for fault in faults]
    overall = _overall_psi(baseline, features, found.findings)
    drifts, shares = _severities(found.findings, policy, baseline)
    if policy.kind == "classic":
        rows = scored = None  # it looks at single features alone
    elif rows is None and shares:
        rows, _ = _coded_sample(baseline, profile, list(features), None)
    estimate = _estimate(baseline, rows, scored, drifts) if stored is None else stored.estimate
    verdict, needed, notes = _verdict(baseline, profile, drifts, overall, detectors, policy, estimate)
    errors = found.errors
    if broken:
        verdict, needed, notes = "broken_feed", None, []
    elif not drifts:
        errors.append("no detector could measure any feature: there is no verdict on drift")
    elif unmeasured and verdict == "stable" and policy.kind == "calibrated":
        verdict = "insufficient_data"  # what was not measured is not known to be stable
        errors.append(f"{len(unmeasured)} of {len(features)} features were not measured: there is no verdict")
    advice = recommend(verdict, policy, labelled_rows, estimate, joint_only=only_joint(drifts))
    if not broken and (not drifts or (unmeasured and verdict == "insufficient_data")):
        advice = "investigate"
    return DriftReport(
        verdict=verdict,
        recommendation=advice,
        overall_psi=overall,
        rows=profile.rows,
        features=tuple(drifts),
        errors=(*broken, *profile.errors, *errors),
        notes=(*profile.notes, *notes, *_on_how_many(profile, rows, scored)),
        rows_needed=needed,
        baseline_version=baseline.version,
        policy=policy.kind,
        unmeasured=unmeasured,
        estimate=estimate,
        causes=_causes(baseline, rows, shares),
        faults=faults,
    )


def _on_how_many(profile: Profile, rows: CodedRows | None, scored: Scored | None) -> Iterator[str]:
    if rows is not None and rows.rows < profile.rows:
        yield (
            f"{'the score of the model, its estimate and ' if scored else ''}what concerns several features at once: "
            f"from {rows.rows:,} of the {profile.rows:,} rows, drawn at random"
        )


def _coded_sample(
    baseline: Baseline, profile: Profile, features: Sequence[str], scored: Scored | None
) -> tuple[CodedRows | None, Scored | None]:
    """The batch's sampled rows, coded, in an order that depends on the rows alone, and their scores in the same.

    None where there are none, or the baseline has none to compare with.
    """
    if profile.sample is None or baseline.table is None or not features:
        return None, None
    rows = coded([baseline.features[name] for name in features], profile.sample.column, profile.sample.rows)
    order = shuffled_order(rows)
    if scored is not None:
        scored = Scored(scored.predicted[order], scored.score[order])
    return replace(rows, codes=rows.codes[order]), scored


def _measure(
    baseline: Baseline,
    features: Mapping[str, FeatureProfile],
    rows: CodedRows | None,
    detectors: Sequence[AnyDetector],
    policy: Policy,
    scored: Scored | None,
) -> Measured:
    """Single features and the model's score, then all features together."""
    references, currents = dict(baseline.features), dict(features)
    record, plain = baseline.record, policy.kind == "classic"  # which looks at single features alone
    if record is not None and scored is not None and record.rows.rows >= _LEAST_RECORD and not plain:
        references[PREDICTION] = record.profile
        currents[PREDICTION] = record.profile.summarize(scored.score)
        if record.spoken is not None:
            references[PREDICTED_CLASS] = record.spoken
            currents[PREDICTED_CLASS] = record.spoken.summarize(named(scored.predicted, record.classes))
    found = measure(references, currents, detectors, policy)
    if rows is None or baseline.table is None or plain:
        return found
    judged = [name for name in rows.features if not policy.of(name).own]
    if len(judged) < 2:
        return found
    together = [measure_together(baseline.table.of(judged), rows.of(judged), detectors, policy)]
    if leading := _leading(baseline, judged):
        # among many features a correlation that matters is easily lost
        few = (baseline.table.of(leading), rows.of(leading))
        together.append(measure_together(*few, detectors, policy, LEADING))
    errors = dict.fromkeys(error for joint in together for error in joint.errors)
    findings = [finding for joint in together for finding in joint.findings]
    return Measured(found.findings + findings, [*found.errors, *errors], found.failed)


def _leading(baseline: Baseline, features: Sequence[str]) -> list[str]:
    """The features that the champion relies on most; none where they are nearly all."""
    if baseline.record is None or len(features) <= 2 * _LEADING:
        return []
    importance = baseline.record.importance
    ordered = sorted((n for n in features if importance.get(n, 0.0) > 0), key=lambda n: -importance[n])
    return ordered[:_LEADING] if len(ordered) > 1 else []


def _severities(
    findings: Sequence[Finding], policy: Policy, baseline: Baseline
) -> tuple[list[FeatureDrift], dict[str, float]]:
    """Each finding with its severity, worst first; and the share of each drifted feature in the drift.

    First what drifted: features by drift times importance, then the model's score, then all together.
    """
    real = [True] * len(findings) if policy.kind == "classic" else _significant(findings, policy)

    def severity(finding: Finding, is_real: bool) -> Severity:
        size = finding.score.statistic if policy.kind == "classic" else finding.effect
        if not is_real or size <= finding.moderate:
            return "none"
        return "significant" if size > finding.significant else "moderate"

    worst = {k: severity(f, r) for k, (f, r) in enumerate(zip(findings, real, strict=True))}
    alone = [_RANK[worst[k]] for k, f in enumerate(findings) if f.feature not in JOINT]
    for k, finding in enumerate(findings):  # all features together say something new only where they say more
        if finding.feature in JOINT and _RANK[worst[k]] <= max(alone, default=0):
            worst[k] = "none"
    rated = [(f, f.drift(worst[k])) for k, f in enumerate(findings)]
    effects: dict[str, float] = {}
    for finding, drift in rated:
        if drift.drifted and finding.feature in baseline.features:
            effects[finding.feature] = max(effects.get(finding.feature, 0.0), finding.relative)
    shares = contributions(effects, baseline.record.importance if baseline.record else {})

    def place(pair: tuple[Finding, FeatureDrift]) -> tuple[bool, int, float, float]:
        finding, drift = pair
        kind = _LAST.index(finding.feature) + 1 if finding.feature in _LAST else 0
        return not drift.drifted, kind * drift.drifted, -shares.get(finding.feature, 0.0), -finding.relative

    rated.sort(key=place)
    return [drift for _, drift in rated], shares


def _significant(findings: Sequence[Finding], policy: Policy) -> list[bool]:
    """Holm's step-down over the p-values of each family; a finding without p is judged by its effect alone."""
    verdicts = [f.score.p_value is None for f in findings]
    for alpha, together in ((policy.alpha, False), (policy.joint_alpha, True)):
        scaled: list[tuple[float, int]] = []
        for i, f in enumerate(findings):
            if f.score.p_value is not None and (f.feature in JOINT) is together:
                own = policy.of(f.feature).alpha
                scaled.append((f.score.p_value * (alpha / own if own else 1.0), i))
        for i in _passing(scaled, alpha, policy.correction == "holm"):
            verdicts[i] = True
    return verdicts


def _passing(scaled: list[tuple[float, int]], alpha: float, stepwise: bool) -> list[int]:
    values = [p for p, _ in scaled]
    real = holm(values, alpha) if stepwise else [p <= alpha for p in values]
    return [i for (_, i), passed in zip(scaled, real, strict=True) if passed]


def _estimate(
    baseline: Baseline, rows: CodedRows | None, scored: Scored | None, drifts: Sequence[FeatureDrift]
) -> Estimate | None:
    """What the batch has probably cost; where the joint test found drift, with the rows it finds nowhere else."""
    record, table = baseline.record, baseline.table
    if record is None or table is None or rows is None or scored is None:
        return None
    from detectors.domain_classifier import DomainClassifier
    from detectors.estimated_performance import estimate

    strange = None
    if any(d.drifted for d in drifts):
        strange = DomainClassifier().strange_rows(table.of(rows.features), rows)
    return estimate(record, rows, scored.predicted, scored.score, strange)


def _causes(baseline: Baseline, rows: CodedRows | None, shares: Mapping[str, float]) -> tuple[Cause, ...]:
    if rows is None or baseline.table is None or not shares:
        return ()
    return causes(shares, baseline.features, baseline.table.of(rows.features), rows)


def _overall_psi(
    baseline: Baseline, features: Mapping[str, FeatureProfile], findings: Sequence[Finding]
) -> float | None:
    """Mean PSI over the features, uncorrected; measured here where no detector did."""
    values = [f.score.statistic for f in findings if f.detector == "psi" and f.feature in features]
    if not values:
        scores = [PSI().score(baseline.features[name], part) for name, part in features.items()]
        values = [score.statistic for score in scores if score is not None]
    return sum(values) / len(values) if values else None


def _verdict(
    baseline: Baseline,
    profile: Profile,
    drifts: Sequence[FeatureDrift],
    overall: float | None,
    detectors: Sequence[AnyDetector],
    policy: Policy,
    estimate: Estimate | None,
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
    if estimate is not None and estimate.valid and estimate.harm:
        return "warning", None, ["no feature moved enough by itself: it is the estimated loss that warns"]
    needed, possible = _rows_needed(baseline, drifts, detectors, policy)
    if not possible:
        few = f"the reference has only {baseline.rows:,} rows: no batch could show significant drift"
        return "insufficient_data", None, [few]
    if needed is not None and profile.rows < needed:
        return "insufficient_data", needed, []
    return "stable", None, []


def _rows_needed(
    baseline: Baseline, drifts: Sequence[FeatureDrift], detectors: Sequence[AnyDetector], policy: Policy
) -> tuple[int | None, bool]:
    """Rows with which a significant effect in a typical feature would show; and whether any number would do."""
    tests = sum(d.p_value is not None for d in drifts)
    alpha = policy.alpha / max(1, tests) if policy.correction == "holm" else policy.alpha
    answers: list[float] = []
    for detector in detectors:
        ask = getattr(detector, "rows_needed", None)
        named = detector_name(detector)
        measured = [d.feature for d in drifts if d.detector == named and d.feature in baseline.features]
        if ask is None or not measured:
            continue
        try:
            rows = [ask(baseline.features[name], alpha) for name in measured]
        except Exception:  # noqa: BLE001, S112 - a third party's code: what it measured stands without this answer
            continue
        answers.append(median(math.inf if r is None else r for r in rows))
    if not answers:
        return None, True
    best = min(answers)
    return (None, False) if math.isinf(best) else (math.ceil(best), True)
