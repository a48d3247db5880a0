"""Calibration and search with repeated rows: no row is measured by a model that was fitted on it."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from bot.trainer_options import load_trainer
from trainers.base import TrainingError
from trainers.calibration import Calibrated
from trainers.fitting import fit_grouped
from trainers.folds import folds, missing
from trainers.mixing import Mix, draw
from trainers.search import Searched, Space
from trainers.sklearn_trainers import LogisticRegression


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
    with pytest.raises(TrainingError, match="each class is in one group alone of those to train on: nothing"):
        folds(features, np.arange(50) // 25, 3, 0, (np.arange(50) // 25).astype(np.uint64))
    one_host = (np.arange(50) // 10).astype(np.uint64)
    with pytest.raises(
        TrainingError, match=r"^class 1 is in too few groups: .* one class alone to train on, and"
    ):
        folds(features, (one_host == 3).astype(int), 3, 0, one_host)


def three(rare: int, rows: int = 90) -> tuple[pd.DataFrame, np.ndarray]:
    """Three classes that the features tell apart, the last of so many rows."""
    labels = np.append(np.arange(rows) % 2, np.full(rare, 2))
    noise = np.random.default_rng(0).normal(size=(len(labels), 2))
    return pd.DataFrame({"a": 6 * labels + noise[:, 0], "b": noise[:, 1]}), labels


@given(st.integers(2, 6), st.integers(1, 7), st.booleans())
@settings(max_examples=40, deadline=None)
def test_there_are_as_many_folds_as_the_rarest_class_has_rows_or_groups(
    number: int, rare: int, grouped: bool
) -> None:
    features, labels = three(rare)
    groups = np.append(np.arange(90) % 15, 15 + np.arange(rare)).astype(np.uint64) if grouped else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dealt = folds(features, labels, number, 0, groups)
    assert len(dealt) == (min(number, rare) if rare > 1 else number)
    assert missing(labels, dealt) == (None if rare > 1 else 2)
    assert np.array_equal(np.sort(np.concatenate([outside for _, outside in dealt])), np.arange(90 + rare))
    if rare > 1:
        assert all(set(labels[outside]) == {0, 1, 2} for _, outside in dealt)


def test_copies_of_a_row_count_once() -> None:
    features, labels = three(2)
    places = np.append(np.arange(90), np.repeat([90, 91], 20))
    dealt = folds(features.iloc[places], labels[places], 5, 0)
    assert (len(dealt), missing(labels[places], dealt)) == (2, None)


def test_no_class_with_two_rows_is_said() -> None:
    features, _ = noise(2, 0)
    with pytest.raises(TrainingError, match="no class with two different rows"):
        folds(features, np.array([0, 1]), 3, 0)


def test_groups_of_very_different_sizes_leave_each_class_inside_every_fold() -> None:
    rng = np.random.default_rng(0)
    features, _ = noise(400, 0)
    for _ in range(30):
        groups = np.minimum(rng.geometric(0.15, 400), 12).astype(np.uint64)
        labels = rng.integers(0, 2, 400) + (groups <= 1) * rng.integers(0, 3, 400)
        labels = np.where(groups == 12, 2, labels)
        if (dealt := folds(features, labels, 5, 0, groups)) and missing(labels, dealt) is not None:
            assert len(np.unique(groups[labels == missing(labels, dealt)])) == 1


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_a_calibrated_model_never_forgets_a_rare_class_silently(method: str, grouped: bool) -> None:
    options = {"n_estimators": 20, "calibrate": method}
    for rare in (1, 2, 20):
        features, labels = three(rare, 400)
        groups = np.append(np.arange(400) % 20, np.full(rare, 20)).astype(np.uint64) if grouped else None
        trainer = load_trainer("random_forest", options)
        if grouped or rare == 1:
            where = "one group alone" if grouped else "one row alone"
            with pytest.raises(
                TrainingError, match=rf"class 2 \(its position.* is in {where} of .* `calibrate`"
            ):
                fit_grouped(trainer, features, labels, (), groups)
        else:
            model = fit_grouped(trainer, features, labels, (), groups)
            assert (model.predict(features)[labels == 2] == 2).all()


def test_nothing_is_fitted_before_it_is_known_that_nothing_can_be_calibrated() -> None:
    class Untouched:
        name = "untouched"

        def params(self):
            return {}

        def fit(self, *given):
            raise AssertionError("fitted")

    features, labels = three(1)
    with pytest.raises(TrainingError, match="one row alone"):
        Calibrated(Untouched(), "sigmoid").fit(features, labels, ())


@pytest.mark.parametrize(("metric", "rare"), [("roc_auc", 1), ("roc_auc", 2), ("neg_log_loss", 2)])
def test_a_search_bears_a_class_of_one_row(metric: str, rare: int) -> None:
    search = {"params": {"min_samples_leaf": [1, 20]}, "trials": 3, "metric": metric}
    trainer = load_trainer("random_forest", {"n_estimators": 20, "search": search})
    model = trainer.fit(*three(rare), ())
    assert set(model.classes_) == {0, 1, 2}
    assert np.isfinite(trainer.params()["search.score"])
    assert trainer.params()["search.folds"] == (2 if rare == 2 else 3)


def test_a_search_by_a_metric_that_no_fold_has_says_why() -> None:
    search = {"params": {"min_samples_leaf": [1, 20]}, "trials": 3, "metric": "neg_log_loss"}
    trainer = load_trainer("random_forest", {"n_estimators": 5, "search": search})
    with pytest.raises(TrainingError, match=r"No fold has rows of every class on both sides: label more"):
        trainer.fit(*three(1), ())


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_a_fold_without_a_score_is_left_out_of_the_mean() -> None:
    features, labels = three(30, 120)
    groups = np.append(np.arange(120) % 6, 6 + np.arange(30) % 2).astype(np.uint64)
    groups[labels == 1] = 20  # of one group alone: it is missing inside one fold

    class Contiguous(LogisticRegression):
        """Like XGBoost it cannot learn classes of which one in the middle is missing."""

        def fit(self, features, labels, *given):
            if len(np.unique(labels)) <= labels.max():
                raise ValueError("classes are not contiguous")
            return super().fit(features, labels, *given)

    searched = Searched(lambda given: Contiguous(**given), Space({"C": [0.1, 1.0]}, folds=3))
    searched.fit(features, labels, (), groups)
    assert searched.params()["search.score"] > 0.9


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
