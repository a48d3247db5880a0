"""Jensen-Shannon distance of the shares of a feature's cells: bounded, symmetric, a metric."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.base import Score
from detectors.cell_distance import CellDistance
from detectors.profile import FeatureProfile


def jensen_shannon(reference: np.ndarray, current: np.ndarray) -> float:
    """Square root of the Jensen-Shannon divergence in bits: 0 for equal shares, 1 for disjoint ones.

    With shares p and q and h = (p + q)/2, the divergence is sum of p log2(p/h)/2 + q log2(q/h)/2.

    >>> import numpy as np
    >>> jensen_shannon(np.array([7, 0]), np.array([0, 3]))
    1.0
    """
    from scipy.special import rel_entr

    p, q = reference / reference.sum(), current / current.sum()
    half = (p + q) / 2
    nats = float(rel_entr(p, half).sum() + rel_entr(q, half).sum()) / 2
    return math.sqrt(max(0.0, nats / math.log(2)))


_DISTANCE = CellDistance(jensen_shannon, per_unit=8 * math.log(2))


@dataclass(frozen=True, slots=True)
class JensenShannon:
    """Jensen-Shannon distance J: how far both samples' cell shares are from their middle, in base 2.

    J lies between 0 and 1 and needs no smoothing of empty cells. Without drift 8 ln 2 J^2/(1/n + 1/m) is about
    chi-squared with d = occupied cells - 1 degrees of freedom, so J* = sqrt(max(0, J^2 - d (1/n + 1/m)/(8 ln 2)))
    is held against the thresholds.

    p comes from the likelihood ratio: G = 2 (m + n) ln 2 times the divergence in which each sample weighs as
    many rows as it has. In skewed cells of 50 rows G alone is up to a third too often significant, so p is
    never below Pearson's on the same cells (`significance.homogeneity`): it is the p of `ChiSquare`, and what
    differs is the effect.

    Use it to compare features and models on one bounded scale. `PSI` weighs new and vanished cells more.

    Attributes:
        moderate: J* from which drift is moderate: that of a Gaussian shift whose PSI is 0.1.
        significant: from which it is significant: the same for 0.2.

    Examples:
        All rows that move to a value which held half of them: J^2 = 1 - (3 log2(3) - 2)/4 = 0.3113:

        >>> import numpy as np
        >>> from detectors.profile import numeric_profile
        >>> reference = numeric_profile("x", np.repeat([0.0, 1.0], 5_000))
        >>> score = JensenShannon().score(reference, reference.summarize(np.ones(5_000)))
        >>> bool(abs(score.statistic**2 - (1 - (3 * np.log2(3) - 2) / 4)) < 1e-9), score.p_value
        (True, 0.0)

    References:
        Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37 (1991); Endres and
        Schindelin, IEEE Trans. Inf. Theory 49 (2003), that the root is a metric; Grosse et al., Phys. Rev. E 65
        (2002), its distribution.
    """

    moderate: float = 0.133
    significant: float = 0.188

    @property
    def name(self) -> str:
        return "jensen_shannon"

    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        """J, J* and p of one feature; None where one side has no rows."""
        return _DISTANCE.score(self.name, reference, current)

    def rows_needed(self, reference: FeatureProfile, alpha: float) -> int | None:
        """Rows a batch needs for J* = `significant` to reach p <= alpha; None if the reference is too small."""
        return _DISTANCE.rows_needed(self.significant, reference, alpha)
