"""Past batches judged again under other settings, from their stored profiles: no file is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.config import ModelSection
from detectors.base import AnyDetector, Detector, Score
from detectors.baseline import Baseline
from detectors.profile import FeatureProfile, Profile
from detectors.report import DriftReport
from detectors.verdict import judge
from state.records import Batch, Truth

# Detector and profile -> what it said; the profile is kept with it, so that no other one gets its identity.
Scores = dict[tuple[str, int], tuple[FeatureProfile, Score | Exception | None]]
_STRENGTH = {"warning": 1, "drift": 2}


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A past batch with what is needed to judge it again.

    Attributes:
        batch / report: as it was checked.
        baseline / profile: what it was compared with, and its stored summary in the cells of that.
        truth: what people said of it, None where nobody did.
    """

    batch: Batch
    report: DriftReport
    baseline: Baseline
    profile: Profile
    truth: Truth | None = None

    @property
    def name(self) -> str:
        return self.batch.path.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Judged:
    """A case under some settings; `alerts` where it would open or join an incident."""

    case: Case
    report: DriftReport
    alerts: bool


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change of the settings does to the alerts: the judged cases are those under the present settings.

    Attributes:
        alerts: all that alert now.
        removed: of these, those that would not any more.
        softened: of these, those that would be a warning instead of drift.
    """

    alerts: tuple[Judged, ...]
    removed: tuple[Judged, ...]
    softened: tuple[Judged, ...]

    def count(self, part: Sequence[Judged], truth: Truth | None) -> int:
        """How many of a part turned out to be so."""
        return sum(judged.case.truth == truth for judged in part)


@dataclass(slots=True, eq=False)
class Remembering:
    """A detector of single features that measures each profile once; the thresholds are those of `inner`.

    What it measures must not depend on its thresholds, as the contract of detectors asks.
    """

    inner: Any
    scores: Scores = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.inner.name)

    @property
    def moderate(self) -> float:
        return float(self.inner.moderate)

    @property
    def significant(self) -> float:
        return float(self.inner.significant)

    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        """As `inner` does; what it raised it raises again."""
        key = (self.name, id(current))
        if key not in self.scores:
            try:
                self.scores[key] = current, self.inner.score(reference, current)
            except Exception as error:  # noqa: BLE001 - a third party's code: judge reports what it raises
                self.scores[key] = current, error
        _, known = self.scores[key]
        if isinstance(known, Exception):
            raise known
        return known

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass(slots=True, eq=False)
class Bench:
    """Judges the same cases again and again; what does not depend on thresholds is measured once."""

    cases: Sequence[Case]
    _scores: Scores = field(default_factory=dict)

    def judged(self, model: ModelSection, *, anew: bool = False) -> tuple[Judged, ...]:
        """Every case under the settings of `model`; `anew` measures with the detectors themselves.

        Raises:
            PluginError: a detector does not take the parameters.
        """
        detectors: list[AnyDetector] = list(model.load_detectors())
        if not anew:
            detectors = [Remembering(d, self._scores) if isinstance(d, Detector) else d for d in detectors]
        policy = model.judging()
        found = []
        for case in self.cases:
            report = judge(
                case.baseline, case.profile, detectors=detectors, policy=policy, stored=case.report
            )
            if report.verdict == "stable" and case.report.creeping and model.creep:
                report = replace(
                    report, verdict="warning"
                )  # what many batches show together no threshold moves
            found.append(Judged(case, report, alerts(model, report)))
        return tuple(found)


def alerts(model: ModelSection, report: DriftReport) -> bool:
    """Whether a verdict opens or joins an incident, cool-down and snooze aside."""
    return _STRENGTH.get(report.verdict, 0) >= _STRENGTH[model.alert_on]


def compare(now: Iterable[Judged], then: Iterable[Judged]) -> Effect:
    """The same cases under two settings."""
    pairs = [(a, b) for a, b in zip(now, then, strict=True) if a.alerts]
    return Effect(
        alerts=tuple(a for a, _ in pairs),
        removed=tuple(a for a, b in pairs if not b.alerts),
        softened=tuple(
            a for a, b in pairs if b.alerts and a.report.verdict == "drift" and b.report.verdict == "warning"
        ),
    )
