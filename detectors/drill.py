"""Known drifts for a drill: pure functions that change one column, or which rows a batch has, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from detectors.base import AnyDetector, TableDetector
from detectors.baseline import Baseline
from detectors.policy import Policy
from detectors.profile import FeatureProfile, Profile
from detectors.report import DriftReport
from detectors.sample import RowSample
from detectors.verdict import judge

DriftKind = Literal["none", "shift", "scale", "new category", "missing", "unit", "correlation", "prior"]
UNIT = 1000.0  # grams for kilograms, milliseconds for seconds
NEW_CATEGORY = "(drill: new category)"
_GAUSSIAN_IQR = 1.349  # interquartile range of a standard normal deviate
_TIED = 0.5  # rank correlation from which two features go together
_RANKED = 2_000  # rows that are enough to see that
_DULL = 0.5  # share of the values that a drift has to change to be one
_ATOM = 0.1  # share of the rows from which one value is set rather than measured


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some rows of a table.

    Attributes:
        columns: feature -> float64 with NaN for missing, or object array of str and None; shape (rows,).
        label: 0 or 1, shape (rows,); None where it is not known.
    """

    columns: Mapping[str, np.ndarray]
    label: np.ndarray | None = None

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, index: np.ndarray) -> Rows:
        """The rows with these numbers, in their order."""
        columns = {name: values[index] for name, values in self.columns.items()}
        return Rows(columns, None if self.label is None else self.label[index])

    def with_column(self, name: str, values: np.ndarray) -> Rows:
        """The same rows with another column in the place of one."""
        return Rows({**self.columns, name: values}, self.label)


@dataclass(frozen=True, slots=True)
class Drift:
    """A drift of a known kind and size; `said` is the size for people.

    size: shift: standard deviations; scale: factor of the spread; new category, missing, unit and correlation:
    share of the rows; prior: factor of the odds of class 1; none: 0.
    """

    kind: DriftKind
    size: float
    said: str


