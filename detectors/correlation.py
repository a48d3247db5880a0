"""Rank correlation: has any two features' going together changed? Sees what leaves each of them as it was."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.base import Score
from detectors.codes import ABOVE, BELOW, MISSING, CodedRows
from detectors.domain_classifier import LEAST_ROWS, MOST_CURRENT, MOST_REFERENCE

_MOST_TIED = 0.7  # share of one code above which a column has no ranks to speak of
_MOST_MISSING = 0.5
_LARGEST = 0.995  # correlations are kept below, where Fisher's z has no end
_SUSPECT = 0.05  # where the normal limit says less, the rows are dealt out anew to see what chance does
_ENOUGH = 10  # no further deal once chance has beaten the batch so often
_WORK = 90_000_000  # rows times features squared that a deal may cost: some 20 s for all of them on one core
_SEED = 0


@dataclass(frozen=True, slots=True)
class Correlation:
    """Largest change of Spearman's rank correlation over all pairs of numeric features.

    Ranks are the reference's quantile codes. Each change is held against its standard error in Fisher's z; the
    variance of a correlation is the distribution-free one, from the reference's fourth moments, since ranks are
    not Gaussian, and the error no smaller than a sixth of a loss of `moderate`: two columns that nearly repeat
    each other change by nothing that matters. p is that of the largest change, times the number of pairs (Bonferroni).

    Where a handful of rows carry a correlation (flights that land after midnight), the normal limit is far off.
    A p below 0.05 is therefore held against chance itself: the rows of both samples are dealt out anew, up to
    `deals` times, and p is at least the share of deals whose largest change is as surprising as this one; so no
    p is below 1 / (deals + 1). Where a table has more than 212 numeric features, only the first
    90,000,000 / features^2 rows of the batch are dealt (200 at least): a small change is then no longer
    significant. Rows that depend on each other (of one session, say) are taken for independent, as everywhere.

    Where the reference's own periods differ (`CodedRows.variation`), 1.1 times that change is no drift, and only what a
    pair has moved beyond it is held against chance.

    Use it beside the domain classifier: where one feature of many has lost its connection to the others (a
    join by the wrong key, a sensor that sends another machine's values), a classifier that looks at everything
    sees little, and this sees a great deal. It needs 200 rows.

    Attributes:
        moderate: change of a correlation above which drift is moderate.
        significant: above which it is significant.
        deals: of all rows, at most.

    Examples:
        Two features of rank correlation 0.8 that have nothing to do with each other any more:

        >>> import numpy as np
        >>> from detectors.codes import CodedRows
        >>> rng = np.random.default_rng(7)
        >>> def rows(rho, n):
        ...     pair = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], n)
        ...     codes = np.clip(np.floor(pair * 5 + 16), 1, 32).astype(np.uint8)
        ...     return CodedRows(("a", "b"), ("numeric",) * 2, codes)
        >>> score = Correlation().score_table(rows(0.8, 4_000), rows(0.0, 500))
        >>> 0.7 < score.statistic < 0.9, score.p_value
        (True, 0.0005)
        >>> score.detail
        'rank correlation of a and b 0.80 → 0.03'

    References:
        Steiger and Hakstian, "The asymptotic distribution of elements of a correlation matrix", British Journal
        of Mathematical and Statistical Psychology 35 (1982); Fisher, Metron 1 (1921); Westfall and Young,
        "Resampling-based multiple testing", 1993; Besag and Clifford, Biometrika 78 (1991).
    """

    moderate: float = 0.15
    significant: float = 0.4
    deals: int = 1_999

    def __post_init__(self) -> None:
        if self.deals < 1:
            raise ValueError(f"deals is {self.deals}: 1,999 is the default, and less than 1 decides nothing")

    @property
    def name(self) -> str:
        return "correlation"

    def score_table(self, reference: CodedRows, current: CodedRows) -> Score | None:
        """The largest change and p; None below 200 rows, or where fewer than two features have ranks."""
        if min(reference.rows, current.rows) < LEAST_ROWS:
            return None
        before, after = reference.head(MOST_REFERENCE), current.head(MOST_CURRENT)
        ours, theirs = _standard(before.codes), _standard(after.codes)
        at = np.flatnonzero(_ranked(before) & ~np.isnan(theirs).any(axis=0))
        if len(at) < 2:
            return None
        names = [reference.features[i] for i in at]
        u, v = ours[:, at], theirs[:, at]
        was, now = _correlations(u), _correlations(v)
        change = (np.arctanh(now) - np.arctanh(was)) / math.sqrt(1 / len(u) + 1 / len(v))
        upper = np.triu_indices(len(at), 1)
        surprise = np.abs(change / self._errors(u, was, 1 / (1 / len(u) + 1 / len(v))))[upper]
        own = reference.variation.get(self.name, 0.0)
        moved = np.abs(now - was)[upper]
        surprise *= 1 - np.minimum(1.1 * own / np.maximum(moved, 1e-12), 1.0)  # of what lies beyond it
        worst = int(np.argmax(surprise))
        i, j = upper[0][worst], upper[1][worst]
        size = float(moved[worst])
        p = min(1.0, len(surprise) * math.erfc(float(surprise[worst]) / math.sqrt(2)))
        if p < _SUSPECT:
            p = max(p, self._dealt(before.codes[:, at], after.codes[:, at], i, j))
        text = f"rank correlation of {names[i]} and {names[j]} {was[i, j]:.2f} → {now[i, j]:.2f}"
        return Score(size, p, max(0.0, size - own), text)

    def _errors(self, ranks: np.ndarray, rho: np.ndarray, rows: float) -> np.ndarray:
        """Standard error of each Fisher's z of so many rows, times their square root.

        Floored by a sixth of what a correlation moves when it loses `moderate`.
        """
        size = np.abs(rho)
        least = (np.arctanh(size) - np.arctanh(np.maximum(size - self.moderate, -_LARGEST))) / 6
        spread = np.sqrt(_variance(ranks, rho)) / (1 - rho**2)
        return np.asarray(np.maximum(spread, least * math.sqrt(rows)))

    def _dealt(self, before: np.ndarray, after: np.ndarray, i: int, j: int) -> float:
        """Share of random deals of all rows in which any pair's change surprises as that of one pair does here.

        A deal is held against all rows together, which are the same for every deal, as the batch is here.
        """
        after = after[: max(LEAST_ROWS, _WORK // after.shape[1] ** 2)]
        pool, rows = np.concatenate([before, after]), len(after)
        ranks = _standard(pool)
        rho = _correlations(ranks)
        errors, middle = self._errors(ranks, rho, rows), np.arctanh(rho)

        def surprise(chosen: np.ndarray) -> np.ndarray:
            change = np.arctanh(_correlations(_standard(pool[chosen]))) - middle
            return np.asarray(np.abs(change / errors))

        found = float(surprise(np.arange(len(before), len(pool)))[i, j])
        if not math.isfinite(found):  # constant in the rows that are dealt
            return 1.0
        random, beaten = np.random.default_rng(_SEED), 0
        for deal in range(1, self.deals + 1):
            beaten += bool(np.nanmax(surprise(random.choice(len(pool), rows, replace=False))) >= found)
            if beaten == _ENOUGH:
                return _ENOUGH / deal
        return (beaten + 1) / (self.deals + 1)


def _correlations(ranks: np.ndarray) -> np.ndarray:
    """Of each pair of standardized columns, (features, features); NaN where one is constant."""
    # rounded: a library that multiplies in several threads gives the same rows different last digits
    return np.asarray(np.clip(np.round(ranks.T @ ranks / len(ranks), 9), -_LARGEST, _LARGEST))


def _ranked(rows: CodedRows) -> np.ndarray:
    """Columns whose ranks mean something: numeric, mostly there, and not nearly constant; bool, (features,)."""
    numeric = np.array([kind == "numeric" for kind in rows.kinds], dtype=bool)
    modes = np.array([np.bincount(column).max() for column in rows.codes.T]) / rows.rows
    missing = (rows.codes == MISSING).mean(axis=0)
    return np.asarray(numeric & (modes <= _MOST_TIED) & (missing <= _MOST_MISSING))


def _standard(codes: np.ndarray) -> np.ndarray:
    """Standardized codes, a missing one at the mean; NaN in columns that are constant; shape (rows, features)."""
    there = codes != MISSING
    # the reference has none beyond its range
    values = np.where(there, np.clip(codes, BELOW + 1, ABOVE - 1), 0).astype(np.float64)
    mean = values.sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    centred = np.where(there, values - mean, 0.0)
    spread = np.sqrt((centred**2).mean(axis=0))
    ranks: np.ndarray = centred / np.where(spread > 0, spread, np.nan)
    return ranks


def _variance(u: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """n times the variance of each sample correlation of standardized columns, (features, features)."""
    squares, rows = u**2, len(u)
    both = squares.T @ squares / rows
    mixed = (u**3).T @ u / rows
    fourth = np.diag(both)
    spread: np.ndarray = (
        both - rho * (mixed + mixed.T) + rho**2 / 4 * (fourth[:, None] + fourth[None, :] + 2 * both)
    )
    return np.asarray(np.maximum(spread, 0.0))
