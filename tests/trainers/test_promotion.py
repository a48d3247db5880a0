from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.performance import Metrics, evaluate
from trainers.base import Evaluation, Gate
from trainers.promotion import breaches, mcnemar, recommend


def counted(side: str, *, tp: int, fn: int, fp: int = 0, tn: int = 0) -> Evaluation:
    truth = [1] * (tp + fn) + [0] * (fp + tn)
    guess = [1] * tp + [0] * fn + [1] * fp + [0] * tn
    import numpy as np

    return Evaluation(side, len(truth), evaluate(np.array(truth), np.array(guess)))  # type: ignore[arg-type]


OLD = counted("old", tp=991, fn=9, fp=5, tn=995)
NEW_BEFORE = counted("new", tp=10, fn=140)
NEW_AFTER = counted("new", tp=149, fn=1)


def test_better_on_new_and_little_lost_on_old_is_promoted():
    after = counted("old", tp=989, fn=11, fp=5, tn=995)
    recommendation, reasons = recommend((OLD, NEW_BEFORE), (after, NEW_AFTER), Gate(), p_new=1e-9)
    assert recommendation == "promote"
    assert reasons == (
        "accuracy on the new hold-out 0.067 → 0.993 (150 rows, p = 1e-09, McNemar's exact test)",
        "accuracy on the old hold-out 0.993 → 0.992: a loss of 0.1 points, within the 1 point allowed",
        "recall on the old hold-out 0.991 → 0.989: a loss of 0.2 points, within the 1 point allowed",
        "the new model keeps every limit of the gate",
    )


def test_what_was_forgotten_blocks_and_comes_first():
    after = counted("old", tp=941, fn=59, fp=5, tn=995)
    recommendation, reasons = recommend((OLD, NEW_BEFORE), (after, NEW_AFTER), Gate())
    assert recommendation == "keep"
    assert reasons[:2] == (
        "accuracy on the old hold-out 0.993 → 0.968: a loss of 2.5 points, more than the 1 point allowed",
        "recall on the old hold-out 0.991 → 0.941: a loss of 5 points, more than the 1 point allowed",
    )
    assert reasons[-1].startswith("accuracy on the new hold-out 0.067 → 0.993")


def test_a_loss_of_exactly_what_is_allowed_passes():
    before = counted("old", tp=100, fn=0, tn=100)
    after = counted("old", tp=99, fn=1, tn=99, fp=1)
    assert recommend((before, NEW_BEFORE), (after, NEW_AFTER), Gate())[0] == "promote"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (NEW_AFTER, NEW_AFTER, "no better than the current model"),
        (NEW_AFTER, counted("new", tp=148, fn=2), "no better than the current model"),
        (counted("new", tp=9, fn=0), counted("new", tp=9, fn=0), "there is nothing to gain"),
        (None, None, "there is no new hold-out, so no gain can be shown"),
    ],
)
def test_without_a_gain_on_new_rows_the_current_model_is_kept(before, after, says):
    champion = (OLD, before) if before else (OLD,)
    challenger = (OLD, after) if after else (OLD,)
    recommendation, reasons = recommend(champion, challenger, Gate())
    assert recommendation == "keep"
    assert says in reasons[0]


def test_a_gain_that_can_be_chance_is_none():
    for p, recommended in ((0.051, "keep"), (0.05, "promote")):
        recommendation, reasons = recommend((OLD, NEW_BEFORE), (OLD, NEW_AFTER), Gate(), p_new=p)
        assert recommendation == recommended
        assert ("so small a gain can be chance" in reasons[0]) == (p > 0.05)


def test_precision_without_a_negative_row_is_not_measured():
    old = counted("old", tp=100, fn=0, fp=100, tn=900)
    attacks_only = counted("new", tp=100, fn=0)
    assert breaches((old, attacks_only), Gate(max_fpr=None)) == (
        "precision on the old hold-out is 0.500, below the gate's 0.850",
    )


def test_one_new_row_of_a_class_does_not_answer_for_the_old_ones():
    old = counted("old", tp=100, fn=0, fp=49, tn=51)
    new = counted("new", tp=150, fn=0, fp=0, tn=1)
    assert "false positive rate on the old hold-out is 0.490, above the gate's 0.100" in breaches(
        (old, new), Gate()
    )


