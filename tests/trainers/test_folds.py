"""Calibration and search with repeated rows: no row is measured by a model that was fitted on it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from bot.trainer_options import load_trainer
from trainers.base import TrainingError
from trainers.fitting import fit_grouped
from trainers.folds import folds
from trainers.mixing import Mix, draw


def noise(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Labels of which the features say nothing; one in ten is positive."""
    rng = np.random.default_rng(seed)
    features = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    return features.assign(word=rng.choice(["x", "y"], rows)), (rng.random(rows) < 0.1).astype(int)


def balanced() -> tuple[pd.DataFrame, np.ndarray]:
    features, labels = noise(600, 0)
    places = draw(Mix("balanced"), np.zeros(600, dtype=int), labels)
    return features.iloc[places].reset_index(drop=True), labels[places]


def test_without_repeated_rows_the_folds_are_scikit_learns() -> None:
    features, labels = noise(200, 1)
    reference = StratifiedKFold(5, shuffle=True, random_state=3).split(features, labels)
    for mine, theirs in zip(folds(features, labels, 5, 3), reference, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_a_repeated_row_is_on_one_side_and_every_row_is_outside_once() -> None:
    features, labels = balanced()
    assert features.duplicated().any()
    dealt = folds(features, labels, 5, 0)
    assert np.array_equal(np.sort(np.concatenate([outside for _, outside in dealt])), np.arange(len(labels)))
    for inside, outside in dealt:
        assert features.iloc[outside].merge(features.iloc[inside].drop_duplicates()).empty


@given(st.integers(2, 5), st.integers(2, 40), st.integers(0, 5))
def test_a_group_is_on_one_side_and_every_row_is_outside_once(number: int, many: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 2**63, many).astype(np.uint64)[np.arange(200) % many]
    features, labels = noise(200, seed)
    labels[: 2 * many] = np.repeat([0, 1], many)  # of each group some of both classes
    dealt = folds(features, labels, number, seed, groups)
    assert len(dealt) == min(number, many)
    assert np.array_equal(np.sort(np.concatenate([outside for _, outside in dealt])), np.arange(200))
    for inside, outside in dealt:
        assert not set(groups[inside]) & set(groups[outside])


def test_many_groups_are_dealt_quickly_and_stay_whole() -> None:
    groups = np.random.default_rng(0).integers(0, 2**63, 6_000).astype(np.uint64)[np.arange(20_000) % 6_000]
    features, labels = noise(20_000, 0)
    dealt = folds(features, labels, 3, 0, groups)
    for inside, outside in dealt:
        assert not set(groups[inside]) & set(groups[outside])
        assert 0.25 < len(outside) / 20_000 < 0.42
        assert labels[outside].mean() == pytest.approx(labels.mean(), abs=0.02)


def hosts(many: int, rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Rows of hosts, whose features tell the host and nothing else: its label is a coin."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(many), rows)
    centre = rng.normal(0, 5, (many, 4))
    features = pd.DataFrame(centre[group] + rng.normal(0, 0.1, (many * rows, 4)), columns=list("abcd"))
    coin = np.arange(many) % 2
    return features, coin[group], group.astype(np.uint64)


def test_whoever_knows_the_host_by_heart_is_not_taken_for_good() -> None:
    features, labels, groups = hosts(40, 30, 1)
    search = {"params": {"min_samples_leaf": [1, 40]}, "trials": 3}
    trainer = load_trainer("random_forest", {"n_estimators": 20, "search": search})
    trainer.fit(features, labels, ())
    assert trainer.params()["search.score"] > 0.99
    trainer.fit(features, labels, (), groups=groups)
    assert trainer.params()["search.score"] < 0.75

    calibrated = load_trainer("random_forest", {"n_estimators": 20, "calibrate": "sigmoid"})
    fresh, truth, _ = hosts(40, 30, 2)
    losses = [
        log_loss(truth, fit_grouped(calibrated, features, labels, (), known).predict_proba(fresh))
        for known in (None, groups)
    ]
    assert losses[1] < np.log(2) + 0.1 < losses[0]


def test_groups_that_leave_nothing_to_learn_from_are_said() -> None:
    features, labels = noise(50, 3)
    with pytest.raises(TrainingError, match=r"of one group alone: nothing can be cross-validated\. Add rows"):
        folds(features, labels, 3, 0, np.zeros(50, dtype=np.uint64))
    with pytest.raises(TrainingError, match="one class alone to train on"):
        folds(features, np.arange(50) // 25, 3, 0, (np.arange(50) // 25).astype(np.uint64))


def test_the_groups_reach_what_goes_around_a_trainer(monkeypatch) -> None:
    seen = []

    def watched(*given):
        seen.append(given[4])
        return folds(*given)

    monkeypatch.setattr("trainers.calibration.folds", watched)
    monkeypatch.setattr("trainers.search.folds", watched)
    features, labels, groups = hosts(12, 20, 4)
    options = {
        "n_estimators": 5, "calibrate": "sigmoid", "trusted": ["a.b"],
        "search": {"params": {"min_samples_leaf": [1, 5]}, "trials": 2},
    }  # fmt: skip
    fit_grouped(load_trainer("random_forest", options), features, labels, (), groups)
    assert len(seen) == 2  # one for the search, one for the calibration
    assert all(np.array_equal(one, groups) for one in seen)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_balanced_rows_do_not_make_a_calibrated_model_sure_of_noise(method: str) -> None:
    features, labels = balanced()
    forest = {"n_estimators": 20, "calibrate": method}
    model = load_trainer("random_forest", forest).fit(features, labels, ("word",))
    fresh, _ = noise(600, 7)
    coin = np.random.default_rng(8).integers(
        0, 2, 600
    )  # classes as often as each other, as they were trained
    assert log_loss(coin, model.predict_proba(fresh)) < np.log(2) + 0.2


def test_a_search_on_balanced_rows_finds_nothing_in_noise() -> None:
    features, labels = balanced()
    search = {"params": {"min_samples_leaf": [1, 40]}, "trials": 3}
    trainer = load_trainer("random_forest", {"n_estimators": 20, "search": search})
    trainer.fit(features, labels, ("word",))
    assert trainer.params()["search.score"] < 0.7  # of rows known by heart it would be 1
