"""Constant factors: a column that is in another unit than before, in all rows or in some."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from detectors.profile import FeatureProfile
from detectors.report import Fault
from detectors.significance import proportions

_MOST_ROWS = 4_000
_LEAST_ROWS = 30
_POINTS = 1_024
_MARKS = 32  # of these points, one in so many is enough for a first look
_RICH = 6  # distinct deciles: fewer values fit any factor
_APART = 0.3  # distance from the reference that a change of unit has at least
_FITS = 0.2  # and at most afterwards
_SLACK = 0.03
_PART_FACTOR = 50.0  # of a part of the rows only a large factor is told from a wide distribution
_LEAST_PART = 0.04
_ALIKE = 0.02
_LEAST_FAR = 12
_LEAST_REACH = 0.3
_TAIL = 0.002  # share of the reference beyond which a row is far

_Fit = TypeVar("_Fit", bound=tuple[Any, ...])

# What a factor may be; of its inverse the two sides change places.
_WORDS: Mapping[float, tuple[str, str]] = {
    10.0: ("", ""),
    60.0: ("minutes", "seconds"),
    100.0: ("euros", "cents"),
    1_000.0: ("seconds", "milliseconds"),
    1_024.0: ("kibibytes", "bytes"),
    3_600.0: ("hours", "seconds"),
    86_400.0: ("days", "seconds"),
    1e6: ("seconds", "microseconds"),
    1e9: ("seconds", "nanoseconds"),
}


@dataclass(frozen=True, slots=True)
class _Change:
    """Undoes a change of unit: `back(values)` is what they would have been; `most` the distance it may leave."""

    words: str
    back: Callable[[np.ndarray], np.ndarray]
    most: float = 1.0


@dataclass(frozen=True, slots=True)
class _Pair:
    """The finite values other than zero, ascending: of the batch, and points of the reference's distribution.

    `noise` is 1/n + 1/m. Zero is zero in any unit.
    """

    batch: np.ndarray
    reference: np.ndarray
    noise: float

    def distance(self, values: np.ndarray | None = None) -> float:
        """Kolmogorov's distance of the batch, or of these values, from the reference."""
        return _distance(self.batch if values is None else np.sort(values), self.reference)

    @property
    def at_most(self) -> float:
        """A bound of `distance` that costs little: between two marks both distribution functions only go up."""
        marks = self.reference[_MARKS - 1 :: _MARKS]
        before = np.concatenate(
            [[0.0], self.reference.searchsorted(marks, "right") / len(self.reference), [1.0]]
        )
        after = np.concatenate([[0.0], self.batch.searchsorted(marks, "right") / len(self.batch), [1.0]])
        return float(max((after[1:] - before[:-1]).max(), (before[1:] - after[:-1]).max()))

    @property
    def allowed(self) -> float:
        """A distance that chance alone exceeds in 1 of 100 cases, and a little more."""
        return min(_FITS, 1.63 * math.sqrt(self.noise) + _SLACK)


def unit_faults(
    references: Mapping[str, FeatureProfile],
    columns: Mapping[str, np.ndarray],
    alpha: float,
    ordinary: Callable[[np.ndarray, Collection[str]], bool],
) -> list[Fault]:
    """Columns in another unit; those that changed alike are one fault.

    Args:
        references: profiles of the reference.
        columns: feature -> some of the batch's values, float64, shape (rows,).
        alpha: significance that a single feature needs.
        ordinary: whether the rows of a mask, shape (rows,), look like the reference but for some features. Rows
            that do not are of a new sort, and no others in another unit.
    """
    alike: dict[str, list[tuple[str, float]]] = defaultdict(list)
    parts: dict[str, tuple[str, float, np.ndarray]] = {}
    for name, values in columns.items():
        pair = _pair(references[name], values)
        if pair is None:
            continue
        found = next(_whole(pair), None)
        if found is not None:
            alike[f"values are {found}"].append((name, 1.0))
        elif (part := _part(pair, alpha)) is not None:
            words, share, low, high = part
            size = np.abs(values)
            parts[name] = words, share, (size > low) & (size < high)
    for name, (words, share, rows) in parts.items():
        if ordinary(rows, parts.keys()):
            alike[f"% of the values are {words}"].append((name, share))
    faults = []
    for what, names in alike.items():
        share = sum(share for _, share in names) / len(names)
        cause = f"{100 * share:.0f} {what}" if what.startswith("%") else what
        faults.append(Fault("unit", tuple(name for name, _ in names), cause, share))
    return faults


