"""Broken feed or drift? What a repair of the file would undo is a fault of the feed, not a change of the world.

Each fault has to be significant after correction for the number of features, to be large, and to explain what is
seen: values divided by a unit factor must fit the reference; what is left beside a frozen column, or once double
rows are taken out, must look like the reference. Drift, however large, does not do that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detectors.cells import number
from detectors.profile import FeatureProfile, Profile
from detectors.psi import PSI
from detectors.report import Fault
from detectors.sample import row_keys
from detectors.significance import proportions, smirnov
from detectors.units import unit_faults

if TYPE_CHECKING:
    from detectors.baseline import Baseline
    from detectors.clock import Clock
    from detectors.policy import Policy
    from detectors.sample import RowSample

BROKEN_SHARE = 0.5  # cells of the wrong type from which a column is broken, not drifted
_OTHER_FORMAT = 0.05  # the same where the cells are numbers in another notation: no drift writes those
_VARIED = 0.8  # a reference with one value in more of its rows hardly varied
_MOVED, _FAR = 0.2, 0.177  # PSI* and Kolmogorov's distance of significant drift
_STILL = 0.005  # distance that any change of unit exceeds: it takes one in a hundred values to another place
_QUIET = 0.25  # share of the other features that may have moved although the fault explains the batch
_LEAST_ROWS = 20
_COPIES = 0.2  # share of the rows that are copies, above that of the reference
_YEAR = 365.25 * 86_400

_COMMA = re.compile(r"[+-]?\d{1,3}(\.\d{3})*,\d+|[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}([,' \u00a0\u202f]\d{3})+(\.\d+)?")
_WITH_UNIT = re.compile(r"[$€£]?\s?[+-]?\d+(\.\d+)?\s?[A-Za-zµ%°€$£/]{1,6}|[$€£]\s?[+-]?\d+(\.\d+)?")
_NOTATIONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (_THOUSANDS, "written with separators of thousands"),
    (_COMMA, "written with a decimal comma"),
    (_WITH_UNIT, "written with their unit"),
)


def find_faults(baseline: Baseline, profile: Profile, policy: Policy) -> tuple[Fault, ...]:
    """What is wrong with the feed of a batch, the plainest first; nothing where it is sound.

    Args:
        baseline / profile: as in `judge`; without `profile.sample` units and copies are not looked for.
        policy: its alpha is shared by the features; ignored ones are left alone.
    """
    features = {
        n: p for n, p in profile.features.items() if n in baseline.features and not policy.of(n).ignore
    }
    alpha = policy.alpha / max(1, len(features))
    found = [
        *_missing_columns(profile, policy),
        *_wrong_types(baseline, profile, features, alpha),
        *_without_values(baseline, features, alpha),
    ]
    gone = {name for fault in found for name in fault.features}
    whole = {name: part for name, part in features.items() if name not in gone}
    found += _frozen(baseline, whole, alpha)
    if profile.sample is not None and profile.rows >= _LEAST_ROWS:
        frozen = {name for fault in found for name in fault.features}
        moving = [name for name in whole if name not in frozen]
        columns = {
            n: profile.sample.column(n)
            for n in moving
            if whole[n].kind == "numeric" and not _still(baseline.features[n], whole[n])
        }
        found += unit_faults(baseline.features, columns, alpha, _Rows(baseline, profile.sample, moving))
        found += _copies(baseline, profile.rows, profile.sample, moving, policy.alpha)
    if profile.probe is not None:
        for name, times in profile.probe.clocks.items():
            if name in baseline.clocks and not policy.of(name).ignore:
                found += _clock(name, baseline.clocks[name], times)
    return tuple(found)


def _missing_columns(profile: Profile, policy: Policy) -> Iterator[Fault]:
    renamed = {} if profile.probe is None else profile.probe.renamed
    missing = [name for name in profile.missing_columns if not policy.of(name).ignore]
    if missing:
        yield Fault("missing_column", tuple(missing), "missing")
    for name in missing:
        if name in renamed:
            yield Fault(
                "renamed_column", (name,), f'the new column "{renamed[name]}" holds such values: renamed?'
            )


def _wrong_types(
    baseline: Baseline, profile: Profile, features: Mapping[str, FeatureProfile], alpha: float
) -> Iterator[Fault]:
    for name, current in features.items():
        reference = baseline.features[name]
        if current.kind == "categorical":
            yield from _numbers_for_words(name, reference, current)
            continue
        before, now = (p.invalid / p.rows if p.rows else 0.0 for p in (reference, current))
        strays = profile.probe.strays.get(name, ()) if profile.probe else ()
        notation = _notation(strays)
        least = _OTHER_FORMAT if notation else BROKEN_SHARE
        if not now >= least > before:
            continue
        if proportions(reference.invalid, reference.rows, current.invalid, current.rows) <= alpha:
            seen = (
                f": {notation} ({_quoted(strays)})?" if notation else f" ({_quoted(strays)})" * bool(strays)
            )
            yield Fault("wrong_type", (name,), f"{100 * now:.0f} % of the cells are not numbers{seen}", now)


def _notation(strays: Sequence[str]) -> str:
    for pattern, words in _NOTATIONS:
        if strays and all(pattern.fullmatch(stray.strip()) for stray in strays):
            return words
    return ""


def _quoted(strays: Sequence[str]) -> str:
    return ", ".join(f'"{stray[:20]}"' for stray in strays[:2])


def _numbers_for_words(name: str, reference: FeatureProfile, current: FeatureProfile) -> Iterator[Fault]:
    """Categories that were words and are numbers now: codes in place of names."""
    if current.filled < _LEAST_ROWS or not current.unseen:
        return
    share = sum(rows for word, rows in current.unseen.items() if _is_number(word)) / current.filled
    words = sum(
        rows for word, rows in zip(reference.known, reference.counts, strict=True) if _is_number(word)
    )
    if share >= BROKEN_SHARE and not words:
        cause = f"{100 * share:.0f} % of the categories are numbers where there were names: codes?"
        yield Fault("wrong_type", (name,), cause, share)


def _is_number(word: str) -> bool:
    value = number(word)
    return value is not None and not math.isnan(value)


def _without_values(
    baseline: Baseline, features: Mapping[str, FeatureProfile], alpha: float
) -> Iterator[Fault]:
    for name, current in features.items():
        reference = baseline.features[name]
        if not current.rows or current.missing < current.rows or 2 * current.invalid >= current.rows:
            continue
        # a few missing cells in a row may be chance where the reference had some
        if current.rows * math.log((reference.missing + 1) / (reference.rows + 1)) < math.log(alpha):
            before = 100 * reference.missing / reference.rows
            yield Fault("no_values", (name,), f"no values at all (missing in {before:.0f} % before)")


def _frozen(baseline: Baseline, features: Mapping[str, FeatureProfile], alpha: float) -> list[Fault]:
    """Columns that hold one value only. Where most others have moved too, the rows are of one sort: drift."""
    values = {}
    for name, current in features.items():
        reference, constant = baseline.features[name], _constant(current)
        if constant is None or current.filled < _LEAST_ROWS or _mode_share(reference) > _VARIED:
            continue
        share = _rows_with(reference, constant) / max(1, reference.filled)
        chance = (_rows_with(reference, constant) + 1) / (reference.filled + 1)
        if share <= _VARIED and current.filled * math.log(min(1.0, chance)) < math.log(alpha):
            values[name] = constant
    others = [name for name in features if name not in values]
    if not values or not _quiet((baseline.features[n], features[n]) for n in others):
        return []
    return [
        Fault("frozen", (name,), f"every row holds {_shown(value)}, which varied before: stuck?")
        for name, value in values.items()
    ]


def _constant(part: FeatureProfile) -> float | str | None:
    """The only value of a feature; None where there are several, or none."""
    if part.kind == "numeric":
        alone = part.finite and part.finite == part.filled and part.minimum == part.maximum
        return part.minimum if alone else None
    there = [word for word, rows in zip(part.known, part.counts.tolist(), strict=True) if rows]
    there += list(part.unseen)
    return there[0] if len(there) == 1 else None


def _rows_with(reference: FeatureProfile, value: float | str) -> int:
    """Rows of the reference with a value; between two grid points at most one of them holds a thousandth."""
    if isinstance(value, str):
        return int(dict(zip(reference.known, reference.counts, strict=True)).get(value, 0))
    at = int(np.searchsorted(reference.grid, value))
    if at < len(reference.grid) and reference.grid[at] == value:
        return int(reference.at_most[at] - reference.below[at])
    return 0


def _mode_share(reference: FeatureProfile) -> float:
    """Share of the most frequent value of the reference, a thousandth too small where it lies off the grid."""
    counts = reference.at_most - reference.below if reference.kind == "numeric" else reference.counts
    return int(counts.max(initial=0)) / max(1, reference.filled)


def _shown(value: float | str) -> str:
    return f'"{value[:40]}"' if isinstance(value, str) else f"{value:,.6g}"


def _quiet(pairs: Iterable[tuple[FeatureProfile, FeatureProfile]]) -> bool:
    """Whether the features look like the reference, but for a few."""
    moved = [_moved(reference, current) for reference, current in pairs]
    return sum(moved) <= _QUIET * len(moved)


def _moved(reference: FeatureProfile, current: FeatureProfile) -> bool:
    """As far as a significant drift. Kolmogorov's distance will do here, and costs little."""
    if reference.kind == "categorical":
        score = PSI().score(reference, current)
        return score is not None and (score.effect or 0.0) > _MOVED and (score.p_value or 0.0) < 1e-3
    m, n = reference.filled, current.filled
    if not m or not n:
        return bool(m) != bool(n)
    distance = _distance(reference, current)
    return distance > _FAR and smirnov(distance, m, n) < 1e-3