def test_without_an_old_hold_out_the_gate_refuses():
    recommendation, reasons = recommend((NEW_BEFORE,), (NEW_AFTER,), Gate(max_fpr=None))
    assert recommendation == "keep"
    assert reasons[0] == "there is no old hold-out, so what the new model has forgotten cannot be seen"


def test_numbers_that_look_the_same_get_more_decimals():
    before = counted("old", tp=5000, fn=0, tn=5000)
    after = counted("old", tp=4999, fn=1, tn=5000)
    _, reasons = recommend((before, NEW_BEFORE), (after, NEW_AFTER), Gate())
    assert "accuracy on the old hold-out 1.0000 → 0.9999: a loss of 0.01 points" in reasons[1]


def test_limits_are_asked_on_every_hold_out_that_can_tell():
    # Only attacks among the new rows: no false positive rate there, so the old rows alone answer.
    old = counted("old", tp=90, fn=10, fp=20, tn=80)
    new = counted("new", tp=80, fn=20)
    assert breaches((old, new), Gate(min_accuracy=0.9, min_precision=0.8)) == (
        "accuracy on the new hold-out is 0.800, below the gate's 0.900",
        "accuracy on the old hold-out is 0.850, below the gate's 0.900",
        "recall on the new hold-out is 0.800, below the gate's 0.850",
        "false positive rate on the old hold-out is 0.200, above the gate's 0.100",
        "false negative rate on the new hold-out is 0.200, above the gate's 0.050",
        "false negative rate on the old hold-out is 0.100, above the gate's 0.050",
    )


def test_a_limit_that_nothing_can_measure_is_not_passed_silently():
    only = counted("new", tp=9, fn=0)
    assert breaches((only,), Gate()) == (
        "precision cannot be measured on any hold-out, so the gate's 0.850 is not shown",
        "false positive rate cannot be measured on any hold-out, so the gate's 0.100 is not shown",
    )


def test_limits_that_are_not_asked_block_nothing():
    nothing = Gate(min_accuracy=None, min_precision=None, min_recall=None, max_fpr=None, max_fnr=None)
    assert breaches((counted("old", tp=1, fn=99, fp=99, tn=1),), nothing) == ()


def test_mcnemar_is_the_binomial_tail():
    # 5 rows won, none lost: (1/2)^5.  3 won, 1 lost: P[Bin(4, 1/2) >= 3] = 5/16.
    assert mcnemar([False] * 5 + [True] * 3, [True] * 8) == pytest.approx(1 / 32)
    assert mcnemar([False, False, False, True], [True, True, True, False]) == pytest.approx(5 / 16)
    assert mcnemar([True, False], [True, False]) == 1.0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_one_more_row_won_never_makes_the_gain_less_certain(pairs):
    before, after = [p[0] for p in pairs], [p[1] for p in pairs]
    p = mcnemar(before, after)
    assert 0 < p <= 1
    if any(p[1] != p[0] for p in pairs):  # with no row between them p is 1 by convention, one row gives 1/2
        assert mcnemar([*before, False], [*after, True]) <= p + 1e-12


shares = st.floats(0, 1)


@given(shares, shares, shares, shares, st.floats(0, 0.2))
def test_nothing_is_promoted_that_loses_more_than_allowed_or_gains_nothing(
    old_a, old_b, new_a, new_b, allowed
):
    def measured(side: str, value: float) -> Evaluation:
        metrics = Metrics(100, value, value, value, value, None, 0.0, 0.0, 0, 0, 0, 0)
        return Evaluation(side, 100, metrics)  # type: ignore[arg-type]

    gate = replace(Gate(), max_loss_old=allowed, min_accuracy=None, min_precision=None, min_recall=None)
    champion, challenger = (
        (measured("old", old_a), measured("new", new_a)),
        (measured("old", old_b), measured("new", new_b)),
    )
    recommendation, _ = recommend(champion, challenger, gate)
    gains = new_b > new_a
    assert recommendation != "promote" or (gains and old_a - old_b <= allowed + 1e-9)
    assert recommendation == "promote" or not gains or old_a - old_b > allowed - 1e-9
