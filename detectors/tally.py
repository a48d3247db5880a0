"""Numeric features counted at the grid points of their reference: all features of a block of rows at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(slots=True, eq=False)
class Tally:
    """Counts and moments of several features; those of further rows are added with `add`.

    Attributes:
        sizes: grid points of each feature.
        rows: rows counted.
        below / at_most: rows with a value < and <= each grid point, int64, the features one after the other.
        filled / finite: rows with a value, and with a finite one, int64, shape (features,).
        mean / m2: of the finite values, m2 being the sum of squared deviations, float64, shape (features,).
        minimum / maximum: the least and largest finite value, float64, shape (features,).
    """

    sizes: tuple[int, ...]
    rows: int
    below: np.ndarray
    at_most: np.ndarray
    filled: np.ndarray
    finite: np.ndarray
    mean: np.ndarray
    m2: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray

    @classmethod
    def empty(cls, grids: Sequence[np.ndarray]) -> Tally:
        """No rows of features with these grids, each float64 ascending."""
        sizes = tuple(len(grid) for grid in grids)
        points, features = sum(sizes), len(sizes)
        none, zero = np.zeros(features, np.int64), np.zeros(features)
        return cls(
            sizes,
            0,
            np.zeros(points, np.int64),
            np.zeros(points, np.int64),
            none,
            none.copy(),
            zero,
            zero.copy(),
            np.full(features, np.inf),
            np.full(features, -np.inf),
        )

    @classmethod
    def of(cls, grids: Sequence[np.ndarray], columns: Sequence[np.ndarray]) -> Tally:
        """Columns of float64 with NaN for missing, each of shape (rows,), counted at their grids."""
        tally = cls.empty(grids)
        tally.rows = len(columns[0]) if columns else 0
        at = 0
        with np.errstate(over="ignore", invalid="ignore"):
            for i, (grid, values) in enumerate(zip(grids, columns, strict=True)):
                here = slice(at, at := at + len(grid))
                ordered = np.sort(values)
                filled = int(ordered.searchsorted(np.nan))  # NaN sorts last
                ordered = ordered[:filled]
                tally.below[here], tally.at_most[here] = _counts(grid, ordered)
                finite = _finite(ordered)
                tally.filled[i], tally.finite[i] = filled, len(finite)
                if len(finite):
                    tally.mean[i] = mean = np.add.reduce(finite) / len(finite)
                    away = finite - mean
                    tally.m2[i] = np.add.reduce(np.multiply(away, away, out=away))
                    tally.minimum[i], tally.maximum[i] = finite[0], finite[-1]
        return tally

    def add(self, other: Tally) -> None:
        """Count the rows of another tally of the same features too.

        References:
            Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
            Stanford STAN-CS-79-773 (1979).
        """
        self.rows += other.rows
        self.below += other.below
        self.at_most += other.at_most
        self.filled += other.filled
        finite = self.finite + other.finite
        with np.errstate(over="ignore", invalid="ignore"):
            gap, share = other.mean - self.mean, other.finite / np.maximum(finite, 1)
            self.mean = np.where(other.finite > 0, self.mean + gap * share, self.mean)
            between = np.where(self.finite > 0, gap * gap * (self.finite * share), 0.0)
            self.m2 = np.where(other.finite > 0, self.m2 + other.m2 + between, self.m2)
        self.finite = finite
        self.minimum = np.minimum(self.minimum, other.minimum)
        self.maximum = np.maximum(self.maximum, other.maximum)

    def fields(self) -> Iterator[dict[str, Any]]:
        """For each feature what a profile calls it."""
        at = 0
        for i, size in enumerate(self.sizes):
            here = slice(at, at := at + size)
            yield {
                "rows": self.rows,
                "missing": self.rows - int(self.filled[i]),
                "below": self.below[here],
                "at_most": self.at_most[here],
                "finite": int(self.finite[i]),
                "mean": float(self.mean[i]),
                "m2": float(self.m2[i]),
                "minimum": float(self.minimum[i]),
                "maximum": float(self.maximum[i]),
            }


def _counts(grid: np.ndarray, ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values < and <= each grid point: the longer of both is searched for the shorter."""
    if len(grid) <= len(ordered):
        at_most = ordered.searchsorted(grid, "right")
        met = ordered[at_most - 1] == grid  # most points of a continuous feature are met by no value
        below = at_most.copy()
        below[met] = ordered.searchsorted(grid[met], "left")
        return below, at_most
    slots = len(grid) + 1
    below = np.bincount(grid.searchsorted(ordered, "right"), minlength=slots)
    at_most = np.bincount(grid.searchsorted(ordered, "left"), minlength=slots)
    return below.cumsum()[:-1], at_most.cumsum()[:-1]


def _finite(ordered: np.ndarray) -> np.ndarray:
    if not len(ordered) or (ordered[0] > -np.inf and ordered[-1] < np.inf):
        return ordered
    finite: np.ndarray = ordered[ordered.searchsorted(-np.inf, "right") : ordered.searchsorted(np.inf)]
    return finite