def _pair(part: FeatureProfile, values: np.ndarray) -> _Pair | None:
    batch = np.sort(values[np.isfinite(values) & (values != 0)][:_MOST_ROWS])
    reference = points(part)
    share = (reference != 0).mean() if len(reference) else 0.0
    reference, rows = reference[reference != 0], share * part.filled
    if min(len(batch), rows) < _LEAST_ROWS or min(_deciles(batch), _deciles(reference)) < _RICH:
        return None
    return _Pair(batch, reference, 1 / len(batch) + 1 / rows)


def points(part: FeatureProfile, number: int = _POINTS) -> np.ndarray:
    """Values at equal steps of a feature's distribution, interpolated between grid points, float64 ascending."""
    if not part.filled or not len(part.grid):
        return np.empty(0)
    ranks = (np.arange(number) + 0.5) / number * part.filled
    at = np.minimum(np.searchsorted(part.at_most, ranks), len(part.grid) - 1)
    left = np.maximum(at - 1, 0)
    before = np.where(at > 0, part.at_most[left], 0)
    inside = np.maximum(part.below[at] - before, 1)
    share = np.clip((ranks - before) / inside, 0.0, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        between = part.grid[left] + (part.grid[at] - part.grid[left]) * share
    found: np.ndarray = np.where((ranks > part.below[at]) | (at == 0), part.grid[at], between)
    finite: np.ndarray = found[np.isfinite(found)]
    return finite


def _deciles(ordered: np.ndarray) -> int:
    """How many values the middles of the ten tenths take."""
    return len(set(ordered[(np.arange(0.05, 1, 0.1) * len(ordered)).astype(np.int64)].tolist()))


def _quantile(ordered: np.ndarray, q: float) -> float:
    return float(ordered[int(q * (len(ordered) - 1))])


def _distance(one: np.ndarray, two: np.ndarray) -> float:
    """Kolmogorov's distance of two ascending arrays; 0.3 * 1000 / 1000 is 0.3 again in single precision."""
    with np.errstate(over="ignore"):
        a, b = one.astype(np.float32), two.astype(np.float32)
    if not len(a):
        return 0.0
    # the steps of one only go up: the distance is largest at a step of the batch, or just before it
    up = np.arange(1, len(a) + 1) / len(a)
    above = up - np.searchsorted(b, a, "right") / len(b)
    below = np.searchsorted(b, a, "left") / len(b) - (up - 1 / len(a))
    return float(
        max(above[np.append(a[1:] != a[:-1], True)].max(), below[np.insert(a[1:] != a[:-1], 0, True)].max())
    )


def _whole(pair: _Pair) -> Iterator[str]:
    """What the unit of all rows has become, in words: the best fit, if it is one and unscaled is not."""
    if pair.at_most < _APART or (before := pair.distance()) < _APART:
        return
    fits = []
    for change in (*_factors(pair), *_temperatures(pair)):
        after = pair.distance(change.back(pair.batch))
        if after <= min(pair.allowed, before / 2.5, change.most):
            fits.append((after, change.words))
    if fits:
        yield _best(fits)[1]
    elif _flipped(pair, before):
        yield "of the other sign: flipped?"


def _best(fits: Sequence[_Fit]) -> _Fit:
    """The best fit; of those that are hardly worse the first, which is the more common unit: 1,000 before 1,024."""
    least = min(fit[0] for fit in fits)
    return next(fit for fit in fits if fit[0] <= least + _ALIKE)


def _factors(pair: _Pair) -> Iterator[_Change]:
    """Factors near the ratio of the medians, where the ratio is known well enough to tell one from another."""
    batch, reference = (np.sort(np.log(np.abs(x))) for x in (pair.batch, pair.reference))
    ratio = _quantile(batch, 0.5) - _quantile(reference, 0.5)
    spread = (_quantile(reference, 0.75) - _quantile(reference, 0.25)) / 1.35
    error = 1.25 * spread * math.sqrt(pair.noise)
    for factor, words in _all_factors():
        log = math.log(factor)
        if abs(ratio - log) <= 0.5 and 15 * error <= abs(log):
            yield _Change(words, lambda x, by=factor: x / by)  # type: ignore[misc]


def _all_factors() -> Iterator[tuple[float, str]]:
    for factor, (small, large) in _WORDS.items():
        ways = (f": {small} → {large}?", f": {large} → {small}?") if small else ("", "")
        shown = f"{factor:,.0f}"
        yield factor, f"{shown} times what they were{ways[0] or ': another unit?'}"
        yield 1 / factor, f"1/{shown} of what they were{ways[1] or ': another unit?'}"


def _temperatures(pair: _Pair) -> Iterator[_Change]:
    """Degrees, where a mere factor explains the batch clearly worse."""
    middle = _quantile(pair.reference, 0.5)
    factor = _quantile(pair.batch, 0.5) / middle if middle else 0.0
    most = pair.distance(pair.batch / factor) - 0.05 if factor else 1.0
    yield _Change(
        "1.8 times what they were and 32 more: Celsius → Fahrenheit?", lambda x: (x - 32) / 1.8, most
    )
    yield _Change("5/9 of what they were less 32: Fahrenheit → Celsius?", lambda x: x * 1.8 + 32, most)


def _flipped(pair: _Pair, before: float) -> bool:
    """Whether the sign changed; what a mere shift explains as well did not, unless it is a very long way."""
    after = pair.distance(-pair.batch)
    if after > min(pair.allowed, before / 2.5):
        return False
    shifted = pair.distance(pair.batch - np.median(pair.batch) + np.median(pair.reference))
    return before > 0.97 or shifted - after >= 0.1


def _part(pair: _Pair, alpha: float) -> tuple[str, float, float, float] | None:
    """What the unit of some rows has become, their share, and between which sizes they are.

    They are the rows far out, and fit once they are brought back.
    """
    batch, reference = np.abs(pair.batch), np.sort(np.abs(pair.reference))
    n, m = len(batch), max(1, round(1 / max(pair.noise - 1 / len(batch), 1e-9)))
    low, high = _quantile(reference, _TAIL), _quantile(reference, 1 - _TAIL)
    least = max(_LEAST_FAR, 10 * _TAIL * n)
    if max(np.count_nonzero(batch > high), np.count_nonzero(batch < low)) < least:
        return None
    batch.sort()
    cuts = {True: int(np.searchsorted(batch, high, "right")), False: int(np.searchsorted(batch, low))}
    sides = {
        True: (batch[cuts[True] :], batch[: cuts[True]]),
        False: (batch[: cuts[False]], batch[cuts[False] :]),
    }
    chance = 4 + 3 * _TAIL * n
    fits = []
    for factor, words in _all_factors():
        far, near = sides[factor > 1]
        if len(sides[factor < 1][0]) > chance:
            continue  # both ends have grown: the distribution is wider
        if max(factor, 1 / factor) < _PART_FACTOR or len(far) < least:
            continue
        reached = reference[reference * factor > high] if factor > 1 else reference[reference * factor < low]
        reach = len(reached) / len(reference)  # the other scaled rows lie among those that are not scaled
        if reach < _LEAST_REACH:
            continue
        share = (len(far) / n - _TAIL) / reach
        if not _LEAST_PART <= share <= 0.97 or _deciles(far) < _RICH - 1:
            continue
        if proportions(round(_TAIL * m), m, len(far), n) > alpha / 2:
            continue
        after, rest = _distance(far / factor, reached), _distance(near, reference)
        overlap = share * (1 - reach)
        if after <= min(0.35, 1.63 * math.sqrt(1 / len(far) + 1 / m) + 0.05) and (
            rest <= 1.95 * math.sqrt(1 / max(1, len(near)) + 1 / m) + _SLACK + overlap
        ):
            ends = (high, math.inf) if factor > 1 else (0.0, low)
            fits.append((after, words, share, *ends))
    return _best(fits)[1:] if fits else None
