"""`driftcatcher tune`: one change of the settings that past alerts and what people said of them speak for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.backtest import Bench, Case, Effect, Judged, compare
from bot.config import FeatureSection, ModelSection
from bot.monitoring import load_baseline
from bot.plugins import PluginError
from detectors.baseline import Baseline
from detectors.errors import DataError
from detectors.profile import Profile
from state.records import Batch, Feedback, StateError, Truth
from state.store import Store

LEAST_BATCHES = 10  # fewer past batches say nothing about the next ones
MISSED = 5.0  # a drift that is missed costs as much as so many false alarms
_BREADTH = 0.5  # what a change costs for each step of its width, in false alarms
_MARGIN = 1.1  # above the largest effect of a false alarm: the next one is not quite the same
_MOST = 5.0  # a threshold this many times as high is hardly one
_FACTORS = (1.25, 1.5, 2.0, 3.0)
_ALPHAS = (0.003, 0.001, 3e-4, 1e-4, 1e-5, 1e-6)
_FEATURES = 3  # that are in most of the false alarms get thresholds of their own


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the configuration.

    Attributes:
        what: in a few words ("moderate 0.1 -> 0.14 for psi").
        table: the TOML table that it stands in, below [[models]]; empty for the block itself.
        settings: key -> new value.
        width: how much else it touches: 0 one feature, 1 one detector, 2 every test, 3 every warning.
        model: the settings with the change.
    """

    what: str
    table: str
    settings: dict[str, float | str]
    width: int
    model: ModelSection

    @property
    def toml(self) -> str:
        """The lines to set in the model's block."""
        lines = [f"[models.{self.table}]"] if self.table else []
        lines += [f'{k} = "{v}"' if isinstance(v, str) else f"{k} = {v:g}" for k, v in self.settings.items()]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Tuning:
    """The answer.

    Attributes:
        model: its name.
        judged: the past batches under the present settings, newest first.
        left_out: batches that cannot be judged again, and why, one sentence each.
        change / effect: the proposal; None where there is nothing to propose.
        reason: why there is none.
    """

    model: str
    judged: tuple[Judged, ...]
    left_out: tuple[str, ...]
    change: Change | None
    effect: Effect | None
    reason: str

    @property
    def alerts(self) -> tuple[Judged, ...]:
        return tuple(judged for judged in self.judged if judged.alerts)

    @property
    def missed(self) -> tuple[Judged, ...]:
        """Batches that were called true drift and do not alert."""
        return tuple(j for j in self.judged if j.case.truth == "true_drift" and not j.alerts)


def tune(store: Store, model: ModelSection, last: int = 50) -> Tuning:
    """Propose one change for a model, tried on its last batches."""
    cases, left_out = past(store, model.name, last)
    return propose(model, cases, left_out)


def propose(model: ModelSection, cases: Sequence[Case], left_out: Sequence[str] = ()) -> Tuning:
    """The best change that removes false alarms and no confirmed alert, or the reason why there is none.

    A change is worth the false alarms it removes, and for each removed alert of unknown truth 1 - p - 5p, p
    the share of true drifts among what people told apart (with one of each added, as Laplace does): a missed drift
    costs as much as five false alarms. A confirmed alert that becomes a warning costs half a false alarm, and so
    does each step from one feature to one detector, to every test, to every warning. Of equals the smallest step is
    taken.
    """
    bench = Bench(cases)
    now = bench.judged(model)

    def nothing(reason: str) -> Tuning:
        return Tuning(model.name, now, tuple(left_out), None, None, reason)

    if reason := _nothing_to_learn(now):
        return nothing(reason)
    best: tuple[tuple[float, ...], Change, Effect] | None = None
    for change in candidates(model, now):
        try:
            effect = compare(now, bench.judged(change.model))
        except PluginError:
            continue  # a detector without such a parameter
        worth = _worth(effect, now) - _BREADTH * change.width
        if worth <= 0 or effect.count(effect.removed, "true_drift"):
            continue
        rank = (-worth, _step(change))
        if best is not None and rank >= best[0]:
            continue
        if compare(now, bench.judged(change.model, anew=True)) == effect:
            best = (rank, change, effect)
    if best is None:
        return nothing(
            "no single change removes a false alarm without removing a confirmed alert, or more alerts of "
            "unknown truth than it is worth"
        )
    return Tuning(model.name, now, tuple(left_out), best[1], best[2], "")


