"""Population stability index: how far the shares of a feature's cells moved, corrected for sample size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors import significance
from detectors.base import Score
from detectors.describe import describe
from detectors.pooled import category_totals, pooled_cells
from detectors.profile import FeatureProfile

_FLOOR = 1e-4
OUTSIDE = "psi, outside"  # natural variation of the cells that hold no value the reference has


def psi(reference: np.ndarray, current: np.ndarray) -> float:
    """PSI of two rows of counts, smoothed symmetrically in both samples.

    With r and c rows in a cell of m and n: w = (r + c)/(m + n), p = max((r + w)/(m + 1), 1e-4),
    q = max((c + w)/(n + 1), 1e-4), PSI = sum of (q - p) ln(q/p).

    >>> import numpy as np
    >>> float(psi(np.array([50, 50]), np.array([5, 5])))
    0.0
    >>> round(psi(np.array([500_000, 500_000]), np.array([200_000, 800_000])), 3)  # -0.3 ln 0.4 + 0.3 ln 1.6
    0.416
    """
    return float(_terms(reference, current).sum())


def _terms(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """What each cell adds; nothing where one side has no rows."""
    m, n = reference.sum(), current.sum()
    if not m or not n:
        return np.zeros(len(reference))
    shared = (reference + current) / (m + n)
    p = np.maximum((reference + shared) / (m + 1), _FLOOR)
    q = np.maximum((current + shared) / (n + 1), _FLOOR)
    terms: np.ndarray = (q - p) * np.log(q / p)
    return terms


def inside_and_outside(reference: FeatureProfile, current: FeatureProfile) -> tuple[float, float]:
    """PSI* of the cells within what the reference holds, and of the others: out of range, unseen, missing.

    A mean that moves with the season moves rows between the cells inside; it is no reason for missing values.
    """
    before, after = reference.cells, current.cells
    per_row = 1 / max(1, reference.rows) + 1 / max(1, current.rows)
    # numeric: below, cells, above, missing; categories: cells, unseen, missing
    inside = slice(1 if reference.kind == "numeric" else 0, -2)
    terms, occupied = _terms(before, after), (before + after) > 0
    freedom = max(0, int(occupied[inside].sum()) - 1)
    within = max(0.0, float(terms[inside].sum()) - freedom * per_row)
    return within, max(0.0, float(terms.sum()) - max(0, int(occupied.sum()) - 1) * per_row - within)


@dataclass(frozen=True, slots=True)
class PSI:
    """Population stability index, the symmetric Kullback-Leibler divergence of the cell shares.

    The effect is PSI* = max(0, PSI - d (1/n + 1/m)) with d = occupied cells - 1: without drift,
    PSI/(1/n + 1/m) is about chi-squared with d degrees of freedom, so PSI alone calls every small batch drifted.
    The p-value is not taken from that (its tail is too short) but from tests that are exact or bounded: shares
    of merged cells, rows beyond the training range, unseen categories, and the share of missing values, times
    the number of tests that apply (Bonferroni).

    Sees any change of shape, missing values, values out of range, and new categories. Use `KS` beside it for
    small shifts of a whole numeric distribution.

    Attributes:
        moderate: PSI* above which drift is moderate.
        significant: PSI* above which drift is significant.

    Examples:
        The PSI of N(0, 1) against N(1, 1) is 1 in the limit of many cells; in deciles it is
        sum of (q - p) ln(q/p) with p = 1/10 and q from the normal CDF:

        >>> import numpy as np
        >>> from statistics import NormalDist
        >>> from detectors.profile import numeric_profile
        >>> rng = np.random.default_rng(7)
        >>> reference = numeric_profile("x", rng.normal(0, 1, 200_000))
        >>> score = PSI().score(reference, reference.summarize(rng.normal(1, 1, 200_000)))
        >>> cuts = [NormalDist().inv_cdf(k / 10) for k in range(1, 10)]
        >>> below = [0.0, *(NormalDist(1, 1).cdf(cut) for cut in cuts), 1.0]
        >>> exact = sum((q - 0.1) * np.log(q / 0.1) for q in np.diff(below))
        >>> bool(abs(score.statistic - exact) < 0.02), score.p_value, score.detail
        (True, 0.0, 'median 0 → 1')

    References:
        Siddiqi, Credit Risk Scorecards (2006); Yurdakul, Statistical Properties of Population Stability
        Index, Western Michigan University (2018).
    """

    moderate: float = 0.1
    significant: float = 0.2

    @property
    def name(self) -> str:
        return "psi"

    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        """PSI, PSI* and p of one feature; None where one side has no rows."""
        m, n = reference.rows, current.rows
        if not m or not n:
            return None
        before, after = reference.cells, current.cells
        statistic = psi(before, after)
        per_row = 1 / m + 1 / n
        freedom = max(0, int(((before + after) > 0).sum()) - 1)
        effect = max(0.0, statistic - freedom * per_row)
        p = significance.combine(_tests(reference, current))
        if self.name in reference.variation:
            natural = _natural(reference, current, effect)
            p = (
                max(p, significance.beyond_variation(statistic / per_row, freedom, natural / per_row))
                if effect > natural
                else 1.0
            )
        return Score(statistic, p, effect, describe(reference, current))

    def rows_needed(self, reference: FeatureProfile, alpha: float) -> int | None:
        """Rows a batch needs for PSI* = `significant` to reach p <= alpha; None if the reference is too small."""
        from scipy.special import chdtri

        occupied = reference.cells > 0
        freedom = max(1, int(occupied.sum()) - 1)
        tests = 3 + int(reference.missing > 0)
        distance = max(0.0, float(chdtri(freedom, alpha / tests)) - freedom)
        return significance.batch_rows(distance / self.significant, reference.rows)


def _natural(reference: FeatureProfile, current: FeatureProfile, effect: float) -> float:
    """How much of PSI* is natural: inside and outside the range each at most what the reference's periods allow."""
    within, beyond = reference.variation["psi"], reference.variation.get(OUTSIDE)
    if beyond is None:  # a baseline of before the two were told apart
        return min(effect, within)
    inside, outside = inside_and_outside(reference, current)
    return min(inside, within) + min(outside, beyond)


def _tests(reference: FeatureProfile, current: FeatureProfile) -> list[float]:
    m, n = reference.filled, current.filled
    tests = []
    if (p := significance.homogeneity(*pooled_cells(reference, current))) is not None:
        tests.append(p)
    if reference.missing or current.missing:
        tests.append(
            significance.proportions(reference.missing, reference.rows, current.missing, current.rows)
        )
    if not m or not n:
        return tests
    if reference.kind == "numeric":
        for ours, theirs in zip(reference.out_of_range, current.out_of_range, strict=True):
            if not ours:  # infinities in the reference leave nothing beyond it
                tests.append(significance.beyond(theirs, n, m))
    else:
        tests.append(significance.unseen(current.unseen_rows, category_totals(reference, current), n, m))
    return tests
