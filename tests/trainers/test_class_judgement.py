"""Two models on several classes: two by name give what two classes always gave; Holm; a class that was forgotten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap
from sklearn.metrics import accuracy_score, recall_score

from detectors.class_metrics import evaluate_classes
from detectors.holm import adjusted, holm
from trainers.base import Evaluation, Gate
from trainers.judgement import compare, mcnemar
from trainers.promotion import breaches, recommend

NAMES = ("BENIGN", "DDoS", "PortScan")
GATE = Gate()
ROWS = st.lists(st.tuples(*[st.integers(0, 1)] * 3, st.integers(0, 4)), min_size=1, max_size=40)


@given(ROWS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_two_classes_by_name_are_judged_as_two_classes_always_were(rows, grouped: bool) -> None:
    truth, before, after, group = np.array(rows).T
    groups = group if grouped else None
    binary = compare("new", truth, before, after, groups=groups)
    named = compare("new", truth, before, after, groups=groups, classes=("no", "yes"))
    assert named.decided["accuracy"] == binary.decided["accuracy"]
    assert named.differences["accuracy"] == binary.differences["accuracy"]
    assert ("recall/yes" in named.differences) == ("recall" in binary.differences)
    if "recall" in binary.differences:
        assert named.differences["recall/yes"] == binary.differences["recall"]
        assert named.decided["recall/yes"] == binary.decided["recall"]
    if "fpr" in binary.differences:
        no, fpr = named.differences["recall/no"], binary.differences["fpr"]
        assert (no.value, no.low, no.high) == pytest.approx((-fpr.value, -fpr.high, -fpr.low), abs=1e-12)
    for metric, other in (("accuracy", "accuracy"), ("recall/yes", "recall")):
        assert named.p_value(metric) == binary.p_value(other)
        assert named.p_loss(metric) == binary.p_loss(other)


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_differences_and_counts_are_those_of_the_rows(rows) -> None:
    truth, before, after = np.array(rows).T
    cell = compare("new", truth, before, after, classes=NAMES)
    there = [name for place, name in enumerate(NAMES) if (truth == place).any()]
    assert cell.classes == tuple(there)
    assert set(cell.differences) == {"accuracy", "macro_recall", *(f"recall/{name}" for name in there)}
    places = np.unique(truth)
    for said, found in ((before, cell.champion), (after, cell.challenger)):
        assert found.accuracy == pytest.approx(accuracy_score(truth, said))
        assert found.macro_recall == pytest.approx(recall_score(truth, said, labels=places, average="macro"))
    for name, moved in cell.differences.items():
        assert -1 <= moved.low <= moved.value <= moved.high <= 1
        assert moved.value == pytest.approx(cell.challenger.value(name) - cell.champion.value(name))
    for name in there:
        mine = truth == NAMES.index(name)
        gained = int(((after == truth) & (before != truth) & mine).sum())
        lost = int(((after != truth) & (before == truth) & mine).sum())
        assert cell.decided[f"recall/{name}"] == (gained, lost)
        assert cell.p_value(f"recall/{name}") == pytest.approx(mcnemar(gained, lost))
    fell = {name: cell.differences[f"recall/{name}"].value for name in there}
    assert (cell.lost_most == "") == (min(fell.values()) >= 0)
    if cell.lost_most:
        assert fell[cell.lost_most] == min(fell.values())


def models(rows: int, seed: int = 0, kinds: int = 3):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, kinds, rows)
    wrong = (truth + rng.integers(1, kinds, rows)) % kinds
    return truth, *(np.where(rng.random(rows) < right, truth, wrong) for right in (0.9, 0.93))


def test_the_interval_of_the_mean_recall_is_that_of_resampled_rows() -> None:
    truth, before, after = models(1500)
    moved = compare("new", truth, before, after, classes=NAMES).differences["macro_recall"]

    def gain(places: np.ndarray) -> float:
        rows = places.astype(int)
        one, other = (recall_score(truth[rows], said[rows], average="macro") for said in (before, after))
        return other - one

    expected = bootstrap(
        (np.arange(1500),), gain, method="percentile", n_resamples=400, vectorized=False,
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert moved.low == pytest.approx(expected.low, abs=0.005)
    assert moved.high == pytest.approx(expected.high, abs=0.005)


def test_holm_is_the_step_down() -> None:
    assert holm([0.04, 0.01, 0.03], 0.05) == [False, True, False], (
        "0.03 * 2 is too much, so 0.04 is not asked"
    )
    assert holm([0.04, 0.01, 0.024], 0.05) == [True, True, True]
    assert holm([], 0.05) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_is_between_bonferroni_and_no_correction(p: list[float]) -> None:
    found = np.array(holm(p, 0.05))
    assert (found >= (np.array(p) * len(p) <= 0.05)).all()
    assert (found <= (np.array(p) <= 0.05)).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.floats(0.001, 0.999))
def test_an_adjusted_p_is_significant_where_the_step_down_says_so(p: list[float], alpha: float) -> None:
    expected = [False] * len(p)
    for rank, place in enumerate(np.argsort(p, kind="stable")):
        if p[place] * (len(p) - rank) > alpha:
            break
        expected[place] = True
    found = adjusted(p)
    assert [one <= alpha for one in found] == holm(p, alpha) == expected
    assert all(one <= other <= 1 for one, other in zip(p, found, strict=True))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(found)[order]) >= 0).all()


def test_adjusted_p_values_by_hand() -> None:
    assert adjusted([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert adjusted([0.5, 0.6]) == [1, 1]


@pytest.mark.parametrize(("kinds", "groups"), [(20, 0), (50, 0), (50, 60)])
def test_with_many_classes_the_intervals_hold_the_truth(kinds: int, groups: int) -> None:
    """45 points gained; of 100 draws of a rate of 0.95 fewer than 90 come in 1 of 100."""
    names, rows, runs = tuple(map(str, range(kinds))), 300, 100
    held = {"accuracy": 0, "macro_recall": 0}
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        truth = rng.permutation(np.arange(rows) % kinds)
        wrong = (truth + 1) % kinds
        before, after = (np.where(rng.random(rows) < right, truth, wrong) for right in (0.5, 0.95))
        related = np.arange(rows) % groups if groups else None
        found = compare("new", truth, before, after, groups=related, classes=names).differences
        for metric in held:
            held[metric] += found[metric].low <= 0.45 <= found[metric].high
    assert min(held.values()) >= 0.9 * runs


def test_of_many_classes_the_recall_of_each_stays_as_unsure_as_that_of_one_of_two() -> None:
    names = tuple(map(str, range(20)))
    truth = np.arange(300) % 20
    found = compare("old", truth, truth, truth, classes=names).differences
    two = compare("old", truth % 2, truth % 2, truth % 2, classes=("no", "yes")).differences
    assert found["recall/3"].low < -0.05, "15 rows rule little out"
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx(
        (two["accuracy"].low, two["accuracy"].high), abs=0.003
    )


# --- the gate ---


def judged(old, new, gate: Gate = GATE, classes=NAMES):
    """Recommendation and reasons, from (truth, champion, challenger) of both hold-outs."""
    before, after, cells = [], [], []
    for side, (truth, one, other) in (("old", old), ("new", new)):
        before.append(Evaluation(side, len(truth), evaluate_classes(truth, one, classes)))
        after.append(Evaluation(side, len(truth), evaluate_classes(truth, other, classes)))
        cells.append(compare(side, truth, one, other, classes=classes))
    return recommend(before, after, gate, matrix=cells)


def gained(rows: int = 60):
    """A new hold-out on which the challenger alone knows PortScan."""
    truth = np.repeat([0, 2], rows)
    return truth, np.zeros(2 * rows, dtype=int), truth


def turned(truth: np.ndarray, kind: int, rows: int) -> np.ndarray:
    """The truth, but so many rows of a class are said to be BENIGN."""
    said = truth.copy()
    said[np.flatnonzero(truth == kind)[:rows]] = 0
    return said


def test_a_class_that_lost_beyond_chance_blocks_although_accuracy_hardly_moved() -> None:
    truth = np.repeat([0, 1], [5000, 30])
    advice, reasons = judged((truth, truth, turned(truth, 1, 12)), gained())
    assert advice == "keep"
    assert reasons[0].startswith(
        'recall of "DDoS" on the old hold-out 1.000 → 0.600: a loss of 40 points, more than the 1 point allowed (p = '
    )
    assert not any("BENIGN" in reason for reason in reasons)


def test_a_few_rows_of_a_class_lost_by_chance_are_said_and_block_nothing() -> None:
    truth = np.repeat([0, 1], [5000, 30])
    advice, reasons = judged((truth, truth, turned(truth, 1, 3)), gained())
    assert advice == "promote"
    (said,) = [reason for reason in reasons if "DDoS" in reason]
    assert "but on 30 rows no significant difference" in said


@pytest.mark.parametrize(
    ("rows", "left", "told"),
    [
        (7, 1, "only 1 of its 7 rows is found"),
        (8, 1, "only 1 of its 8 rows is found"),
        (10, 2, "only 2 of its 10 rows are found"),
        (8, 0, "none of its 8 rows is found any more"),
        (4, 1, ""),
        (10, 3, ""),
    ],
)
def test_a_class_of_which_nearly_nothing_is_found_is_forgotten(rows: int, left: int, told: str) -> None:
    names = tuple(f"kind {n}" for n in range(100))
    truth = np.append(np.arange(1980) % 99, np.repeat(99, rows))
    advice, reasons = judged(
        (truth, truth, turned(truth, 99, rows - left)),
        gained(),
        Gate(max_loss_old=0.011, min_recall=None),
        names,
    )
    assert any(f'"kind 99" is forgotten, {told} (p = ' in reason for reason in reasons) == bool(told)
    assert advice == ("keep" if told else "promote")


def test_many_rare_classes_that_lose_a_little_each_are_a_loss_together() -> None:
    names = tuple(f"kind {n}" for n in range(20))
    truth = np.append(np.arange(6000) % 15, np.repeat(np.arange(15, 20), 4))
    worse = truth.copy()
    for kind in range(15, 20):
        worse[np.flatnonzero(truth == kind)[:2]] = 0
    advice, reasons = judged((truth, truth, worse), gained(), Gate(min_recall=None), names)
    assert advice == "keep"
    assert reasons[0].startswith(
        "macro recall on the old hold-out 1.000 → 0.875: a loss of 12 points, more than the 1 point allowed "
        "(95 % interval −"
    )
    (fourth,) = [reason for reason in reasons if '"kind 15"' in reason]
    assert fourth.endswith(
        "but on 4 rows no significant difference (p = 1 of 20 classes together, McNemar's exact test)"
    )
    unlucky = truth.copy()
    unlucky[-1] = 0
    advice, reasons = judged((truth, truth, unlucky), gained(), Gate(min_recall=None), names)
    assert advice == "promote"
    assert any(
        "macro recall on the old hold-out 1.000 → 0.988: a loss of 1.2 points" in reason
        and "but no significant difference (95 % interval −" in reason
        for reason in reasons
    )


def test_beside_holms_verdict_stands_holms_p() -> None:
    names = tuple(f"kind {n}" for n in range(10))
    truth = np.repeat(np.arange(10), 40)
    gate = Gate(max_loss_old=0.05)
    _, reasons = judged((truth, truth, turned(truth, 3, 7)), gained(), gate, names)
    (said,) = [reason for reason in reasons if '"kind 3"' in reason]
    p = 10 / 2**7
    assert said.endswith(
        f"no significant difference (p = {p:.2g} of 10 classes together, McNemar's exact test)"
    )
    _, reasons = judged((truth, truth, turned(truth, 3, 9)), gained(), gate, names)
    p = 10 / 2**9
    assert reasons[0].endswith(f"allowed (p = {p:.2g} of 10 classes together, McNemar's exact test)")
    one = np.append(truth, 10)
    _, reasons = judged((one, one, turned(one, 10, 1)), gained(), gate, (*names, "kind 10"))
    assert any("but on 1 row no significant" in reason for reason in reasons)


@pytest.mark.parametrize("rows", [30])
def test_ten_classes_without_a_loss_are_hardly_ever_taken_for_forgotten(rows: int) -> None:
    """2 % of the rows change by chance; of 100 draws of a rate of 0.02 more than 6 come in 1 of 200."""
    names, blocked = tuple(map(str, range(10))), 0
    truth = np.repeat(np.arange(10), rows)
    for seed in range(100):
        luck = np.random.default_rng(seed).random(len(truth))
        before, after = (np.where(hit, (truth + 1) % 10, truth) for hit in (luck < 0.01, luck > 0.99))
        new = (truth, (truth + 1) % 10, truth)
        _, reasons = judged((truth, before, after), new, GATE, names)
        of_classes = [reason for reason in reasons if reason.startswith(("recall of", "macro recall"))]
        blocked += any("no significant difference" not in reason for reason in of_classes)
    assert blocked <= 6


@pytest.mark.parametrize(("rows", "advice"), [(1, "promote"), (2, "keep"), (4, "keep")])
def test_a_class_of_which_nothing_is_found_any_more_is_forgotten(rows: int, advice: str) -> None:
    truth = np.repeat([0, 1], [1000, rows])
    found, reasons = judged((truth, truth, np.zeros_like(truth)), gained(), Gate(min_recall=None))
    assert found == advice
    assert any('"DDoS" is forgotten, none of its' in reason for reason in reasons) == (advice == "keep")


def test_a_weak_class_of_a_few_rows_may_be_missed_by_chance() -> None:
    truth = np.repeat([0, 1], [1000, 4])
    weak = turned(truth, 1, 2)
    advice, reasons = judged((truth, weak, np.zeros_like(truth)), gained(), Gate(min_recall=None))
    assert advice == "promote"
    assert any("but on 4 rows no significant difference" in reason for reason in reasons)
    more = np.repeat([0, 1], [1000, 10])
    advice, reasons = judged((more, turned(more, 1, 4), np.zeros_like(more)), gained(), Gate(min_recall=None))
    assert (advice, '"DDoS" is forgotten' in reasons[0]) == ("keep", True), "6 rows lost, none won"


def test_the_level_holds_for_all_classes_together() -> None:
    names = tuple(f"kind {n}" for n in range(10))
    truth = np.repeat(np.arange(10), 40)
    lost = turned(truth, 3, 6)  # p = 1/64 alone, above 0.05/10
    advice, _ = judged((truth, truth, lost), gained(), Gate(max_loss_old=0.05), names)
    assert advice == "promote"
    advice, reasons = judged((truth, truth, turned(truth, 3, 9)), gained(), Gate(max_loss_old=0.05), names)
    assert (advice, reasons[0][:20]) == ("keep", 'recall of "kind 3" o')


def test_many_classes_that_lost_by_chance_are_counted_and_not_all_named() -> None:
    names = tuple(f"kind {n}" for n in range(10))
    truth = np.repeat(np.arange(10), 40)
    said = truth.copy()
    for kind in range(2, 9):
        said[np.flatnonzero(truth == kind)[:1]] = 0
    advice, reasons = judged((truth, truth, said), gained(), Gate(max_loss_old=0.02), names)
    assert advice == "promote"
    assert sum("but on 40 rows no significant difference" in reason for reason in reasons) == 3
    assert (
        "4 more classes lost more than allowed on the old hold-out, each no significant difference" in reasons
    )


def test_without_a_comparison_class_by_class_nothing_is_promoted() -> None:
    truth = np.repeat([0, 1, 2], 50)
    worse = evaluate_classes(truth, turned(truth, 2, 10), NAMES)
    right = evaluate_classes(truth, truth, NAMES)
    before = [Evaluation("old", 150, right), Evaluation("new", 150, worse)]
    after = [Evaluation("old", 150, right), Evaluation("new", 150, right)]
    advice, reasons = recommend(before, after, GATE)
    assert (advice, reasons[0][:39]) == ("keep", "the models were not compared class by c")


def test_rows_of_a_group_count_as_one_for_a_class_too() -> None:
    truth = np.repeat([0, 1, 2], 60)
    host = np.arange(180) // 20
    before, after = truth.copy(), turned(truth, 2, 20)  # one host of three
    cell = compare("old", truth, before, after, groups=host, classes=NAMES)
    assert (cell.groups, cell.shifts["recall/PortScan"]) == (9, ((-20, 1),))
    assert cell.p_loss("recall/PortScan") == 0.5
    alone = compare("old", truth, before, after, classes=NAMES)
    assert alone.p_loss("recall/PortScan") < 1e-5
    wide, narrow = (c.differences["recall/PortScan"] for c in (cell, alone))
    assert wide.low < narrow.low < narrow.value == wide.value


def test_limits_are_held_against_means_over_the_classes_that_occur() -> None:
    truth = np.repeat([0, 1], [90, 10])
    said = turned(truth, 1, 6)
    said[0] = 2  # one row of a class that is not there
    found = breaches([Evaluation("new", 100, evaluate_classes(truth, said, NAMES))], Gate())
    assert found == ("macro recall on the new hold-out is 0.694, below the gate's 0.850",)
    strict = breaches(
        [Evaluation("new", 100, evaluate_classes(truth, said, NAMES))], Gate(min_precision=0.99)
    )
    assert strict[0].startswith("macro precision on the new hold-out is 0.968")
    one = np.zeros(50, dtype=int)
    alone = breaches([Evaluation("new", 50, evaluate_classes(one, one, NAMES))], Gate())
    assert alone == ("macro precision cannot be measured on any hold-out, so the gate's 0.850 is not shown",)
