"""Pearson's chi-squared test of the shares of a feature's cells, with Cramér's V as the size of the change."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.base import Score
from detectors.cell_distance import CellDistance
from detectors.profile import FeatureProfile


def cramers_v(reference: np.ndarray, current: np.ndarray) -> float:
    """Cramér's V of two rows of counts, as if both samples had the same number of rows.

    With shares p and q, V^2 = sum of (p - q)^2 / (2 (p + q)): 0 for equal shares, 1 for disjoint ones. The usual
    V depends on m and n: it nears 0 for any drift once the reference is large.

    >>> import numpy as np
    >>> round(3 * cramers_v(np.array([50, 50]), np.array([0, 10])) ** 2, 9)  # (1/2)^2 / (2 * 1/2) + (1/2)^2 / (2 * 3/2)
    1.0
    """
    p, q = reference / reference.sum(), current / current.sum()
    return math.sqrt(float(((p - q) ** 2 / (2 * np.maximum(p + q, 1e-300))).sum()))


_DISTANCE = CellDistance(cramers_v, per_unit=4.0)


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """Pearson's test whether two rows of counts come from one distribution; its effect is Cramér's V.

    The statistic is V (see `cramers_v`), between 0 and 1. Without drift 4 V^2/(1/n + 1/m) is about chi-squared
    with d = occupied cells - 1 degrees of freedom, so V* = sqrt(max(0, V^2 - d (1/n + 1/m)/4)) is held against
    the thresholds (Bergsma's correction in this form of V). p is that of `significance.homogeneity`: Pearson's
    X^2 with its exact moments on cells that expect 5 rows, never below that of the likelihood ratio.

    Use it for categories, flags and counts, where an effect between 0 and 1 is easier to read than PSI, and
    where one rare cell should not weigh as much as it does in PSI's logarithm.

    Attributes:
        moderate: V* from which drift is moderate: that of a Gaussian shift whose PSI is 0.1.
        significant: from which it is significant: the same for 0.2.

    Examples:
        Shares of 1/2 and 1/2 that become 1/4 and 3/4 have V^2 = (1/16)/(3/2) + (1/16)/(5/2) = 1/15:

        >>> import numpy as np
        >>> from detectors.profile import categorical_profile
        >>> reference = categorical_profile("x", np.array(["a", "b"] * 2_000, dtype=object))
        >>> score = ChiSquare().score(reference, reference.summarize(np.array(["a", *"bbb"] * 500, dtype=object)))
        >>> round(score.statistic**2 * 15, 6), score.p_value < 1e-9, score.detail
        (1.0, True, 'share of "b" 50 % → 75 %')

    References:
        Pearson, Philos. Mag. 50 (1900); Cramér, Mathematical Methods of Statistics (1946); Bergsma, "A
        bias-correction for Cramér's V and Tschuprow's T", J. Korean Statist. Soc. 42 (2013).
    """

    moderate: float = 0.156
    significant: float = 0.218

    @property
    def name(self) -> str:
        return "chi_square"

    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        """V, V* and p of one feature; None where one side has no rows."""
        return _DISTANCE.score(self.name, reference, current)

    def rows_needed(self, reference: FeatureProfile, alpha: float) -> int | None:
        """Rows a batch needs for V* = `significant` to reach p <= alpha; None if the reference is too small."""
        return _DISTANCE.rows_needed(self.significant, reference, alpha)