def _nothing_to_learn(now: Sequence[Judged]) -> str:
    alerts = [judged for judged in now if judged.alerts]
    truths = Counter(judged.case.truth for judged in alerts)
    if len(now) < LEAST_BATCHES:
        return (
            f"only {len(now)} past batches can be judged again; from {LEAST_BATCHES} on a change can be tried"
        )
    if not alerts:
        return "none of the past batches alerts under the present settings"
    if not truths["true_drift"] and not truths["false_alarm"]:
        return (
            "nobody has said yet what the alerts were: press True drift or Dismiss as false alarm in Slack, or use "
            "`driftcatcher feedback`"
        )
    if not truths["false_alarm"]:
        known = (
            "every alert" if not truths[None] else f"each of the {truths['true_drift']} alerts people judged"
        )
        return f"{known} is confirmed as true drift: there is no known false alarm to remove"
    return ""


def _worth(effect: Effect, now: Sequence[Judged]) -> float:
    true = sum(j.case.truth == "true_drift" for j in now if j.alerts)
    false = sum(j.case.truth == "false_alarm" for j in now if j.alerts)
    chance = (true + 1) / (true + false + 2)
    removed = effect.count(effect.removed, "false_alarm")
    unknown = effect.count(effect.removed, None) * (1 - chance - MISSED * chance)
    if not removed:
        return 0.0
    return removed + unknown - 0.5 * effect.count(effect.softened, "true_drift")


def _step(change: Change) -> float:
    """Size of the numbers that are set; a smaller alpha is the larger step."""
    return sum(1 / v if k == "alpha" else v for k, v in change.settings.items() if not isinstance(v, str))


def candidates(model: ModelSection, now: Sequence[Judged]) -> Iterator[Change]:
    """Changes that could remove false alarms: all of them make the settings less strict."""
    false = [j for j in now if j.alerts and j.case.truth == "false_alarm"]
    if model.alert_on == "warning":
        settings: dict[str, float | str] = {"alert_on": "drift"}
        yield Change('alert_on "warning" -> "drift"', "", settings, 3, model.model_copy(update=settings))
    if model.policy == "classic":
        yield from _classic(model, false)
        return
    for alpha in (a for a in _ALPHAS if a < model.alpha):
        settings = {"alpha": alpha}
        what = f"alpha {model.alpha:g} -> {alpha:g}"
        yield Change(what, "", settings, 2, model.model_copy(update=settings))
    yield from _of_detectors(model, false)
    yield from _of_features(model, false)


def _classic(model: ModelSection, false: Sequence[Judged]) -> Iterator[Change]:
    psis = [j.report.overall_psi for j in false if j.report.overall_psi is not None]
    for value in _values(model.classic_warning, psis):
        limits = _pair(model.classic_warning, model.classic_retrain, value)
        settings: dict[str, float | str] = {"classic_warning": limits[0]}
        if limits[1] != model.classic_retrain:
            settings["classic_retrain"] = limits[1]
        what = f"classic_warning {model.classic_warning:g} -> {value:g}"
        yield Change(what, "", settings, 2, model.model_copy(update=settings))


def _of_detectors(model: ModelSection, false: Sequence[Judged]) -> Iterator[Change]:
    for key, detector in zip(model.detectors, model.load_detectors(), strict=True):
        effects = [
            max((d.effect for d in j.report.drifted if d.detector == detector.name), default=0.0)
            for j in false
        ]
        for value in _values(detector.moderate, effects):
            settings = _thresholds(detector.moderate, detector.significant, value)
            detectors = {**model.detectors, key: {**model.detectors[key], **settings}}
            what = f"{_said(settings, [(detector.moderate, detector.significant)])} for {key}"
            changed = model.model_copy(update={"detectors": detectors})
            yield Change(what, f"detectors.{_key(key)}", settings, 1, changed)


def _of_features(model: ModelSection, false: Sequence[Judged]) -> Iterator[Change]:
    """For the features that drifted in most of the false alarms."""
    general = {d.name: (d.moderate, d.significant) for d in model.load_detectors()}
    seen = Counter(name for j in false for name in {d.feature for d in j.report.drifted})
    real = [name for name, _ in seen.most_common() if any(name in j.case.baseline.features for j in false)]
    for name in real[:_FEATURES]:
        drifts = [[d for d in j.report.drifted if d.feature == name] for j in false]
        own = model.features.get(name, FeatureSection())
        limits = [general[d.detector] for found in drifts for d in found if d.detector in general]
        if not limits:
            continue
        moderate = own.moderate if own.moderate is not None else max(m for m, _ in limits)
        significant = own.significant if own.significant is not None else max(s for _, s in limits)
        effects = [max((d.effect for d in found), default=0.0) for found in drifts]
        for value in _values(moderate, effects):
            new = _pair(moderate, significant, value)
            settings: dict[str, float | str] = {"moderate": new[0], "significant": new[1]}
            section = own.model_copy(update=settings)
            before = [
                (own.moderate or m, own.significant or s) for m, s in sorted(set(limits))
            ]  # of each detector
            what = f'{_said(settings, before)} for the feature "{name}"'
            changed = model.model_copy(update={"features": {**model.features, name: section}})
            yield Change(what, f"features.{_key(name)}", settings, 0, changed)