def _still(reference: FeatureProfile, current: FeatureProfile) -> bool:
    """Whether the values other than zero, which is zero in any unit, lie where they did: so in large calm batches."""
    if not reference.filled or not current.filled:
        return False
    changing = 1 - _rows_with(current, 0.0) / current.filled
    return _distance(reference, current) <= _STILL * changing


def _distance(reference: FeatureProfile, current: FeatureProfile) -> float:
    """Kolmogorov's, at the grid points of the reference."""
    return float(np.abs(reference.at_most / reference.filled - current.at_most / current.filled).max())


@dataclass(frozen=True, slots=True)
class _Rows:
    """Called with a mask of the sampled rows: whether those look like the reference, but for some features."""

    baseline: Baseline
    sample: RowSample
    features: Sequence[str]

    def __call__(self, rows: np.ndarray, but: Collection[str] = ()) -> bool:
        references = (self.baseline.features[name] for name in self.features if name not in but)
        return _quiet((part, part.summarize(self.sample.column(part.name)[rows])) for part in references)


def _copies(
    baseline: Baseline, rows: int, sample: RowSample, features: Sequence[str], alpha: float
) -> Iterator[Fault]:
    """Rows that are there several times. New rows that all look the same are no copies: a scan is drift."""
    if baseline.twins is None or not features:
        return
    before, of = baseline.twins
    kept = sample.head(of)
    _, at, which, times = np.unique(
        row_keys([kept.column(name) for name in features]),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    again = times[which] > 1
    n, seen = kept.rows, kept.rows / rows  # a sample finds the copy of a row with this chance
    excess = again.mean() - before / of
    if n < _LEAST_ROWS or excess < max(_COPIES * seen, 0.004):
        return
    if proportions(before, of, int(again.sum()), n) > alpha:
        return
    first = np.isin(np.arange(n), at)
    for chosen in (first, first & again):  # the rows once each; of them those that have copies
        if chosen.sum() >= _LEAST_ROWS and not _Rows(baseline, kept, features)(chosen):
            return
    most = int(times.max())
    if first.sum() < _LEAST_ROWS or most >= _COPIES * n:
        cause = f"one row is there in {100 * most / n:.0f} % of the rows: is the export stuck?"
        yield Fault("duplicates", (), cause, most / n)
        return
    share = min(1.0, excess / seen)
    cause = (
        f"{100 * share:.0f} % of the rows are there more than once ({100 * before / of:.1f} % before): "
        "exported or joined twice?"
    )
    yield Fault("duplicates", (), cause, share)


def _clock(name: str, clock: Clock, times: np.ndarray) -> Iterator[Fault]:
    """Later than the reference is as it should be; standing still, and years away, is not."""
    there = times[np.isfinite(times)]
    if len(there) < _LEAST_ROWS:
        return
    moments, counts = np.unique(there, return_counts=True)
    most = int(counts.max())
    fine = clock.rows <= 3 * clock.moments  # not days or hours, which a whole batch may share
    if fine and most >= 0.5 * len(there) and most > 10 * clock.most:
        share = most / len(there)
        at = _date(float(moments[counts.argmax()]))
        yield Fault(
            "clock", (name,), f"{100 * share:.0f} % of the rows are of {at}: the clock stands still?", share
        )
    far = max(2 * _YEAR, 10 * clock.span)
    judged: tuple[tuple[Callable[[np.ndarray], np.ndarray], str], ...] = (
        (lambda t: t > clock.last + 5 * far, "ahead"),
        (lambda t: t < clock.first - far, "back"),
    )
    for beyond, way in judged:
        away = beyond(there)
        share = float(away.mean())
        if share >= 0.01 and away.sum() >= 3:
            at = _date(float(np.median(there[away])))
            cause = f"{100 * share:.0f} % of the rows are of about {at}, years {way} of the reference: a wrong clock?"
            yield Fault("clock", (name,), cause, share)


def _date(at: float) -> str:
    return str(np.datetime64(int(at), "s")).replace("T", " ")
