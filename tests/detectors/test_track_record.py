"""A model's record on its hold-outs: importance, what is kept of it in the baseline file, and how large that is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from detectors import Baseline
from detectors.psi import PSI
from detectors.table import reference_rows
from detectors.track_record import TrackRecord, class_profile, measure, named
from detectors.unseen_category import UnseenCategory


def rule(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """A model that looks at `n0` three times as hard as at `n1`, and at nothing else."""
    score = np.clip(0.5 + 0.15 * (frame["n0"] - 0) + 0.05 * (frame["n1"] - 1) / 2, 0, 1).to_numpy()
    return (score > 0.5).astype(int), score


@pytest.fixture
def record(draw) -> tuple[Baseline, TrackRecord]:
    frame = draw(3000, 1).drop(columns=["gaps"])
    baseline = Baseline.fit(frame, version="1")
    held = draw(2000, 2)[list(baseline.features)]
    labels = (np.random.default_rng(3).random(2000) < rule(held)[1]).astype(int)
    return baseline, measure(list(baseline.features.values()), held, labels, rule)


def test_importance_is_how_far_the_score_moves(record):
    _, found = record
    assert sum(found.importance.values()) == pytest.approx(1)
    # a shuffled column moves the score by weight * |difference of two draws|, in proportion to weight * sd
    assert found.importance["n0"] / found.importance["n1"] == pytest.approx(3, rel=0.1)
    assert {n for n, v in found.importance.items() if v > 0} == {"n0", "n1"}


def test_accuracy_is_that_of_the_hold_outs(record):
    _, found = record
    assert found.rows.rows == 2000 and found.right.mean() == found.accuracy
    chance = np.maximum(found.score, 1 - found.score)  # of being right, since the labels follow the score
    assert found.accuracy == pytest.approx(chance.mean(), abs=0.04)


def test_the_record_survives_the_baseline_file(record, draw, tmp_path: Path):
    baseline, found = record
    table = reference_rows(list(baseline.features.values()), draw(3000, 1))
    replace(baseline, record=found, table=table).save(tmp_path / "baseline.npz")
    loaded = Baseline.load(tmp_path / "baseline.npz")
    assert loaded.record is not None and loaded.table is not None
    for name in ("score", "predicted", "label"):
        assert np.array_equal(getattr(loaded.record, name), getattr(found, name)), name
    assert np.array_equal(loaded.record.rows.codes, found.rows.codes)
    assert dict(loaded.record.importance) == pytest.approx(dict(found.importance))
    assert loaded.record.rows.features == found.rows.features == tuple(baseline.features)
    assert np.array_equal(loaded.table.codes, table.codes)
    assert loaded.record.profile.name == found.profile.name


def test_a_baseline_of_500_features_stays_a_small_file(tmp_path: Path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(6000, 500)), columns=[f"f{i}" for i in range(500)])
    baseline = Baseline.fit(frame)
    parts = list(baseline.features.values())
    one = lambda f: ((f["f0"] > 0).to_numpy().astype(int), np.abs(np.tanh(f["f0"].to_numpy())))  # noqa: E731
    found = measure(parts, frame, (frame["f1"] > 0).to_numpy().astype(int), one)
    replace(baseline, record=found, table=reference_rows(parts, frame)).save(tmp_path / "baseline.npz")
    assert (tmp_path / "baseline.npz").stat().st_size < 7_500_000


def test_a_class_that_was_never_said_on_the_hold_outs_is_no_unseen_category():
    classes = ("benign", "flood", "scan")
    said = np.repeat([0, 1], [3000, 2000])
    known = class_profile(said, classes)
    now = known.summarize(named(np.repeat([0, 1, 2], [1200, 700, 100]), classes))
    assert (known.counts.tolist(), now.unseen_rows) == ([3000, 2000, 0], 0)
    unseen, moved = UnseenCategory().score(known, now), PSI().score(known, now)
    assert (unseen.statistic, unseen.p_value) == (0, 1)
    assert moved.p_value < 1e-6 and moved.detail == 'share of "scan" 0 % → 5.0 %', (
        "and it is seen all the same"
    )
    usual = known.summarize(named(said, classes))
    assert PSI().score(known, usual).effect == 0