NONE = Drift("none", 0.0, "")
DRIFTS = (
    *(Drift("shift", size, f"{size:g} SD") for size in (0.1, 0.25, 0.5, 1.0)),
    *(Drift("scale", size, f"spread × {size:g}") for size in (1.1, 1.25, 1.5, 2.0)),
    *(Drift("new category", size, f"{100 * size:g} % of rows") for size in (0.02, 0.1, 0.3)),
    *(Drift("missing", size, f"{100 * size:g} % of rows") for size in (0.01, 0.05, 0.2)),
    *(Drift("unit", size, f"× 1000 in {100 * size:g} %") for size in (0.05, 0.25, 1.0)),
    *(Drift("correlation", size, f"{100 * size:g} % permuted") for size in (0.5, 1.0)),
    *(Drift("prior", size, f"odds × {size:g}") for size in (2.0, 4.0, 10.0)),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the measured values of a numeric feature lie.

    Attributes:
        centre: their median; spread: their robust standard deviation.
        whole: all of them are whole numbers.
        atoms: values that are set rather than measured (zero, a default): a shift leaves them where they are.
    """

    centre: float
    spread: float
    whole: bool
    atoms: tuple[float, ...] = ()


def scale_of(values: np.ndarray) -> Scale | None:
    """Median and robust standard deviation (interquartile range / 1.349) of the measured values.

    Values that hold more than a tenth of the rows each are no measurements: they stay where they are when a
    sensor drifts. Where the quartiles are the same the plain standard deviation is taken.

    Returns:
        None where fewer than half of the values are measurements (a constant, a flag, a small count).
    """
    finite = values[np.isfinite(values)]
    distinct, times = np.unique(finite, return_counts=True)
    atoms = distinct[times > _ATOM * len(finite)]
    measured = finite[~np.isin(finite, atoms)]
    if len(measured) < max(2, _DULL * len(finite)):
        return None
    low, centre, high = (float(q) for q in np.quantile(measured, (0.25, 0.5, 0.75)))
    with np.errstate(over="ignore", invalid="ignore"):
        spread = (high - low) / _GAUSSIAN_IQR or float(measured.std())
    if not np.isfinite(spread) or spread <= 0:
        return None
    whole = bool((measured == np.floor(measured)).all())
    return Scale(centre, spread, whole, tuple(atoms.tolist()))


def shifted(values: np.ndarray, size: float, scale: Scale, random: np.random.Generator) -> np.ndarray:
    """Every measured value moved by `size` standard deviations; whole numbers stay whole and move so on average."""
    return _as_before(values + size * scale.spread, values, scale, random)


def scaled(values: np.ndarray, factor: float, scale: Scale, random: np.random.Generator) -> np.ndarray:
    """Every measured value `factor` times as far from the median, on the same side of it."""
    return _as_before(scale.centre + factor * (values - scale.centre), values, scale, random)


def with_new_category(values: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A share of the rows (rounded to whole rows) gets a category that was never seen."""
    changed = values.copy()
    changed[_some(len(values), share, random)] = NEW_CATEGORY
    return changed


def with_missing(values: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A share of the rows (rounded to whole rows) loses its value, if it has one."""
    changed = values.copy()
    changed[_some(len(values), share, random)] = np.nan if values.dtype.kind == "f" else None
    return changed


def in_other_unit(
    values: np.ndarray, share: float, random: np.random.Generator, factor: float = UNIT
) -> np.ndarray:
    """A share of the rows (rounded to whole rows) is written in a unit `factor` times as small."""
    changed = values.copy()
    chosen = _some(len(values), share, random)
    with np.errstate(over="ignore"):
        changed[chosen] = changed[chosen] * factor
    return changed


def permuted(values: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A share of the rows swap their values at random: the column keeps its distribution, not its relations."""
    changed = values.copy()
    chosen = _some(len(values), share, random)
    changed[chosen] = values[random.permutation(chosen)]
    return changed


def prior_rows(label: np.ndarray, factor: float, rows: int, random: np.random.Generator) -> np.ndarray:
    """Row numbers of a batch in which the odds of class 1 are `factor` times those of the label, shape (rows,).

    Within each class rows are drawn without repeating any while there are enough. ValueError where one class
    is lacking.
    """
    positive, negative = np.flatnonzero(label == 1), np.flatnonzero(label != 1)
    if not len(positive) or not len(negative):
        raise ValueError("a change of the prior needs rows of both classes")
    odds = factor * len(positive) / len(negative)
    ones = round(rows * odds / (1 + odds))
    drawn = [draw(positive, ones, random), draw(negative, rows - ones, random)]
    return random.permutation(np.concatenate(drawn))


def draw(pool: np.ndarray, rows: int, random: np.random.Generator) -> np.ndarray:
    """So many of the row numbers, none twice where there are enough of them."""
    return random.choice(pool, rows, replace=rows > len(pool))


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Rows to draw batches from, and what can drift in them.

    Attributes:
        rows: all of them.
        scales: numeric feature -> where it lies and how wide it is; only of those that are mostly measured.
        features: kind of drift -> features in which it changes something.
    """

    rows: Rows
    scales: Mapping[str, Scale]
    features: Mapping[DriftKind, tuple[str, ...]]

    @classmethod
    def of(cls, rows: Rows) -> Range:
        """Learn from the rows which drift applies where.

        A unit changes only what is not zero, a spread only what is not the median, and a permutation only what
        goes with another feature (a rank correlation of at least 0.5): features in which a drift would change
        next to nothing are left out.
        """
        scales = {n: s for n, v in rows.columns.items() if v.dtype.kind == "f" and (s := scale_of(v))}
        words = tuple(name for name, values in rows.columns.items() if values.dtype.kind != "f")
        varying = tuple(n for n, v in rows.columns.items() if v.dtype.kind == "f" and _varies(v))
        moved = tuple(n for n in varying if float(np.mean(rows.columns[n] != 0)) >= _DULL)
        wide = tuple(n for n, s in scales.items() if float(np.mean(rows.columns[n] != s.centre)) >= _DULL)
        filled = tuple(name for name, values in rows.columns.items() if _filled(values) >= _DULL)
        features: dict[DriftKind, tuple[str, ...]] = {
            "shift": tuple(scales),
            "scale": wide,
            "new category": words,
            "missing": filled,
            "unit": moved,
            "correlation": _tied(rows, varying),
        }
        return cls(rows, scales, features)

    def applies(self, drift: Drift) -> bool:
        """Whether there is something for it to change."""
        if drift.kind == "none":
            return True
        if drift.kind == "prior":
            return self.rows.label is not None and 0 < int((self.rows.label == 1).sum()) < self.rows.rows
        return bool(self.features[drift.kind])

    def batch(self, rows: int, random: np.random.Generator) -> Rows:
        """A batch without drift."""
        return self.rows.take(draw(np.arange(self.rows.rows), rows, random))

    def pick(self, drift: Drift, random: np.random.Generator) -> str:
        """A feature for the drift to be in; of the prior, which is in all of them, none."""
        return "" if drift.kind == "prior" else str(random.choice(self.features[drift.kind]))

    def drifted(self, batch: Rows, drift: Drift, name: str, random: np.random.Generator) -> Rows:
        """The batch with the drift in the feature of that name; of the prior, another batch as long."""
        if drift.kind == "prior":
            if self.rows.label is None:
                raise ValueError("a change of the prior needs labels")
            return self.rows.take(prior_rows(self.rows.label, drift.size, batch.rows, random))
        return batch.with_column(name, self._changed(batch.columns[name], name, drift, random))

    def _changed(
        self, values: np.ndarray, name: str, drift: Drift, random: np.random.Generator
    ) -> np.ndarray:
        if drift.kind == "shift":
            return shifted(values, drift.size, self.scales[name], random)
        if drift.kind == "scale":
            return scaled(values, drift.size, self.scales[name], random)
        change = {
            "new category": with_new_category,
            "missing": with_missing,
            "unit": in_other_unit,
            "correlation": permuted,
        }[drift.kind]
        return change(values, drift.size, random)


def profiled(baseline: Baseline, batch: Rows, known: Profile | None = None, changed: str = "") -> Profile:
    """The summary of a batch in the cells of the baseline, as `profile_batch` makes it.

    Args:
        known: the summary of the same rows before one column was changed, and `changed`: its name. The other
            columns are taken from it.
    """
    features: dict[str, FeatureProfile] = {}
    for name, part in baseline.features.items():
        if known is not None and changed and name != changed:
            features[name] = known.features[name]
        else:
            features[name] = part.summarize(batch.columns[name])
    numeric = {n: v for n, v in batch.columns.items() if v.dtype.kind == "f"}
    words = {n: v for n, v in batch.columns.items() if v.dtype.kind != "f"}
    sample = RowSample(np.linspace(0, 1, batch.rows), numeric, words)
    return Profile(batch.rows, features, columns=tuple(batch.columns), sample=sample)


def verdict_on(
    baseline: Baseline, profile: Profile, detectors: Sequence[AnyDetector], policy: Policy
) -> DriftReport:
    """The report on a batch; its rows are looked at only where a detector asks for them: that costs most."""
    if not any(isinstance(detector, TableDetector) for detector in detectors):
        profile = Profile(profile.rows, profile.features, profile.columns)
    return judge(baseline, profile, detectors=detectors, policy=policy)


def _as_before(
    moved: np.ndarray, values: np.ndarray, scale: Scale, random: np.random.Generator
) -> np.ndarray:
    """Whole numbers rounded at random, so that the mean stays; what is not finite or not measured is as it was."""
    if scale.whole:
        below = np.floor(moved)
        with np.errstate(invalid="ignore"):
            moved = below + (random.random(len(moved)) < moved - below)
    return np.where(np.isfinite(values) & ~np.isin(values, scale.atoms), moved, values)


def _some(rows: int, share: float, random: np.random.Generator) -> np.ndarray:
    return random.choice(rows, round(share * rows), replace=False)


def _varies(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return len(finite) > 1 and bool(finite.min() < finite.max())


def _filled(values: np.ndarray) -> float:
    if values.dtype.kind == "f":
        return 1.0 - float(np.isnan(values).mean())
    return float(np.mean([word is not None for word in values.tolist()]))


def _tied(rows: Rows, names: Sequence[str]) -> tuple[str, ...]:
    """Features whose rank correlation with some other one is at least 0.5."""
    if len(names) < 2:
        return ()
    ranks = np.stack([_ranks(rows.columns[name][:_RANKED]) for name in names])
    with np.errstate(invalid="ignore", divide="ignore"):
        together = np.nan_to_num(np.abs(np.corrcoef(ranks)))
    np.fill_diagonal(together, 0.0)
    return tuple(name for name, most in zip(names, together.max(axis=1), strict=True) if most >= _TIED)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Mean ranks of equal values; missing ones count as the least."""
    _, place, times = np.unique(np.nan_to_num(values, nan=-np.inf), return_inverse=True, return_counts=True)
    ends = np.cumsum(times)
    mean: np.ndarray = (ends - (times - 1) / 2)[place]
    return mean
