from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.performance import Metrics, evaluate
from trainers.base import Evaluation, Gate
from trainers.judgement import Cell, compare
from trainers.promotion import breaches, recommend


def counted(side: str, *, tp: int, fn: int, fp: int = 0, tn: int = 0) -> Evaluation:
    truth = [1] * (tp + fn) + [0] * (fp + tn)
    guess = [1] * tp + [0] * fn + [1] * fp + [0] * tn
    return Evaluation(side, len(truth), evaluate(np.array(truth), np.array(guess)))  # type: ignore[arg-type]


def pairs(holdout: str, *, both: int, lost: int, gained: int, neither: int = 0) -> Cell:
    """A cell of positive rows: `both` models right, the champion alone, the challenger alone, neither."""
    before = np.repeat([1, 1, 0, 0], [both, lost, gained, neither])
    after = np.repeat([1, 0, 1, 0], [both, lost, gained, neither])
    return compare(holdout, np.ones(len(before), dtype=int), before, after)


OLD = counted("old", tp=991, fn=9, fp=5, tn=995)
NEW_BEFORE = counted("new", tp=10, fn=140)
NEW_AFTER = counted("new", tp=149, fn=1)


def test_better_on_new_and_little_lost_on_old_is_promoted():
    after = counted("old", tp=989, fn=11, fp=5, tn=995)
    cells = (pairs("new", both=10, lost=0, gained=139, neither=1),)
    recommendation, reasons = recommend((OLD, NEW_BEFORE), (after, NEW_AFTER), Gate(), matrix=cells)
    assert recommendation == "promote"
    moved = cells[0].differences["accuracy"]
    assert reasons == (
        "accuracy on the new hold-out 0.067 → 0.993 (150 rows; +92.7 points, 95 % interval "
        f"+{100 * moved.low:.1f} to +{100 * moved.high:.1f}; p = {2.0**-139:.2g}, McNemar's exact test)",
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
        (counted("new", tp=9, fn=0), counted("new", tp=9, fn=0), "gets every new row right already"),
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
    # Four rows won and none lost come by chance in 1 of 16, five in 1 of 32.
    for gained, recommended in ((4, "keep"), (5, "promote")):
        cells = (pairs("new", both=100 - gained, lost=0, gained=gained),)
        before, after = counted("new", tp=100 - gained, fn=gained), counted("new", tp=100, fn=0)
        recommendation, reasons = recommend((OLD, before), (OLD, after), Gate(), matrix=cells)
        assert recommendation == recommended
        assert ("no significant difference" in reasons[0]) == (gained < 5)


def test_where_so_configured_not_worse_on_new_rows_is_enough():
    gate = Gate(new="not_worse")
    for gained, lost, recommended, says in (
        (2, 2, "promote", "no significant difference"),
        (0, 1, "promote", "the gate asks only that it is not worse"),
        (0, 3, "keep", "the gate asks for one that is not worse"),
    ):
        cells = (pairs("new", both=150 - gained - lost, lost=lost, gained=gained),)
        before, after = counted("new", tp=150 - gained, fn=gained), counted("new", tp=150 - lost, fn=lost)
        recommendation, reasons = recommend((OLD, before), (OLD, after), gate, matrix=cells)
        assert recommendation == recommended
        assert any(says in reason for reason in reasons)


def test_significantly_worse_is_said():
    before, after = counted("new", tp=150, fn=0), counted("new", tp=140, fn=10)
    cells = (pairs("new", both=140, lost=10, gained=0),)
    _, reasons = recommend((OLD, before), (OLD, after), Gate(), matrix=cells)
    assert "significantly worse than the current model" in reasons[0]


@pytest.mark.parametrize(
    ("lost", "gained", "rows", "recommended", "says"),
    [
        (8, 0, 200, "keep", "recall on the hold-out of era 1 1.000 → 0.960: a loss of 4 points, more than"),
        (
            1,
            0,
            20,
            "promote",
            "a loss of 5 points, more than the 1 point allowed, but on 20 rows no significant",
        ),
        (5, 0, 20, "keep", "a loss of 25 points"),
        (
            0,
            0,
            20,
            "promote",
            "era 1: no more lost than the gate allows; 95 % intervals that do not rule more out reach",
        ),
        (0, 0, 5000, "promote", "era 1: no more lost than the gate allows"),
    ],
)
def test_a_past_era_blocks_by_a_loss_that_is_no_chance(lost, gained, rows, recommended, says):
    cells = (
        pairs("era 1", both=rows - lost - gained, lost=lost, gained=gained),
        pairs("new", both=10, lost=0, gained=139, neither=1),
    )
    recommendation, reasons = recommend((OLD, NEW_BEFORE), (OLD, NEW_AFTER), Gate(), matrix=cells)
    assert recommendation == recommended
    assert any(says in reason for reason in reasons)


@pytest.mark.parametrize(("loss", "least", "most"), [(0.0, 0.0, 0.03), (0.1, 0.8, 1.0)])
def test_an_era_of_100_rows_blocks_a_real_loss_and_hardly_ever_chance(loss, least, most):
    """2 % of the rows change by chance; of 150 draws of a rate of 0.90, 0.80 or less come in 3 of 10,000."""
    rng, blocked = np.random.default_rng(0), 0
    for _ in range(150):
        gained, lost, both = rng.multinomial(100, [0.01, 0.01 + loss, 0.98 - loss])
        cells = (
            pairs("era 1", both=both, lost=lost, gained=gained),
            pairs("new", both=10, lost=0, gained=140),
        )
        blocked += recommend((OLD, NEW_BEFORE), (OLD, NEW_AFTER), Gate(), matrix=cells)[0] == "keep"
    assert least <= blocked / 150 <= most


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
