"""A model of several classes on its hold-outs and on batches: its record, what it says more often, what it costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from detectors import Baseline
from detectors.checking import check
from detectors.class_metrics import evaluate_classes
from detectors.degradation import ALPHA, Reference, degradation, worse_than
from detectors.metrics import Thresholds
from detectors.psi import PSI
from detectors.report import DriftReport
from detectors.table import reference_rows
from detectors.track_record import PREDICTED_CLASS, PREDICTION, measure

NAMES = ("BENIGN", "DDoS", "PortScan")
CENTRES = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])


def world(rows: int, seed: int, shares=(0.6, 0.2, 0.2)) -> tuple[pd.DataFrame, np.ndarray]:
    """Three clouds that touch."""
    rng = np.random.default_rng(seed)
    label = rng.choice(3, rows, p=shares)
    at = CENTRES[label] + rng.normal(0, 1.0, (rows, 2))
    return pd.DataFrame({"a": at[:, 0], "b": at[:, 1], "noise": rng.normal(size=rows)}), label


def model(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The rule of Bayes for clouds of spread 1 and equal shares."""
    far = ((frame[["a", "b"]].to_numpy()[:, None, :] - CENTRES[None]) ** 2).sum(axis=2)
    chance = np.exp(-far / 2)
    chance /= chance.sum(axis=1, keepdims=True)
    said = chance.argmax(axis=1)
    return said, np.minimum(chance[np.arange(len(said)), said], 1.0)


@pytest.fixture(scope="module")
def known() -> Baseline:
    frame, _ = world(4000, 0)
    baseline = Baseline.fit(frame, version="1")
    held, label = world(2000, 1)
    parts = list(baseline.features.values())
    record = measure(parts, held, label, model, classes=NAMES)
    return replace(baseline, record=record, table=reference_rows(parts, frame))


def judged(baseline: Baseline, frame: pd.DataFrame) -> DriftReport:
    return check(baseline, frame, detectors=(PSI(),), champion=model)


def test_importance_sees_a_class_that_turns_although_the_model_is_as_sure_as_before(known) -> None:
    def sure(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        return (frame["a"] > 2).to_numpy().astype(int), np.ones(len(frame))

    held, label = world(1000, 2)
    found = measure(list(known.features.values()), held, label, sure, classes=NAMES)
    assert found.importance == pytest.approx({"a": 1.0, "b": 0.0, "noise": 0.0})


def test_the_record_survives_the_baseline_file(known, tmp_path: Path) -> None:
    known.save(tmp_path / "baseline.npz")
    back = Baseline.load(tmp_path / "baseline.npz").record
    assert back.classes == NAMES
    assert back.accuracy == known.record.accuracy
    assert back.spoken.known == known.record.spoken.known
    assert (back.spoken.counts == known.record.spoken.counts).all()


def test_a_record_of_two_classes_has_no_classes(known, tmp_path: Path) -> None:
    held, label = world(600, 3)
    two = measure(
        list(known.features.values()),
        held,
        (label > 0).astype(int),
        lambda f: (model(f)[0].clip(0, 1), model(f)[1]),
    )
    assert (two.classes, two.spoken) == ((), None)
    replace(known, record=two).save(tmp_path / "two.npz")
    back = Baseline.load(tmp_path / "two.npz").record
    assert (back.classes, back.spoken) == ((), None)


def test_without_drift_nothing_is_said_of_the_classes(known) -> None:
    report = judged(known, world(1500, 4)[0])
    assert report.verdict == "stable"
    assert {PREDICTION, PREDICTED_CLASS} <= {f.feature for f in report.features}


def test_a_class_that_comes_far_more_often_is_drift_of_the_predicted_classes(known) -> None:
    report = judged(known, world(1500, 5, (0.2, 0.2, 0.6))[0])
    found = next(f for f in report.features if f.feature == PREDICTED_CLASS)
    assert found.drifted
    assert "PortScan" in found.detail
    kinds = [f.feature for f in report.features if f.drifted]
    assert kinds.index("b") < kinds.index(PREDICTED_CLASS), "first the features that say why"


def harder(rows: int, seed: int, pull: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of the same world, but those between the clouds the likelier, the stronger the pull."""
    frame, label = world(20 * rows, seed)
    doubt = 1 - model(frame)[1]
    keep = np.random.default_rng(seed).random(len(frame)) < np.exp(pull * (doubt - 2 / 3))
    kept = np.flatnonzero(keep)[:rows]
    return frame.iloc[kept].reset_index(drop=True), label[kept]


@pytest.mark.parametrize("pull", [0.0, 2.0, 4.0])
def test_what_a_batch_costs_is_estimated_by_being_right_or_not(known, pull: float) -> None:
    inside, errors = 0, []
    for seed in range(10):
        frame, label = harder(1000, 20 + seed, pull)
        assert len(frame) == 1000
        found = judged(known, frame).estimate
        true = float((model(frame)[0] == label).mean())
        inside += found.low <= true <= found.high
        errors.append(abs(found.accuracy - true))
        assert (found.precision, found.recall) == (None, None)
    assert inside >= 8, "95 % asked: fewer would come by chance in less than 1 of 80"
    assert np.mean(errors) < 0.03
    assert not pull or found.harm


def test_a_model_that_is_always_right_is_estimated_too(known) -> None:
    right = replace(known.record, label=known.record.predicted)
    found = judged(replace(known, record=right), world(1000, 6)[0]).estimate
    assert found.accuracy > 0.97
    assert found.low < found.accuracy


def counted(*shares: tuple[int, int]):
    """Of each class rows, and how many of them are right; the rest are taken for the next."""
    truth = np.repeat(range(3), [rows for rows, _ in shares])
    parts = [np.repeat([k, (k + 1) % 3], [right, rows - right]) for k, (rows, right) in enumerate(shares)]
    said = np.concatenate(parts)
    return evaluate_classes(truth, said, NAMES)


def test_a_class_that_is_missed_is_harm_although_accuracy_hardly_falls() -> None:
    before = Reference.of(
        [counted((8000, 7990), (100, 98), (100, 99)), counted((1000, 999), (10, 10), (0, 0))], "x"
    )
    assert (before.rows, before.right, before.rates['recall of "DDoS"']) == (9210, 9196, (108, 110))
    found = degradation(counted((4000, 3996), (50, 50), (50, 20)), before, Thresholds())
    assert (found.harm, found.worse) == (True, ('recall of "PortScan" fell from 0.990 to 0.400',))
    same = degradation(counted((4000, 3996), (50, 49), (50, 48)), before, Thresholds())
    assert (same.harm, same.worse) == (False, ())


def test_one_per_cent_is_divided_among_the_classes_that_are_compared() -> None:
    names = ("seen", *(f"other {n}" for n in range(20)))
    before = Reference.of([evaluate_classes(np.zeros(40, int), np.zeros(40, int), names)], "x")
    now = evaluate_classes(np.zeros(8, int), np.repeat([0, 1], [5, 3]), names)
    p = worse_than(5, 8, 40, 40)
    assert ALPHA / len(names) < p <= ALPHA
    assert degradation(now, before, Thresholds()).worse == ('recall of "seen" fell from 1.000 to 0.625',)
