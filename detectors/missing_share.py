"""Missing values: by how much the share of rows without a value has changed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from detectors.base import Score
from detectors.describe import missing_change
from detectors.profile import FeatureProfile
from detectors.significance import least_rows, proportions


@dataclass(frozen=True, slots=True)
class MissingShare:
    """Change of the missing share, |q - p|, in either direction; cells of the wrong type are missing too.

    p is exact: the rows that miss a value are split at random over both samples (Fisher's hypergeometric
    test, two-sided).

    Use it where holes must not hide behind the other cells of a feature, or need thresholds of their own: a
    column with 20 % missing values may look alike in all other respects.

    Attributes:
        moderate: change above which it is moderate: one row in twenty.
        significant: above which it is significant: one row in ten.

    Examples:
        None of 10 reference rows and all of 2 in the batch: p = 2 / C(12, 2):

        >>> import numpy as np
        >>> from detectors.profile import numeric_profile
        >>> reference = numeric_profile("x", np.arange(10.0))
        >>> score = MissingShare().score(reference, reference.summarize(np.full(2, np.nan)))
        >>> score.statistic, round(score.p_value * 66, 9), score.detail
        (1.0, 2.0, 'missing 0 % → 100 %')

    References:
        Fisher, "The logic of inductive inference", J. R. Statist. Soc. 98 (1935); Little and Rubin, Statistical
        Analysis with Missing Data (2002), what missing values do to a model.
    """

    moderate: float = 0.05
    significant: float = 0.1

    @property
    def name(self) -> str:
        return "missing_share"

    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        """Change of the share and p of one feature; None where one side has no rows."""
        m, n = reference.rows, current.rows
        if not m or not n:
            return None
        hits, found = reference.missing, current.missing
        change = found / n - hits / m
        p = proportions(hits, m, found, n)
        if floor := reference.variation.get(self.name, 0.0):
            p = max(p, _beyond(hits, m, found, n, floor)) if abs(change) > floor else 1.0
        return Score(abs(change), p, abs(change), missing_change(reference, current) if change else "")

    def rows_needed(self, reference: FeatureProfile, alpha: float) -> int | None:
        """Rows a batch needs for `significant` to reach p <= alpha; None if the reference is too small."""
        hits, m = reference.missing, reference.rows
        share = min(1.0, hits / m + self.significant) if m else 0.0
        return least_rows(lambda n: proportions(hits, m, round(share * n), n) <= alpha)


def _beyond(hits: int, m: int, found: int, n: int, floor: float) -> float:
    """p against a reference whose share lies by `floor` nearer to the batch's."""
    moved = hits + math.ceil(floor * m) if found * m > hits * n else hits - math.ceil(floor * m)
    return proportions(min(m, max(0, moved)), m, found, n)
