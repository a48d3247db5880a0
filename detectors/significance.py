"""How likely a difference between reference and batch is without drift: exact where it can be, else a bound.

All tests condition on what both samples hold together and ask how their rows split over the two (a
permutation argument), so they hold whatever the distribution of the feature. m are rows of the reference, n of
the batch.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from importlib import import_module

import numpy as np

_MIN_EXPECTED = 5.0
_STEPS = 60


def preload() -> None:
    """Load scipy.special beside what the caller does: it takes as long as ten megabytes of CSV."""
    if "scipy.special" not in sys.modules:
        threading.Thread(target=import_module, args=("scipy.special",), name="preload").start()


def homogeneity(reference: np.ndarray, current: np.ndarray) -> float | None:
    """Whether two rows of counts come from one distribution: Pearson's 2 x k test on merged cells.

    Neighbouring cells are merged until each expects 5 rows in the smaller sample. Two cells are judged by the
    exact hypergeometric test. More are judged by the larger p of two: Pearson's X2 against a gamma
    distribution with its exact mean and variance given both margins, and the deviance G with Williams'
    correction. X2 alone is right in the body but its tail is too short (at p = 1e-4 and 50 rows in uneven
    cells by a factor 3 to 7); G follows the tail of large deviations but is too large in the body. The larger
    p is honest in both.

    Returns:
        p, or None where fewer than two cells remain.

    References:
        Haldane, Biometrika 31 (1940); Dawson, "A simplified expression for the variance of the chi-squared
        function on a contingency table", Biometrika 41 (1954); Williams, "Improved likelihood ratio tests for
        complete contingency tables", Biometrika 63 (1976).
    """
    table = _merged(reference, current)
    m, n = (int(side) for side in table.sum(axis=1))
    if table.shape[1] < 2:
        return None
    if table.shape[1] == 2:
        return proportions(int(table[0, 0]), m, int(table[1, 0]), n)
    from scipy.special import chdtrc, gammaincc, xlogy

    total, columns = m + n, table.sum(axis=0)
    freedom = len(columns) - 1
    ratio = table * (total / np.outer([m, n], columns))  # observed over expected
    statistic = float((table * (ratio - 1)).sum())  # equals the sum of (O - E)^2 / E
    mean, variance = _moments(total, np.array([m, n]), columns)
    by_statistic = float(gammaincc(mean**2 / variance, max(0.0, statistic) * mean / variance))
    spread = (total / m + total / n - 1) * (total * float((1 / columns).sum()) - 1)
    deviance = 2 * float(xlogy(table, ratio).sum()) / (1 + spread / (6 * total * freedom))
    return max(by_statistic, float(chdtrc(freedom, max(0.0, deviance))))


def proportions(hits_reference: int, m: int, hits_current: int, n: int) -> float:
    """Two-sided exact (hypergeometric, Fisher's) p of a share in the batch against that in the reference."""
    hits = hits_reference + hits_current
    upper = hypergeometric_tail(hits_current, n, hits, m + n)
    lower = hypergeometric_tail(n - hits_current, n, m + n - hits, m + n)
    return min(1.0, 2 * min(upper, lower))


def beyond(k: int, n: int, m: int) -> float:
    """P that the k most extreme of all rows are all in the batch: product of (n - i)/(n + m - i), i < k."""
    if k <= 0:
        return 1.0
    if k > n:
        return 0.0
    log = math.lgamma(n + 1) - math.lgamma(n - k + 1) - math.lgamma(n + m + 1) + math.lgamma(n + m - k + 1)
    return min(1.0, math.exp(log))


def unseen(k: int, totals: Iterable[int], n: int, m: int) -> float:
    """Bound of P that at least k rows of the batch are of categories that the reference lacks altogether.

    A category with t rows in both samples falls into the batch as a whole with probability
    C(n, t)/C(n + m, t); these events are negatively associated, so Chernoff's bound for the sum of the rows
    holds. Unlike the Good-Turing form P[Bin(n, (f1 + 1)/(m + 1)) >= k] it stays honest when rows of the same
    new category come together and when n is not small against m.

    Args:
        k: rows of unseen categories in the batch.
        totals: rows of each category, both samples together.
        n / m: rows with a value in batch and reference.
    """
    if k <= 0:
        return 1.0
    tally = Counter(t for t in totals if 0 < t <= n)
    sizes = np.array(sorted(tally), dtype=np.float64)
    many = np.array([tally[int(t)] for t in sizes], dtype=np.float64)
    log_chance = np.array([_log_choose(n, t) - _log_choose(n + m, t) for t in sizes])
    if (many * np.exp(log_chance) * sizes).sum() >= k:
        return 1.0

    def log_bound(s: float) -> float:
        # log(1 + chance (e^(s t) - 1)), without overflow
        with np.errstate(over="ignore"):
            grown = np.logaddexp(np.log1p(-np.exp(log_chance)), log_chance + s * sizes)
        return float((many * grown).sum() - s * k)

    low, high = 0.0, 60.0
    for _ in range(_STEPS):  # the bound is convex in s
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if log_bound(a) < log_bound(b) else (a, high)
    return min(1.0, math.exp(min(0.0, log_bound(low))))


def smirnov(distance: float, m: int, n: int) -> float:
    """P of a two-sample distance D at least this large: Kolmogorov's limit, a little more in the tail than exact.

    In the body (p > 0.1) of small samples it may be a little less, which decides nothing; ties only lower it.

    References:
        Smirnov (1939); Hodges, "The significance probability of the Smirnov two-sample test",
        Ark. Mat. 3 (1958).
    """
    from scipy.special import kolmogorov

    return float(kolmogorov(distance * math.sqrt(m * n / (m + n))))


def combine(p_values: list[float]) -> float:
    """Bonferroni over the tests that apply; 1 where none does."""
    return min(1.0, len(p_values) * min(p_values)) if p_values else 1.0


def beyond_variation(statistic: float, freedom: int, centre: float) -> float:
    """P that a statistic which is chi-squared without drift is this large where its centre lies at `centre`."""
    from scipy.special import chndtr

    return float(1 - chndtr(statistic, max(1, freedom), centre))


def binomial_tail(k: int, n: int, share: float) -> float:
    """P[Bin(n, share) >= k]."""
    if k <= 0:
        return 1.0
    if k > n:
        return 0.0
    from scipy.special import betainc

    return float(betainc(k, n - k + 1, min(1.0, max(0.0, share))))


def batch_rows(rows: float, m: int) -> int | None:
    """Rows n of a batch for which 1/(1/n + 1/m) is `rows`, at least 2; None where m is too small for any n."""
    if rows >= m:
        return None
    return max(2, math.ceil(rows * m / (m - rows)))


def least_rows(passes: Callable[[int], bool], most: int = 1 << 30) -> int | None:
    """The least n >= 2 from which on `passes` holds, for one that holds from some n on; None above `most`."""
    high = 2
    while not passes(high):
        high *= 2
        if high > most:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def _merged(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    m, n = int(reference.sum()), int(current.sum())
    need = _MIN_EXPECTED * (m + n) / max(1, min(m, n))  # rows of both samples in one cell
    groups: list[list[int]] = []
    before = now = 0
    for r, c in zip(reference.tolist(), current.tolist(), strict=True):
        before, now = before + r, now + c
        if before + now >= need:
            groups.append([before, now])
            before = now = 0
    if before + now:
        if groups:
            groups[-1][0] += before
            groups[-1][1] += now
        else:
            groups.append([before, now])
    return np.array(groups, dtype=np.int64).reshape(-1, 2).T


def _moments(total: int, rows: np.ndarray, columns: np.ndarray) -> tuple[float, float]:
    """Exact mean and variance of Pearson's statistic given the margins."""
    r, c = len(rows), len(columns)

    def v(k: int) -> float:
        return (k - 1) * (total - k) / (total - 1)

    def w(margin: np.ndarray, k: int) -> float:
        return (total * float((1 / margin).sum()) - k * k) / (total - 2)

    mean = total * (r - 1) * (c - 1) / (total - 1)
    variance = 2 * total / (total - 3) * (v(r) - w(rows, r)) * (v(c) - w(columns, c)) + total**2 / (
        total - 1
    ) * w(rows, r) * w(columns, c)
    return mean, variance


def hypergeometric_tail(k: int, n: int, hits: int, total: int) -> float:
    """P[X >= k], X the hits among n rows drawn from `total` rows of which `hits` are hits."""
    low, high = max(0, n + hits - total), min(n, hits)
    if k <= low:
        return 1.0
    if k > high:
        return 0.0
    share = hits / total
    spread = math.sqrt(n * share * (1 - share) * (total - n) / max(1, total - 1))
    mean = n * share
    stop = min(
        high, int(max(k, mean) + 12 * spread + 50)
    )  # beyond, less than 1e-29 of the first of them is left
    j = np.arange(k, stop + 1, dtype=np.float64)
    from scipy.special import gammaln

    def log_choose(a: float, b: np.ndarray) -> np.ndarray:
        return np.asarray(gammaln(a + 1) - gammaln(b + 1) - gammaln(a - b + 1))

    logs = log_choose(hits, j) + log_choose(total - hits, n - j) - _log_choose(total, n)
    return float(min(1.0, np.exp(logs).sum()))


def _log_choose(a: float, b: float) -> float:
    return math.lgamma(a + 1) - math.lgamma(b + 1) - math.lgamma(a - b + 1)
