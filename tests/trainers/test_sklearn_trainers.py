from __future__ import annotations

from dataclasses import replace
from importlib.metadata import entry_points

import numpy as np
import pandas as pd
import pytest

from trainers.base import Trainer
from trainers.checks import check_trainer
from trainers.sklearn_trainers import HistGradientBoosting, LogisticRegression, RandomForest

ALL = [HistGradientBoosting(max_iter=30), RandomForest(n_estimators=40), LogisticRegression()]


@pytest.fixture(params=ALL, ids=lambda trainer: trainer.name)
def trainer(request) -> Trainer:
    return request.param


def test_the_contract_is_kept(trainer):
    check_trainer(trainer, classes=3)


def test_entry_points_lead_to_the_trainers_by_their_names():
    found = {point.name: point.load() for point in entry_points(group="driftcatcher.trainers")}
    for built_in in ALL:
        assert found[built_in.name] is type(built_in)


def test_equal_data_give_equal_probabilities_to_the_last_bit(trainer):
    rng = np.random.default_rng(1)
    features = pd.DataFrame(rng.normal(size=(400, 5)), columns=list("abcde"))
    labels = (features["a"] + rng.normal(size=400) > 0).to_numpy(dtype="int64")
    one, two = (trainer.fit(features, labels, ()).predict_proba(features) for _ in range(2))
    assert (one == two).all()


def test_the_seed_matters_to_a_forest():
    rng = np.random.default_rng(1)
    features = pd.DataFrame(rng.normal(size=(200, 3)), columns=list("abc"))
    labels = (features["a"] + rng.normal(size=200) > 0).to_numpy(dtype="int64")
    forest = RandomForest(n_estimators=10)
    one, two = (
        replace(forest, random_state=s).fit(features, labels, ()).predict_proba(features) for s in (0, 1)
    )
    assert (one != two).any()


def test_categories_carry_what_numbers_do_not(trainer):
    # Codes 1, 2, 3 with labels 1, 0, 1: a linear model of the bare number could not tell them apart.
    codes = np.tile([1.0, 2.0, 3.0], 100)
    features = pd.DataFrame({"code": codes, "noise": np.random.default_rng(0).normal(size=300)})
    labels = (codes != 2).astype("int64")
    model = trainer.fit(features, labels, ("code",))
    assert (model.predict(features) == labels).all()


def test_more_categories_than_a_tree_takes_are_borne(trainer):
    names = pd.Series([f"host{i % 400}" for i in range(1200)], dtype="str")
    features = pd.DataFrame({"host": names, "signal": np.linspace(-1, 1, 1200)})
    labels = (features["signal"] > 0).to_numpy(dtype="int64")
    model = trainer.fit(features, labels, ("host",))
    assert (model.predict(features) == labels).mean() > 0.9


def test_balanced_weights_find_more_of_the_rare_class(trainer):
    rng = np.random.default_rng(0)
    labels = (rng.random(2000) < 0.05).astype("int64")
    features = pd.DataFrame({"signal": rng.normal(size=2000) + 1.5 * labels})
    plain = trainer if trainer.name != "random_forest" else replace(trainer, min_samples_leaf=20)
    weighed = replace(plain, class_weight="balanced")
    found = [model.fit(features, labels, ()).predict(features).sum() for model in (plain, weighed)]
    assert found[1] > 2 * found[0]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: HistGradientBoosting(max_iter=0),
            "hist_gradient_boosting: max_iter is a whole number of at least 1, not 0",
        ),
        (lambda: HistGradientBoosting(max_iter=2.5), "max_iter is a whole number"),
        (lambda: HistGradientBoosting(learning_rate=0), "learning_rate is above 0 and at most 1, not 0"),
        (lambda: HistGradientBoosting(max_leaf_nodes=1), "max_leaf_nodes is a whole number of at least 2"),
        (lambda: HistGradientBoosting(max_depth=0), "max_depth is a whole number of at least 1"),
        (lambda: HistGradientBoosting(l2_regularization=-1), "l2_regularization is at least 0"),
        (
            lambda: HistGradientBoosting(class_weight="odd"),
            "class_weight is .balanced. or left out, not 'odd'",
        ),
        (lambda: RandomForest(n_estimators=True), "n_estimators is a whole number"),
        (lambda: RandomForest(max_features="most"), "max_features is"),
        (lambda: RandomForest(max_features=1.5), "max_features is"),
        (lambda: RandomForest(random_state=-1), "random_state is a whole number of at least 0"),
        (lambda: LogisticRegression(C=0), "C is above 0, not 0"),
    ],
)
def test_parameters_out_of_range_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_an_unknown_parameter_is_refused_by_name():
    with pytest.raises(TypeError, match="depth"):
        HistGradientBoosting(depth=3)  # type: ignore[call-arg]
