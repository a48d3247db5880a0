"""Where a model does worse than elsewhere: labelled predictions by the values of a column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from detectors.cells import some_names
from detectors.columns import series_categories, series_numbers
from detectors.degradation import ALPHA, MATERIAL, worse_than
from detectors.errors import DataError
from detectors.intervals import clopper_pearson
from detectors.metrics import Interval

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 50  # of one column; rarer ones go together
_FEW_NUMBERS = 10  # distinct numbers that are taken as codes
OTHERS, MISSING = "(all others)", "(missing)"


@dataclass(frozen=True, slots=True)
class Segment:
    """The rows with one value, or one quarter of the numbers, of a column.

    Attributes:
        column / value: "country" / "AT", "amount" / "12 to 40".
        rows / right: its labelled rows, and how many of them were predicted rightly.
        interval: of its accuracy.
        rest: accuracy of all other rows, None where there are none.
        p_value: of an accuracy this far below the rest, exact, after Holm over all segments.
        worse: p is at most 1 % and the accuracy at least two points lower.
        metrics: all metrics of these rows, by name.
    """

    column: str
    value: str
    rows: int
    right: int
    interval: Interval
    rest: float | None
    p_value: float
    worse: bool
    metrics: Mapping[str, float | None]

    @property
    def accuracy(self) -> float:
        return self.right / self.rows


def segments(
    rows: pd.DataFrame,
    columns: Sequence[str],
    right: np.ndarray,
    measure: Callable[[np.ndarray], Mapping[str, float | None]],
) -> tuple[Segment, ...]:
    """Every segment of the columns, in their order; those that are worse than the rest are marked.

    Each is compared with all other rows by Fisher's exact test, one-sided, under Holm's correction over the
    segments of all columns together (Scandinavian Journal of Statistics 6, 1979).

    Args:
        rows: labelled predictions with their other columns.
        columns: numbers are cut at their quartiles, up to 10 distinct ones and texts are taken by value.
        right: whether each row was predicted rightly, bool, shape (rows,).
        measure: metrics of the rows at these positions.

    Raises:
        DataError: "columns" where one does not exist.
    """
    there = [str(c) for c in rows.columns]
    if lacking := [c for c in columns if c not in there]:
        raise DataError(
            "columns", f"no segments by {some_names(lacking)}: the predictions have {some_names(there)}"
        )
    found = [
        _segment(column, value, np.flatnonzero(chosen), right, measure)
        for column in dict.fromkeys(columns)
        for value, chosen in _parts(rows[column])
    ]
    return _judged(found)


def _segment(
    column: str,
    value: str,
    places: np.ndarray,
    right: np.ndarray,
    measure: Callable[[np.ndarray], Mapping[str, float | None]],
) -> Segment:
    n, hits = len(places), int(right[places].sum())
    others, other_hits = len(right) - n, int(right.sum()) - hits
    interval = clopper_pearson(hits, n)
    assert interval is not None  # noqa: S101  a part without rows is no part
    p = worse_than(hits, n, other_hits, others) if others else 1.0
    rest = other_hits / others if others else None
    return Segment(column, value, n, hits, interval, rest, p, False, measure(places))


def _judged(found: Sequence[Segment]) -> tuple[Segment, ...]:
    adjusted: dict[int, float] = {}
    last = 0.0
    for rank, i in enumerate(sorted(range(len(found)), key=lambda i: found[i].p_value)):
        last = adjusted[i] = min(1.0, max(last, found[i].p_value * (len(found) - rank)))
    return tuple(
        replace(
            segment,
            p_value=adjusted[i],
            worse=adjusted[i] <= ALPHA
            and segment.rest is not None
            and segment.rest - segment.accuracy >= MATERIAL,
        )
        for i, segment in enumerate(found)
    )


def _parts(column: pd.Series) -> list[tuple[str, np.ndarray]]:
    """Names of the segments and the rows of each, bool, shape (rows,)."""
    words = series_categories(column)
    filled = np.array([word is not None for word in words], dtype=bool)
    numbers, bad = series_numbers(column)
    if filled.any() and not bad and len(np.unique(numbers[filled])) > _FEW_NUMBERS:
        parts = _quarters(numbers, filled)
    else:
        parts = _values(words, filled)
    return [*parts, *([(MISSING, ~filled)] if not filled.all() else [])]


def _quarters(numbers: np.ndarray, filled: np.ndarray) -> list[tuple[str, np.ndarray]]:
    edges = np.unique(np.quantile(numbers[filled], [0.25, 0.5, 0.75], method="inverted_cdf"))
    places = np.searchsorted(edges, numbers, side="left")  # an edge belongs to the quarter below it
    said = [f"up to {edges[0]:.6g}"]
    said += [f"above {a:.6g} up to {b:.6g}" for a, b in pairwise(edges)]
    said.append(f"above {edges[-1]:.6g}")
    parts = [(name, filled & (places == i)) for i, name in enumerate(said)]
    return [(name, chosen) for name, chosen in parts if chosen.any()]


def _values(words: np.ndarray, filled: np.ndarray) -> list[tuple[str, np.ndarray]]:
    values, counts = np.unique(words[filled].astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    kept = sorted(str(value) for value in values[order[:MOST_VALUES]])
    parts = [(value, words == value) for value in kept]
    rest = filled & ~np.isin(words.astype(str), kept)
    return [*parts, *([(OTHERS, rest)] if rest.any() else [])]
