"""Calibration and search with repeated rows: no row is measured by a model that was fitted on it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from bot.trainer_options import load_trainer
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
