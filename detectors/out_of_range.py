"""Values out of range: rows of a batch below the least or above the largest value of the reference."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.base import Score
from detectors.describe import rows_beyond
from detectors.profile import FeatureProfile
from detectors.significance import beyond, binomial_tail, combine, least_rows


@dataclass(frozen=True, slots=True)
class OutOfRange:
    """Share of rows outside the training range, where a model can only extrapolate.

    Without drift the k largest of all m + n rows are all in the batch with a chance of exactly the product over
    i < k of (n - i)/(n + m - i), whatever the distribution; ties lower it. p is twice the smaller of both ends
    (Bonferroni). A row beyond is expected once in (m + 1)/2 rows, and the effect is the share less that.

    Use it for spikes, unit errors and new regimes: it sees few absurd values that leave every quantile alone,
    and it says at which end. An end at which the reference has infinities is left out.

    Attributes:
        moderate: share above which it is moderate: in PSI a cell that goes from nothing to 2 % is worth 0.1.
        significant: above which it is significant: from nothing to 3.5 % is worth 0.2.

    Examples:
        Both of 2 batch rows above all 8 of the reference: (2/10) (1/9), twice for two ends:

        >>> import numpy as np
        >>> from detectors.profile import numeric_profile
        >>> reference = numeric_profile("x", np.arange(8.0))
        >>> score = OutOfRange().score(reference, reference.summarize(np.array([9.0, 10.0])))
        >>> score.statistic, round(score.p_value * 45, 9), score.detail
        (1.0, 2.0, '100 % of rows above the training range')

    References:
        Wilks, "Statistical prediction with special reference to the problem of tolerance limits", Ann. Math.
        Statist. 13 (1942); Rosenbaum, "Tables for a nonparametric test of location", ibid. 25 (1954).
    """

    moderate: float = 0.02
    significant: float = 0.035

    @property
    def name(self) -> str:
        return "out_of_range"

    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        """Share of rows beyond and p of one feature; None for categories and where one side has no values."""
        m, n = reference.filled, current.filled
        if reference.kind != "numeric" or not m or not n:
            return None
        ends = [
            (side, theirs)
            for side, ours, theirs in zip(
                ("below", "above"), reference.out_of_range, current.out_of_range, strict=True
            )
            if not ours
        ]
        k = sum(rows for _, rows in ends)
        share = k / current.rows
        effect = max(0.0, share - len(ends) / (m + 1))
        p = combine([beyond(rows, n, m) for _, rows in ends])
        if floor := reference.variation.get(self.name, 0.0):
            p = max(p, binomial_tail(k, current.rows, floor)) if effect > floor else 1.0
        said = [rows_beyond(rows / current.rows, side) for side, rows in ends if rows]
        return Score(share, p, effect, ", ".join(said))

    def rows_needed(self, reference: FeatureProfile, alpha: float) -> int | None:
        """Rows for a share of `significant` at one end to reach p <= alpha; None for categories."""
        if reference.kind != "numeric" or not (m := reference.filled):
            return None
        share = self.significant + 2 / (m + 1)
        return least_rows(lambda n: 2 * beyond(int(share * n), n, m) <= alpha, most=64 * m)
