"""The comparison with the hold-outs: exact tests against scipy, audit sizes against the binomial test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from detectors.class_metrics import evaluate_classes
from detectors.degradation import Reference, degradation, labels_needed, largest_loss, worse_than
from detectors.performance import Metrics, Thresholds, evaluate

NO_LIMITS = Thresholds(None, None, None, None, None)


def counted(tn: int, fp: int, fn: int, tp: int) -> Metrics:
    truth = np.repeat([0, 0, 1, 1], [tn, fp, fn, tp])
    return evaluate(truth, np.repeat([0, 1, 0, 1], [tn, fp, fn, tp]))


def reference(tn: int, fp: int, fn: int, tp: int) -> Reference:
    made = Reference.of([counted(tn, fp, fn, tp)], "the hold-outs of version 1")
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("right", "rows", "before", "held"), [(80, 100, 950, 1000), (0, 5, 5, 5), (47, 50, 47, 50)]
)
def test_the_p_value_is_that_of_fishers_exact_test(right, rows, before, held):
    table = [[right, rows - right], [before, held - before]]
    expected = stats.fisher_exact(table, alternative="less").pvalue
    assert worse_than(right, rows, before, held) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("accuracy", "loss", "design"),
    [(0.93, 0.02, 2000), (0.93, 0.05, 400), (0.93, 0.10, 110),
     (0.98, 0.02, 1000), (0.98, 0.05, 200), (0.98, 0.10, 100)],
)  # fmt: skip
def test_with_many_hold_out_rows_audit_sizes_are_those_of_the_binomial_test(accuracy, loss, design):
    n = labels_needed(round(accuracy * 10**6), 10**6, loss=loss)
    k = stats.binom.ppf(0.01, n, accuracy) - 1  # the most right ones with P <= 1 %
    assert stats.binom.cdf(k + 1, n, accuracy) > 0.01 >= stats.binom.cdf(k, n, accuracy)
    assert stats.binom.cdf(k, n, accuracy - loss) >= 0.80
    assert n <= design, "the sizes that the design rounds up to are enough"
    few = n // 2
    assert stats.binom.cdf(stats.binom.ppf(0.01, few, accuracy) - 1, few, accuracy - loss) < 0.80


def test_small_hold_outs_take_more_labels_and_very_small_ones_never_tell():
    sizes = [labels_needed(round(0.93 * n), n) for n in (1_000_000, 10_000, 3_000)]
    assert sizes == sorted(sizes)
    assert labels_needed(279, 300) is None


def test_the_promised_power_is_reached_in_simulated_audits():
    random, held, right = np.random.default_rng(4), 5000, 4650
    n = labels_needed(right, held)
    drawn = random.binomial(n, 0.91, 2000)
    found = np.mean([worse_than(int(k), n, right, held) <= 0.01 for k in drawn])
    assert 0.77 < found < 0.92


def test_a_loss_is_harm_where_it_is_significant_and_two_points():
    before = reference(4650, 350, 0, 0)
    assert degradation(counted(1800, 200, 0, 0), before, NO_LIMITS).harm  # 3 points of 2,000
    few = degradation(counted(90, 10, 0, 0), before, NO_LIMITS)  # 3 points of 100
    assert (few.harm, few.told, few.loss) == (False, False, pytest.approx(0.03))
    assert few.labels_needed == labels_needed(4650, 5000)
    small = degradation(counted(18_400, 1_600, 0, 0), before, NO_LIMITS)  # 1 point of 20,000
    assert (small.harm, small.told, small.p_value < 0.01) == (False, True, True)


def test_no_loss_on_many_rows_rules_harm_out_although_the_hold_outs_are_small():
    found = degradation(counted(9400, 600, 0, 0), reference(930, 70, 0, 0), NO_LIMITS)
    assert (found.labels_needed, found.harm, found.told) == (None, False, True)
    assert found.most < 0.02


def test_the_largest_loss_is_the_square_and_add_interval():
    # Newcombe (1998), table II, first example: 56/70 against 48/80, method 10, 95 % two-sided: 0.0524 to 0.3339
    import detectors.degradation as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_Z", 1.959964)
        assert largest_loss(48, 80, 56, 70) == pytest.approx(0.3339, abs=5e-5)


def test_a_rare_class_that_is_missed_is_harm_although_accuracy_hardly_falls():
    before = reference(9800, 10, 10, 180)
    missed = counted(4900, 5, 50, 50)
    found = degradation(missed, before, Thresholds())
    assert found.loss < 0.02
    assert (found.harm, found.told) == (True, True)
    assert found.worse == ("recall fell from 0.947 to 0.500",)
    same = degradation(counted(4900, 5, 5, 90), before, Thresholds())
    assert (same.harm, same.worse) == (False, ())


def test_a_limit_that_the_hold_outs_break_too_is_no_loss():
    before = reference(900, 10, 50, 50)
    found = degradation(counted(9000, 100, 500, 500), before, Thresholds())
    assert (found.harm, found.worse) == (False, ())


def test_hold_outs_are_taken_together():
    both = Reference.of([counted(10, 1, 2, 3), counted(20, 0, 0, 4)], "x")
    assert (both.right, both.rows, both.accuracy) == (37, 40, 37 / 40)
    assert both.rates == {"precision": (7, 8), "recall": (7, 9), "specificity": (30, 31)}
    assert Reference.of([], "x") is None


def test_a_class_is_held_against_itself_however_its_name_is_written():
    """One row in sixty is of the class that is missed: accuracy falls by less than two points."""
    truth = np.repeat([0, 1], [5900, 100])
    held = evaluate_classes(truth, truth, ["BENIGN", "PortScan"])
    before = Reference.of([held], "the hold-outs")
    assert before is not None
    for names in (["BENIGN", "PortScan"], ["benign", "PORTSCAN"], [" Benign", "portscan "]):
        found = degradation(evaluate_classes(truth, np.zeros_like(truth), names), before, Thresholds())
        assert found is not None
        assert (found.harm, len(found.worse)) == (True, 1)
        assert "fell from 1.000 to 0.000" in found.worse[0]
