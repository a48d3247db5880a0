"""Rows as small integers: each feature by the quantiles or categories of its reference.

What looks at many features together (a domain classifier, a regression of the error) gets codes instead of raw
values: they are small, robust against any scale and outlier, and the reference's rows can be kept in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from detectors.profile import TOP_CATEGORIES, FeatureProfile, Kind

QUANTILES = 32
BELOW, ABOVE, MISSING = 0, QUANTILES + 1, QUANTILES + 2  # of a number; its quantiles are 1 ... QUANTILES
_LEAST = 5  # rows of a category with a code of its own
OTHER, UNSEEN, NO_CATEGORY = TOP_CATEGORIES, TOP_CATEGORIES + 1, TOP_CATEGORIES + 2


@dataclass(frozen=True, slots=True, eq=False)
class CodedRows:
    """Rows of a table, coded by the reference.

    Attributes:
        features: names of the columns.
        kinds: numeric or categorical, one a column.
        codes: uint8, shape (rows, features). Numeric: 0 below the training range, 1 ... 32 the quantile of the
            reference, 33 above the range, 34 missing. Categorical: 0 ... 29 the reference's categories, most
            frequent first (of at least 5 rows), 30 other, 31 unseen, 32 missing.
        variation: detector name -> natural variation among the reference's own periods, where one was named, and
            of how many rows the domain classifier's is.
    """

    features: tuple[str, ...]
    kinds: tuple[Kind, ...]
    codes: np.ndarray
    variation: Mapping[str, float] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return len(self.codes)

    def head(self, rows: int) -> CodedRows:
        return replace(self, codes=self.codes[:rows])

    def of(self, features: Sequence[str]) -> CodedRows:
        """The same rows with these features only, in this order."""
        at = [self.features.index(name) for name in features]
        return replace(
            self, features=tuple(features), kinds=tuple(self.kinds[i] for i in at), codes=self.codes[:, at]
        )


def coded(parts: Sequence[FeatureProfile], column: Callable[[str], np.ndarray], rows: int) -> CodedRows:
    """Code the columns of some rows by the profiles of the reference.

    Args:
        parts: reference profiles of the features.
        column: gives the values of a feature, float64 or object array of str and None, shape (rows,).
    """
    codes = np.empty((rows, len(parts)), dtype=np.uint8, order="F")
    for i, part in enumerate(parts):
        codes[:, i] = (_numbers if part.kind == "numeric" else _words)(part, column(part.name))
    return CodedRows(tuple(p.name for p in parts), tuple(p.kind for p in parts), codes)


def shuffled_order(rows: CodedRows) -> np.ndarray:
    """A random order of the rows, the same however they were ordered before: row numbers, shape (rows,)."""
    whole = np.ascontiguousarray(rows.codes).view(np.dtype((np.void, rows.codes.shape[1])))[:, 0]
    ordered = np.argsort(whole, kind="stable")
    order: np.ndarray = ordered[np.random.default_rng(0).permutation(len(ordered))]
    return order


def quantile_edges(part: FeatureProfile) -> np.ndarray:
    """Upper ends of the quantile codes (inverted CDF on the grid of the reference), float64 ascending."""
    ranks = np.ceil(np.arange(1, QUANTILES) * (part.filled / QUANTILES))
    at = np.minimum(np.searchsorted(part.at_most, ranks), len(part.grid) - 1)
    edges: np.ndarray = part.grid[at]
    return edges


def _numbers(part: FeatureProfile, values: np.ndarray) -> np.ndarray:
    codes = np.searchsorted(quantile_edges(part), values, "left") + 1
    codes = np.where(values < part.grid[0], BELOW, np.where(values > part.grid[-1], ABOVE, codes))
    return np.where(np.isnan(values), MISSING, codes).astype(np.uint8)


def _words(part: FeatureProfile, values: np.ndarray) -> np.ndarray:
    # the rarer ones share a code: which of them the reference has by chance says nothing
    table: dict[str | None, int] = {
        word: i if i < OTHER and rows >= _LEAST else OTHER
        for i, (word, rows) in enumerate(zip(part.known, part.counts.tolist(), strict=True))
    }
    table[None] = NO_CATEGORY
    return np.fromiter((table.get(word, UNSEEN) for word in values.tolist()), np.uint8, len(values))
