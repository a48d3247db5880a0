"""Two-sample Kolmogorov-Smirnov distance of a numeric feature, on the grid of its reference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.base import Score
from detectors.describe import describe
from detectors.profile import FeatureProfile
from detectors.significance import batch_rows, smirnov


@dataclass(frozen=True, slots=True)
class KS:
    """Kolmogorov-Smirnov: D, the largest vertical distance between two empirical distribution functions.

    D is taken at both one-sided limits of every grid point, so it is exact where the reference has at most
    1,024 distinct values; otherwise it is low by at most the largest share of the reference strictly between
    two grid points (`FeatureProfile.grid_error`, about 0.001 for continuous data). The p-value is Smirnov's
    limit, in the tail a little above the exact one; ties only lower the exact one further. Missing values are
    left to PSI.

    The thresholds are the distances that a shift of a Gaussian has when its PSI is 0.1 and 0.2: significance
    alone calls a shift of 0.02 standard deviations drift once a batch has 100,000 rows.

    Attributes:
        moderate: D from which drift is moderate.
        significant: D from which drift is significant.

    Examples:
        A Gaussian shifted by one standard deviation has D = 2 Phi(1/2) - 1:

        >>> import numpy as np
        >>> from statistics import NormalDist
        >>> from detectors.profile import numeric_profile
        >>> rng = np.random.default_rng(7)
        >>> reference = numeric_profile("x", rng.normal(0, 1, 200_000))
        >>> score = KS().score(reference, reference.summarize(rng.normal(1, 1, 200_000)))
        >>> abs(score.statistic - (2 * NormalDist().cdf(0.5) - 1)) < 0.005
        True

    References:
        Massey, "The Kolmogorov-Smirnov test for goodness of fit", JASA 46 (1951); Hodges, "The significance
        probability of the Smirnov two-sample test", Ark. Mat. 3 (1958).
    """

    moderate: float = 0.126
    significant: float = 0.177

    @property
    def name(self) -> str:
        return "ks"

    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        """D and p of one feature; None for categories and where one side has no values."""
        m, n = reference.filled, current.filled
        if reference.kind != "numeric" or not m or not n:
            return None
        at = np.abs(reference.at_most / m - current.at_most / n).max()
        before = np.abs(reference.below / m - current.below / n).max()
        distance = float(max(at, before))
        p = smirnov(distance, m, n)
        floor = reference.variation.get(self.name, 0.0)
        if floor:
            p = smirnov(distance - floor, m, n) if distance > floor else 1.0
        return Score(distance, p, distance, describe(reference, current))

    def rows_needed(self, reference: FeatureProfile, alpha: float) -> int | None:
        """Rows a batch needs for D = `significant` to reach p <= alpha; None if the reference is too small."""
        if reference.kind != "numeric":
            return None
        rows = math.log(2 / alpha) / 2 / self.significant**2  # leading term of the limit's tail
        return batch_rows(rows, reference.filled)
