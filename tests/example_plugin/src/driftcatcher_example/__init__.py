"""Two detectors for DriftCatcher: one of single features, one of whole tables.

A detector measures; it does not judge. It returns a `Score` (the statistic, its p-value where there is one, the
effect that the thresholds are held against) or None where it does not apply.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from detectors.base import Score
from detectors.codes import MISSING, CodedRows
from detectors.significance import proportions

if TYPE_CHECKING:
    from detectors.profile import FeatureProfile

_LEAST_ROWS = 50
_FIELLER = 1.06  # of Fisher's z of a rank correlation


@dataclass(frozen=True, slots=True)
class MedianShift:
    """Share of rows above the reference's median, against what it was: Mood's median test, exact.

    It sees a shift of the middle and nothing else: no wider spread, no tails, no missing values.

    Attributes:
        moderate: change of that share above which drift is moderate.
        significant: above which it is significant.

    References:
        Mood, Introduction to the theory of statistics, 1950, 16.5.
    """

    moderate: float = 0.1
    significant: float = 0.2

    @property
    def name(self) -> str:
        return "median_shift"

    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        """None for categories, and where one side has no values."""
        if reference.kind != "numeric" or not reference.filled or not current.filled:
            return None
        middle = int(np.searchsorted(reference.at_most, math.ceil(reference.filled / 2)))
        middle = min(middle, len(reference.grid) - 1)  # more than half may be infinite
        before, after = (part.filled - int(part.at_most[middle]) for part in (reference, current))
        shares = before / reference.filled, after / current.filled
        return Score(
            statistic=abs(shares[1] - shares[0]),
            p_value=proportions(before, reference.filled, after, current.filled),
            detail=f"above {reference.grid[middle]:.6g}: {100 * shares[0]:.0f} % → {100 * shares[1]:.0f} %",
        )


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Largest change of a rank correlation between two numeric features; p by Fisher's z and Bonferroni.

    It works on the quantile codes of the rows, which are ranks in the reference, so that outliers do not matter.

    Attributes:
        moderate: change of the correlation above which drift is moderate.
        significant: above which it is significant.

    References:
        Fieller, Hartley and Pearson, "Tests for rank correlation coefficients", Biometrika 44 (1957).
    """

    moderate: float = 0.15
    significant: float = 0.3

    @property
    def name(self) -> str:
        return "rank_correlation"

    def score_table(self, reference: CodedRows, current: CodedRows) -> Score | None:
        """None below 50 rows on either side, or without two numeric features that vary in both."""
        numeric = [i for i, kind in enumerate(reference.kinds) if kind == "numeric"]
        worst, change, tests = None, -1.0, 0
        for pair in combinations(numeric, 2):
            before, after = (_correlation(rows.codes[:, pair]) for rows in (reference, current))
            if before is None or after is None:
                continue
            tests += 1
            if abs(after[0] - before[0]) > change:
                worst, change = (pair, before, after), abs(after[0] - before[0])
        if worst is None:
            return None
        pair, before, after = worst
        error = math.sqrt(_FIELLER / (before[1] - 3) + _FIELLER / (after[1] - 3))
        z = abs(_fisher(after[0]) - _fisher(before[0])) / error
        names = " and ".join(reference.features[i] for i in pair)
        return Score(
            statistic=change,
            p_value=min(1.0, tests * math.erfc(z / math.sqrt(2))),
            detail=f"correlation of {names} {before[0]:.2f} → {after[0]:.2f}",
        )


def _correlation(codes: np.ndarray) -> tuple[float, int] | None:
    """The correlation of two columns of codes and its rows; None where there are too few, or one is constant."""
    there = codes[(codes != MISSING).all(axis=1)].astype(np.float64)
    if len(there) < _LEAST_ROWS or not there.std(axis=0).all():
        return None
    return float(np.corrcoef(there.T)[0, 1]), len(there)


def _fisher(correlation: float) -> float:
    return math.atanh(max(-0.9999, min(0.9999, correlation)))
