"""Unseen categories: rows of a batch whose category the reference does not know."""

from __future__ import annotations

from dataclasses import dataclass

from detectors import significance
from detectors.base import Score
from detectors.describe import unseen_words
from detectors.pooled import category_totals
from detectors.profile import FeatureProfile


@dataclass(frozen=True, slots=True)
class UnseenCategory:
    """Share of rows whose category the reference never had.

    Some are to be expected: a row drawn anew is of an unseen category with a chance of about f1/m, f1 the
    categories that m rows hold exactly once (Good and Turing). The effect is the share less that. p bounds
    the chance that so many rows are of categories which all fell into the batch (see `significance.unseen`:
    also where rows of a new category come together, and where the batch is not small against the reference).

    Use it where a new value is news by itself: a new protocol, device or country, of which the model has
    learned nothing.

    Attributes:
        moderate: share above which it is moderate: in PSI a cell that goes from nothing to 2 % is worth 0.1.
        significant: above which it is significant: from nothing to 3.5 % is worth 0.2.

    Examples:
        One batch row of a new category beside 9 known rows: that row is the one of 10 by chance 1/10:

        >>> import numpy as np
        >>> from detectors.profile import categorical_profile
        >>> reference = categorical_profile("x", np.array(["a"] * 9, dtype=object))
        >>> score = UnseenCategory().score(reference, reference.summarize(np.array(["b"], dtype=object)))
        >>> score.statistic, round(score.p_value, 6), score.detail
        (1.0, 0.1, '100 % in 1 category never seen (b)')

    References:
        Good, "The population frequencies of species and the estimation of population parameters", Biometrika
        40 (1953); Joag-Dev and Proschan, "Negative association of random variables", Ann. Statist. 11 (1983).
    """

    moderate: float = 0.02
    significant: float = 0.035

    @property
    def name(self) -> str:
        return "unseen_category"

    def score(self, reference: FeatureProfile, current: FeatureProfile) -> Score | None:
        """Share of unseen rows and p of one feature; None for numbers and where one side has no values."""
        m, n, k = reference.filled, current.filled, current.unseen_rows
        if reference.kind != "categorical" or not m or not n:
            return None
        share = k / current.rows
        effect = max(0.0, share - reference.singletons / m)
        p = significance.unseen(k, category_totals(reference, current), n, m)
        if floor := reference.variation.get(self.name, 0.0):
            p = max(p, significance.binomial_tail(k, current.rows, floor)) if effect > floor else 1.0
        return Score(share, p, effect, unseen_words(current) if k else "")

    def rows_needed(self, reference: FeatureProfile, alpha: float) -> int | None:
        """Rows for a share of `significant` in one new category to reach p <= alpha; None for numbers."""
        if reference.kind != "categorical" or not (m := reference.filled):
            return None
        share, known = self.significant + reference.singletons / m, reference.counts.tolist()
        if share >= 1:
            return None

        def passes(n: int) -> bool:
            k = int(share * n)
            return significance.unseen(k, [*known, k], n, m) <= alpha

        return significance.least_rows(passes, most=64 * m)
