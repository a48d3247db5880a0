"""Mergeable summary of a table: what is kept of a reference or a batch once its rows are gone.

Profiles of parts of a table merge into the profile of the whole, in any order and any grouping.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, Literal

import numpy as np

from detectors.sample import MAX_ROWS, RowSample
from detectors.tally import Tally

if TYPE_CHECKING:
    from detectors.probe import Probe

Kind = Literal["numeric", "categorical"]

TOP_CATEGORIES = 30  # categories with a cell of their own
MAX_GRID = 1024  # grid points of a numeric distribution
_MAX_DISTINCT_CELLS = 20  # up to so many distinct values get a cell each
_CELLS = 10
_MAX_UNSEEN = 1000  # distinct unseen categories whose rows are counted one by one


def _floats() -> np.ndarray:
    return np.empty(0, dtype=np.float64)


def _counts() -> np.ndarray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureProfile:
    """What is known of one feature in the reference, or in a batch counted in the reference's cells.

    Attributes:
        name: column name.
        kind: numeric or categorical.
        rows: rows seen.
        missing: rows without a value, cells that are no numbers included.
        invalid: of these, cells of the wrong type.
        grid: numeric: points of the value axis, float64 ascending; the first and last are the least and
            largest finite value of the reference. All distinct values where there are at most 1,024, else
            quantiles of the reference, every value holding more than a thousandth of the rows among them.
        below / at_most: rows with a value < and <= each grid point, int64; -inf counts.
        edges: numeric: upper ends of the cells (a, b], a subset of the grid.
        finite / mean / m2 / minimum / maximum: of the finite values; m2 is the sum of squared deviations.
        known: categorical: categories of the reference, most frequent first; counts: rows of each, int64.
        unseen: categories not in the reference and their rows, at most 1,000; unseen_rows: rows in all.
        variation: detector name -> natural variation among the reference's own periods, where one was named; PSI has
            one within the range and one outside.
    """

    name: str
    kind: Kind
    rows: int = 0
    missing: int = 0
    invalid: int = 0
    grid: np.ndarray = field(default_factory=_floats)
    below: np.ndarray = field(default_factory=_counts)
    at_most: np.ndarray = field(default_factory=_counts)
    edges: np.ndarray = field(default_factory=_floats)
    finite: int = 0
    mean: float = 0.0
    m2: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    known: tuple[str, ...] = ()
    counts: np.ndarray = field(default_factory=_counts)
    unseen: Mapping[str, int] = field(default_factory=dict)
    unseen_rows: int = 0
    variation: Mapping[str, float] = field(default_factory=dict)
    _cells: list[np.ndarray] = field(
        default_factory=list, init=False, repr=False
    )  # once counted: all ask for them

    @property
    def filled(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def std(self) -> float:
        """Standard deviation of the finite values (n - 1 in the denominator); NaN below two values."""
        return math.sqrt(self.m2 / (self.finite - 1)) if self.finite > 1 else math.nan

    @property
    def median(self) -> float:
        return self.quantile(0.5)

    @property
    def singletons(self) -> int:
        """Categories seen exactly once (f1 of Good and Turing)."""
        return int((self.counts == 1).sum())

    @property
    def out_of_range(self) -> tuple[int, int]:
        """Numeric: rows below the least and above the largest finite value of the reference."""
        return int(self.below[0]), self.filled - int(self.at_most[-1])

    @property
    def cells(self) -> np.ndarray:
        """Rows in each cell, int64, shape (cells,), not to be written to: the order is that of `cell_labels`."""
        if not self._cells:
            self._cells.append(self._count_cells())
            self._cells[0].setflags(write=False)
        return self._cells[0]

    def _count_cells(self) -> np.ndarray:
        if self.kind == "categorical":
            inner = self.counts[:TOP_CATEGORIES]
            return np.array(
                [*inner, self.counts[TOP_CATEGORIES:].sum(), self.unseen_rows, self.missing], np.int64
            )
        under, over = self.out_of_range
        ends = self.at_most[np.searchsorted(self.grid, self.edges)]
        return np.array([under, *np.diff(ends, prepend=under), over, self.missing], np.int64)

    @property
    def cell_ranges(self) -> tuple[tuple[float, float], ...]:
        """Numeric: ends (a, b] of the cells within the training range; a = b where all its rows hold one value.

        What is one value in the reference may be an interval in a batch, whose values may lie in between.
        """
        at = np.searchsorted(self.grid, self.edges)
        lower = np.concatenate([[0], at[:-1]])  # grid index of each cell's lower end
        return tuple(
            (float(self.grid[high]),) * 2
            if high == low or (k and high - low == 1 and self.below[high] == self.at_most[low])
            else (float(self.grid[low]), float(self.grid[high]))
            for k, (low, high) in enumerate(zip(lower, at, strict=True))
        )

    @property
    def cell_labels(self) -> tuple[str, ...]:
        """Names of the cells, for people."""
        if self.kind == "categorical":
            return (*self.known[:TOP_CATEGORIES], "other", "unseen", "missing")
        inner = [f"{a:.6g}" if a == b else f"{a:.6g} – {b:.6g}" for a, b in self.cell_ranges]
        return ("below range", *inner, "above range", "missing")

    @property
    def grid_error(self) -> float:
        """Largest share of the rows strictly between two grid points: bounds the error of a KS distance."""
        if self.kind == "categorical" or not self.filled or len(self.grid) < 2:
            return 0.0
        return float((self.below[1:] - self.at_most[:-1]).max()) / self.filled

    def quantile(self, q: float) -> float:
        """The q-quantile (inverted CDF), interpolated between grid points; NaN without values."""
        low, high, share = self._quantile_between(q)
        return (
            low + (high - low) * share
            if math.isfinite(high - low)
            else (high if math.isfinite(high) else low)
        )

    def quantile_range(self, q: float) -> tuple[float, float]:
        """The two values between which the q-quantile certainly lies; the same value twice where it is exact."""
        return self._quantile_between(q)[:2]

    def _quantile_between(self, q: float) -> tuple[float, float, float]:
        if not self.filled or self.kind == "categorical":
            return math.nan, math.nan, 0.0
        rank = min(max(math.ceil(q * self.filled - 1e-9), 1), self.filled)
        i = int(np.searchsorted(self.at_most, rank))
        right = float(self.grid[i]) if i < len(self.grid) else self.maximum
        before = int(self.at_most[i - 1]) if i else 0
        inside = int(self.below[i] if i < len(self.grid) else self.filled) - before
        if rank > before + inside:
            return right, right, 0.0
        left = float(self.grid[i - 1]) if i else self.minimum
        return left, right, (rank - before) / inside

    def summarize(self, values: np.ndarray, invalid: int = 0) -> FeatureProfile:
        """Other values of the same feature, counted in the cells of this profile.

        Args:
            values: float64 with NaN for missing, or object array of str and None; shape (rows,).
            invalid: how many of the missing are cells of the wrong type.
        """
        if self.kind == "categorical":
            return self._summarize_categories(values)
        (counted,) = Tally.of([self.grid], [values]).fields()
        return replace(self, invalid=invalid, **counted)

    def _summarize_categories(self, values: np.ndarray) -> FeatureProfile:
        found: Counter[str | None] = Counter(values.tolist())
        missing = found.pop(None, 0)
        counts = np.array([found.pop(word, 0) for word in self.known], dtype=np.int64)
        new = {word: rows for word, rows in found.items() if word is not None}
        return replace(
            self,
            rows=len(values),
            missing=missing,
            counts=counts,
            unseen=_bounded(new),
            unseen_rows=sum(new.values()),
        )

    def empty(self) -> FeatureProfile:
        """The same cells with nothing in them: the neutral element of `merge`."""
        values = _floats() if self.kind == "numeric" else np.empty(0, dtype=object)
        return self.summarize(values)

    def merge(self, other: FeatureProfile) -> FeatureProfile:
        """The summary of both sets of rows; both must have been counted in the same cells."""
        if self.known != other.known or not np.array_equal(self.grid, other.grid) or self.kind != other.kind:
            raise ValueError(
                f'profiles of "{self.name}" and "{other.name}" were not counted in the same cells'
            )
        finite = self.finite + other.finite
        gap = other.mean - self.mean
        with np.errstate(over="ignore", invalid="ignore"):
            mean = self.mean + gap * (other.finite / finite) if finite else 0.0
            m2 = self.m2 + other.m2 + (gap * gap * (self.finite * other.finite / finite) if finite else 0.0)
        return replace(
            self,
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            invalid=self.invalid + other.invalid,
            below=self.below + other.below,
            at_most=self.at_most + other.at_most,
            finite=finite,
            mean=float(mean),
            m2=float(m2),
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
            counts=self.counts + other.counts,
            unseen=_bounded(dict(Counter(self.unseen) + Counter(other.unseen))),
            unseen_rows=self.unseen_rows + other.unseen_rows,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """The summary of a table.

    Attributes:
        rows: data rows.
        features: feature -> summary, in the order of the baseline.
        columns: all columns of the source.
        missing_columns / extra_columns: features that are not there; columns that the baseline does not know.
        notes / errors: how it was read; what could not be read.
        sample: some rows as they are, drawn at random; not kept in `to_bytes`.
        probe: a closer look at columns that seem wrong, and at clocks; not kept either.
        malformed: rows with the wrong number of cells, which were left out; not kept either.
    """

    rows: int
    features: Mapping[str, FeatureProfile]
    columns: tuple[str, ...] = ()
    missing_columns: tuple[str, ...] = ()
    extra_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    sample: RowSample | None = None
    probe: Probe | None = None
    malformed: int = 0

    def merge(self, other: Profile, sample: int = MAX_ROWS) -> Profile:
        """The summary of both tables; a feature that one of them lacks is lacking in the whole.

        `sample` is how many rows are kept as they are.
        """
        both = {n: p.merge(other.features[n]) for n, p in self.features.items() if n in other.features}
        return Profile(
            rows=self.rows + other.rows,
            features=both,
            columns=self.columns,
            missing_columns=_union(self.missing_columns, other.missing_columns),
            extra_columns=_union(self.extra_columns, other.extra_columns),
            notes=_union(self.notes, other.notes),
            errors=_union(self.errors, other.errors),
            sample=self.sample and other.sample and self.sample.merge(other.sample, sample),
            probe=self.probe.merge(other.probe) if self.probe and other.probe else self.probe or other.probe,
            malformed=self.malformed + other.malformed,
        )

    def to_bytes(self) -> bytes:
        """Compressed bytes, at most some kilobytes a feature; `from_bytes` reads them back."""
        from detectors.packing import pack_profile

        return pack_profile(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Profile:
        """The inverse of `to_bytes`; DataError "unreadable" if the bytes are something else or damaged."""
        from detectors.packing import unpack_profile

        return unpack_profile(data)[0]


def merge(parts: list[Profile]) -> Profile:
    """The summary of all parts (at least one)."""
    return reduce(Profile.merge, parts)


def numeric_profile(name: str, values: np.ndarray, invalid: int = 0) -> FeatureProfile:
    """Cells learned from reference values (float64, at least one finite), and the values counted in them."""
    finite = np.sort(values[np.isfinite(values)])
    distinct, tally = np.unique(finite, return_counts=True)
    edges = _edges(finite, distinct, tally)
    if len(distinct) <= MAX_GRID:
        grid = distinct
    else:
        ranks = np.linspace(0, len(finite) - 1, MAX_GRID - len(edges)).astype(np.int64)
        grid = _each_once(np.concatenate([_short(finite[ranks], distinct, tally), edges]))
    return FeatureProfile(name, "numeric", grid=grid, edges=edges).summarize(values, invalid)


def categorical_profile(name: str, values: np.ndarray, possible: Iterable[str] = ()) -> FeatureProfile:
    """Categories learned from reference values (object array of str and None), and their counts.

    What is `possible` is known too, where it has no rows.
    """
    found = Counter(dict.fromkeys(possible, 0))
    found.update(v for v in values.tolist() if v is not None)
    known = tuple(sorted(found, key=lambda word: (-found[word], word)))
    return FeatureProfile(name, "categorical", known=known).summarize(values)


def _edges(ordered: np.ndarray, distinct: np.ndarray, tally: np.ndarray) -> np.ndarray:
    """Upper ends of the cells: deciles as data values; a value with a tenth of the mass stands alone."""
    if len(distinct) <= _MAX_DISTINCT_CELLS:
        return distinct
    edges = _quantiles(ordered, _CELLS)
    if (edges[1:] > edges[:-1]).all():
        return edges
    heavy = np.flatnonzero(tally >= len(ordered) / _CELLS)
    alone = np.concatenate(
        [distinct[heavy], distinct[heavy[heavy > 0] - 1]]
    )  # the cell (previous value, value]
    rest = ordered[~np.isin(ordered, distinct[heavy])]
    cut = _quantiles(rest, max(1, round(_CELLS * len(rest) / len(ordered)))) if len(rest) else _floats()
    return _each_once(np.concatenate([alone, cut, distinct[-1:]]))


def _each_once(values: np.ndarray) -> np.ndarray:
    """Finite values, one at least, in ascending order; `numpy.unique` would load numpy.ma for it at each start."""
    ordered = np.sort(values)
    once: np.ndarray = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    return once


def _short(points: np.ndarray, distinct: np.ndarray, tally: np.ndarray) -> np.ndarray:
    """Points in single precision where one row alone holds the value and none lies between: half the baseline, and the
    same rows on either side of each point."""
    with np.errstate(over="ignore"):
        short = points.astype(np.float32)
        up = np.where(short < points, np.nextafter(short, np.float32(np.inf)), short).astype(np.float64)
    at, last = np.searchsorted(distinct, points), len(distinct) - 1
    lone = (tally[at] == 1) & (at > 0) & (up < distinct[np.minimum(at + 1, last)])
    kept: np.ndarray = np.where(lone, up, points)
    return kept


def _quantiles(ordered: np.ndarray, parts: int) -> np.ndarray:
    """The k/parts quantiles, k = 1..parts, by the inverted CDF: always values of the data."""
    ranks = np.ceil(np.arange(1, parts + 1) * (len(ordered) / parts) - 1e-9).astype(np.int64) - 1
    cuts: np.ndarray = ordered[np.clip(ranks, 0, len(ordered) - 1)]
    return cuts


def _bounded(unseen: dict[str, int]) -> dict[str, int]:
    # The words with the least hashes stay: so their rows are complete whatever the order of merging.
    if len(unseen) > _MAX_UNSEEN:
        kept = sorted(unseen, key=lambda word: (zlib.crc32(word.encode(errors="replace")), word))[
            :_MAX_UNSEEN
        ]
        unseen = {word: unseen[word] for word in kept}
    return dict(sorted(unseen.items(), key=lambda item: (-item[1], item[0])))


def _union(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*a, *b)))
