"""Without drift p-values are what they claim to be: uniform where they can be, never too small.

Every p comes from a reference and a batch of its own, drawn from one distribution. Two claims are tested:

honest: P(p <= a) <= a for the levels that decide, for every detector, with ties and in small batches. Counts
above what a binomial of level a (1 + tolerance) gives once in 10,000 times are failures.

uniform: the whole distribution, by a two-sided Kolmogorov-Smirnov test, for detectors whose p has one
statistic of a continuous feature. Not for PSI, whose p is T times the smallest of T tests (Bonferroni's bound,
below a at most when the tests exclude each other); not for shares (missing, unseen, out of range), whose exact
tests have only as many values as counts can take, often p = 1 alone; not for the domain classifier, whose
standard error has a margin of 1.3 for the dependence of its folds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from scipy import stats

from detectors.chi_square import ChiSquare
from detectors.codes import CodedRows
from detectors.domain_classifier import DomainClassifier
from detectors.jensen_shannon import JensenShannon
from detectors.ks import KS
from detectors.missing_share import MissingShare
from detectors.out_of_range import OutOfRange
from detectors.profile import FeatureProfile, categorical_profile, numeric_profile
from detectors.psi import PSI
from detectors.unseen_category import UnseenCategory
from detectors.wasserstein import Wasserstein

DETECTORS = (
    *(PSI(), KS(), ChiSquare(), JensenShannon(), Wasserstein()),
    *(MissingShare(), UnseenCategory(), OutOfRange()),
)
SIZES = (50, 200, 1000)
TRIALS = 300
ROWS = 1200  # of each reference
LEVELS = (0.5, 0.2, 0.1, 0.05, 0.01)
TOLERANCE = 0.05

Draw = Callable[[np.random.Generator, int], np.ndarray]
WORDS = np.array([f"w{i}" for i in range(150)], dtype=object)
ZIPF = (1 / np.arange(1, 151)) / (1 / np.arange(1, 151)).sum()
KINDS: dict[str, Draw] = {
    "continuous": lambda rng, rows: rng.standard_normal(rows),
    "rounded": lambda rng, rows: np.round(rng.normal(0, 1.5, rows)),
    "zero-inflated": lambda rng, rows: np.where(rng.random(rows) < 0.8, 0.0, rng.lognormal(0, 2, rows)),
    "gaps": lambda rng, rows: np.where(rng.random(rows) < 0.1, np.nan, rng.exponential(1, rows)),
    "categorical": lambda rng, rows: rng.choice(WORDS, rows, p=ZIPF),
}


@cache
def pairs(kind: str, rows: int) -> tuple[tuple[FeatureProfile, FeatureProfile], ...]:
    """Independent pairs of reference and batch, the same for all detectors."""
    rng = np.random.default_rng(len(kind) * 10_000 + rows)
    learn = categorical_profile if kind == "categorical" else numeric_profile
    made = []
    for _ in range(TRIALS):
        reference = learn("x", KINDS[kind](rng, ROWS))
        made.append((reference, reference.summarize(KINDS[kind](rng, rows))))
    return tuple(made)


def p_values(detector, kind: str, rows: int) -> np.ndarray:
    scores = [detector.score(reference, batch) for reference, batch in pairs(kind, rows)]
    return np.array([score.p_value for score in scores if score is not None])


def too_small(p: np.ndarray) -> dict[float, int]:
    """Levels that are undercut too often, and how often; empty where the p-values are honest."""
    found = {a: int((p <= a).sum()) for a in LEVELS}
    return {a: k for a, k in found.items() if k > stats.binom.isf(1e-4, len(p), a * (1 + TOLERANCE))}


CASES = [
    pytest.param(detector, kind, rows, id=f"{detector.name}-{kind}-{rows}")
    for detector in DETECTORS
    for kind in KINDS
    for rows in SIZES
    if (detector.name in ("ks", "wasserstein", "out_of_range")) <= (kind != "categorical")
    and (detector.name == "unseen_category") <= (kind == "categorical")
]


@pytest.mark.parametrize(("detector", "kind", "rows"), CASES)
def test_p_values_are_honest(detector, kind, rows):
    p = p_values(detector, kind, rows)
    assert len(p) == TRIALS
    assert too_small(p) == {}
    # Pearson and the likelihood ratio are approximations in cells of few rows, and the larger of both is taken:
    # uniform to the eye of 300 samples from 200 rows on. Two samples of 50 and 1,200 rows have few distances.
    fine = {"ks": 50, "wasserstein": 50, "chi_square": 200, "jensen_shannon": 200}
    if kind == "continuous" and rows >= fine.get(detector.name, 10**9):
        assert stats.kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("rows", [200, 1000])
def test_p_values_of_the_domain_classifier_are_honest(rows):
    """60 only, and a small classifier: each is three trainings. Features with many values and with few."""
    rng, detector, kinds = np.random.default_rng(rows), DomainClassifier(trees=4), ("numeric",) * 4

    def draw(size: int) -> CodedRows:
        codes = np.concatenate([rng.integers(1, 33, (size, 2)), rng.integers(1, 3, (size, 2))], axis=1)
        return CodedRows(("a", "b", "c", "d"), kinds, codes.astype(np.uint8))

    p = np.array([detector.score_table(draw(600), draw(rows)).p_value for _ in range(60)])
    assert too_small(p) == {}


def test_the_test_sees_p_values_that_are_a_little_too_small():
    rng = np.random.default_rng(0)
    assert too_small(rng.random(TRIALS)) == {}
    assert too_small(rng.random(TRIALS) ** 1.6)
    assert too_small(rng.random(TRIALS) / 2)
    assert stats.kstest(np.sqrt(rng.random(TRIALS)), "uniform").pvalue < 1e-3


@pytest.mark.parametrize("rows", [50, 500])
def test_the_tail_of_wasserstein_is_honest_at_levels_that_decide(rows):
    """At 1 in 1,000, where p is no longer counted but weighted: a rare value far out, the hardest case."""
    rng = np.random.default_rng(rows)

    def draw(size: int) -> np.ndarray:
        return np.where(rng.random(size) < 0.95, 0.0, rng.exponential(1, size))

    p = []
    for _ in range(150):
        reference = numeric_profile("x", draw(ROWS))
        for _ in range(4):  # a reference shared by four batches: allow for that beyond the binomial limit
            p.append(Wasserstein().score(reference, reference.summarize(draw(rows))).p_value)
    assert sum(x <= 0.001 for x in p) <= 2 + stats.binom.isf(1e-4, len(p), 0.001)
    assert sum(x <= 0.01 for x in p) <= 2 + stats.binom.isf(1e-4, len(p), 0.01)
