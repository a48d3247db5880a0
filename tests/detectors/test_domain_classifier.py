"""The domain classifier: sees what no single feature shows, and is honest where there is nothing to see."""

from __future__ import annotations

import numpy as np
from scipy import stats

from detectors.codes import UNSEEN, CodedRows
from detectors.domain_classifier import DomainClassifier


def rows_of(codes: np.ndarray, kind: str = "numeric", **variation: float) -> CodedRows:
    width = codes.shape[1]
    return CodedRows(tuple(f"f{i}" for i in range(width)), (kind,) * width, codes.astype(np.uint8), variation)


def correlated(rows: int, rho: float, seed: int) -> np.ndarray:
    """Two Gaussians in 32 quantile codes each."""
    draws = np.random.default_rng(seed).multivariate_normal([0, 0], [[1, rho], [rho, 1]], rows)
    return np.clip(np.floor(stats.norm.cdf(draws) * 32), 0, 31) + 1


def test_a_correlation_that_is_gone_is_seen_although_each_feature_is_as_before():
    reference = rows_of(correlated(4000, 0.9, 1))
    score = DomainClassifier().score_table(reference, rows_of(correlated(500, 0.0, 2)))
    assert score is not None and score.p_value is not None
    assert score.effect > 0.124 and score.p_value < 1e-6


def test_the_auc_is_that_of_the_best_classifier_within_what_it_can_learn():
    # shift s of one Gaussian: no classifier has an AUC above Phi(s / sqrt 2), and a good one comes near.
    rng, shift = np.random.default_rng(5), 1.0
    codes = [
        np.floor(stats.norm.cdf(rng.normal(m, 1, (n, 1))) * 32) + 1 for m, n in ((0, 4000), (shift, 2000))
    ]
    score = DomainClassifier().score_table(*(rows_of(np.clip(c, 1, 32)) for c in codes))
    best = stats.norm.cdf(shift / np.sqrt(2)) - 0.5
    assert score is not None and best - 0.03 < score.statistic < best + 0.02


def test_p_values_without_drift_are_not_too_small():
    p_values, rows = [], 300
    for seed in range(30):
        codes = np.random.default_rng(seed).integers(1, 33, (4000 + rows, 6))
        score = DomainClassifier().score_table(rows_of(codes[:4000]), rows_of(codes[4000:]))
        assert score is not None and score.p_value is not None
        p_values.append(score.p_value)
    assert stats.kstest(p_values, "uniform", alternative="greater").pvalue > 0.001
    assert min(p_values) > 1e-4


def test_too_few_rows_are_no_answer():
    codes = rows_of(np.random.default_rng(0).integers(1, 33, (400, 3)))
    assert DomainClassifier().score_table(codes, codes.head(199)) is None
    assert DomainClassifier().strange_rows(codes.head(199), codes) is None


def test_what_lies_beyond_the_reference_is_left_to_the_detectors_of_single_features():
    codes = np.random.default_rng(1).integers(0, 20, (4600, 3))
    batch = codes[4000:].copy()
    batch[:60, 0] = UNSEEN
    score = DomainClassifier().score_table(
        rows_of(codes[:4000], "categorical"), rows_of(batch, "categorical")
    )
    assert score is not None and score.p_value is not None and score.p_value < 1
    batch[:, :] = UNSEEN
    everything = DomainClassifier().score_table(
        rows_of(codes[:4000], "categorical"), rows_of(batch, "categorical")
    )
    assert everything is not None and everything.statistic > 0.4  # all in "other" is no batch of these


def test_the_reference_s_own_periods_are_no_drift():
    before, after = correlated(4000, 0.9, 1), correlated(600, 0.8, 2)
    alone = DomainClassifier().score_table(rows_of(before), rows_of(after))
    floored = DomainClassifier().score_table(rows_of(before, domain_classifier=0.3), rows_of(after))
    assert alone is not None and floored is not None
    assert floored.effect == 0 and floored.p_value > alone.p_value


def test_strange_rows_are_those_that_the_reference_has_next_to_none_of():
    rng = np.random.default_rng(4)
    reference = correlated(4000, 0.98, 1)
    batch = correlated(1000, 0.98, 2)
    foreign = np.arange(1000) < 300
    batch[foreign] = np.stack([rng.integers(1, 9, 300), rng.integers(25, 33, 300)], axis=1)  # never together
    strange = DomainClassifier().strange_rows(rows_of(reference), rows_of(batch))
    assert strange is not None and strange.shape == (1000,)
    assert strange[foreign].mean() > 0.9 and strange[~foreign].mean() < 0.02
