"""p-values against scipy, closed forms, and simulation: uniform or conservative, far into the tail."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from detectors import significance


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 400), st.data())
def test_proportions_are_twice_the_smaller_tail_of_fishers_exact_test(m, n, data):
    a = data.draw(st.integers(0, m))
    b = data.draw(st.integers(0, n))
    table = [[b, n - b], [a, m - a]]
    tails = (stats.fisher_exact(table, alternative=side).pvalue for side in ("less", "greater"))
    assert significance.proportions(a, m, b, n) == pytest.approx(
        min(1.0, 2 * min(tails)), rel=1e-6, abs=1e-300
    )


def test_beyond_is_the_product_of_the_page():
    n, m, k = 50, 1000, 4
    assert significance.beyond(k, n, m) == pytest.approx(math.prod((n - i) / (n + m - i) for i in range(k)))
    assert significance.beyond(0, n, m) == 1.0
    assert significance.beyond(n + 1, n, m) == 0.0


def test_two_cells_are_judged_exactly():
    p = significance.homogeneity(np.array([900, 100]), np.array([70, 30]))
    assert p == significance.proportions(900, 1000, 70, 100)


def test_one_cell_has_no_test():
    assert significance.homogeneity(np.array([0, 1000]), np.array([0, 30])) is None
    assert significance.homogeneity(np.array([999, 1]), np.array([30, 0])) is None


def test_large_tables_agree_with_pearson():
    reference, current = np.array([3000, 4000, 3000]), np.array([3150, 3850, 3000])
    expected = stats.chi2_contingency([reference, current], correction=False).pvalue
    assert significance.homogeneity(reference, current) == pytest.approx(expected, rel=0.02)


def test_the_moments_of_pearsons_statistic_given_the_margins():
    rng = np.random.default_rng(0)
    rows, columns = np.array([200, 50]), np.array([100, 80, 40, 30])
    b = rng.multivariate_hypergeometric(columns, 50, 100_000)
    expected = np.outer(rows, columns) / 250
    statistic = ((b - expected[1]) ** 2 / expected[1] + (b - expected[1]) ** 2 / expected[0]).sum(axis=1)
    mean, variance = significance._moments(250, rows, columns)
    assert statistic.mean() == pytest.approx(mean, rel=0.01)
    assert statistic.var() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize(
    ("shares", "n"), [([1] * 10, 50), ([1, 1, 8], 50), ([1] * 6 + [14], 100), ([1] * 20 + [180], 1000)]
)
def test_p_of_homogeneity_is_honest_in_the_tail(shares, n):
    rng = np.random.default_rng(1)
    p = np.array(shares) / sum(shares)
    trials = 10_000
    reference, current = rng.multinomial(10_000, p, trials), rng.multinomial(n, p, trials)
    values = np.array([significance.homogeneity(r, c) for r, c in zip(reference, current, strict=True)])
    for level in (0.05, 0.01, 0.001):
        # an honest test exceeds this bound once in 100,000 runs
        assert (values <= level).sum() <= stats.binom.isf(1e-5, trials, level)


def test_smirnov_bounds_the_exact_p_and_is_close_to_it():
    for m, n, d in ((10_000, 100, 0.2), (2000, 500, 0.1), (300, 200, 0.15)):
        exact = stats.ks_2samp(np.arange(m) / m, np.arange(n) / n + d, method="exact")
        assert exact.pvalue <= significance.smirnov(exact.statistic, m, n) <= 1.6 * exact.pvalue


def test_unseen_is_never_below_the_exact_probability_of_one_new_category():
    # all k rows of one category fall into the batch: C(n, k)/C(n + m, k)
    for n, m, k in ((100, 10_000, 3), (500, 500, 8), (50, 5000, 1)):
        exact = math.comb(n, k) / math.comb(n + m, k)
        assert exact <= significance.unseen(k, [m + n - k, k], n, m) * (1 + 1e-9)


def test_unseen_is_honest_where_good_turing_is_not():
    # rare categories that come in bunches, batch as large as the reference
    rng = np.random.default_rng(2)
    sizes = np.concatenate([np.full(30, 6), [1000]])
    total = int(sizes.sum())
    m = n = total // 2
    values = []
    for _ in range(3000):
        batch = rng.multivariate_hypergeometric(sizes, n)
        k = int(batch[batch == sizes].sum())
        values.append(significance.unseen(k, sizes.tolist(), n, m))
    values = np.array(values)
    for level in (0.05, 0.01, 0.001):
        assert (values <= level).sum() <= stats.binom.isf(1e-5, len(values), level)


def test_unseen_has_power():
    known = [500] * 20
    assert significance.unseen(12, [*known, 12], 200, 10_000) < 1e-10
    assert significance.unseen(12, [*known, *[1] * 12], 200, 10_000) < 1e-6
    assert significance.unseen(1, [*known, *[1] * 200], 200, 10_000) == 1.0