def _values(now: float, effects: Sequence[float]) -> list[float]:
    """Higher thresholds: just above each false alarm, and some round steps."""
    above = [_rounded_up(_MARGIN * effect) for effect in effects if effect > now]
    steps = [_rounded_up(factor * now) for factor in _FACTORS]
    return sorted({value for value in above + steps if now < value <= _MOST * now})


def _rounded_up(value: float) -> float:
    """Two digits, never below the value."""
    if value <= 0 or not math.isfinite(value):
        return 0.0
    digits = 1 - math.floor(math.log10(value))
    unit = 10.0**digits
    return round(math.ceil(value * unit - 1e-9) / unit, digits)


def _pair(moderate: float, significant: float, value: float) -> tuple[float, float]:
    """Both thresholds when the lower one becomes `value`; the upper one moves only where it would be passed."""
    if value <= significant:
        return value, significant
    return value, _rounded_up(value * significant / moderate) if moderate else value


def _thresholds(moderate: float, significant: float, value: float) -> dict[str, float | str]:
    lower, upper = _pair(moderate, significant, value)
    return {"moderate": lower} if upper == significant else {"moderate": lower, "significant": upper}


def _said(settings: dict[str, float | str], before: Sequence[tuple[float, float]]) -> str:
    """What is set, and what it was; where detectors differ, of each."""
    parts = []
    for place, (key, value) in enumerate(settings.items()):
        was = list(dict.fromkeys(f"{limits[place]:g}" for limits in before))
        if was != [f"{value:g}"]:
            parts.append(f"{key} {' or '.join(was)} -> {value:g}")
    return " and ".join(parts)


def _key(name: str) -> str:
    """A TOML key: bare where that is allowed, else quoted."""
    import json
    import re

    if re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return name
    return json.dumps(name).replace("\x7f", "\\u007f")


def past(store: Store, model: str, last: int) -> tuple[list[Case], list[str]]:
    """The newest batches with what is needed to judge them again, newest first; and those that cannot be."""
    truths, acted_on = store.truths(model), {store.batch(b).sha256 for b in _promoted(store, model)}
    baselines: dict[str, Baseline | str] = {}
    cases, left_out = [], []
    for batch in store.checked_batches(model, last):
        found = _case(store, batch, baselines, truth_of(truths.get(batch.id, ()), batch.sha256 in acted_on))
        if isinstance(found, str):
            left_out.append(f"{batch.path.rsplit('/', 1)[-1]}: {found}")
        else:
            cases.append(found)
    return cases, left_out


def truth_of(said: Sequence[Feedback], acted_on: bool = False) -> Truth | None:
    """One answer from several people: a drift that anybody calls true is true, so that it is not tuned away.

    Where nobody said anything, a retrain that was promoted on account of the alert speaks for true drift.
    """
    verdicts = {one.verdict for one in said}
    if "true_drift" in verdicts or (not verdicts and acted_on):
        return "true_drift"
    return "false_alarm" if verdicts else None


def _promoted(store: Store, model: str) -> set[int]:
    retrains = store.retrains(model, 1000)
    incidents = {r.incident_id for r in retrains if r.state == "promoted" and r.incident_id is not None}
    return {batch for incident in incidents for batch in store.batches_of(incident)}


def _case(
    store: Store, batch: Batch, baselines: dict[str, Baseline | str], truth: Truth | None
) -> Case | str:
    """The case, or why there is none. The profile is in the cells of the version that the report names."""
    report, stored = batch.report, store.profile(batch.id)
    if report is None or not stored:
        return "its profile is not stored"
    version = report.baseline_version or batch.baseline_version
    if version not in baselines:
        baselines[version] = _baseline(store, batch.model, version)
    baseline = baselines[version]
    if isinstance(baseline, str):
        return baseline
    try:
        return Case(batch, report, baseline, Profile.from_bytes(stored), truth)
    except DataError as error:
        return error.message


def _baseline(store: Store, model: str, version: str) -> Baseline | str:
    try:
        return load_baseline(store.version(model, int(version)))
    except DataError as error:
        return error.message
    except (StateError, ValueError):
        return f"version {version} of the model is not known any more"
