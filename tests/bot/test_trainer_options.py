"""The table [models.trainer]: any classifier of scikit-learn, and what goes around any trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bot.config import ConfigError, load
from bot.plugins import PluginError
from bot.trainer_options import load_trainer
from trainers.base import TrainingError
from trainers.checks import _easy_table, check_trainer

KD_TREE = ["sklearn.neighbors._kd_tree.KDTree", "sklearn.metrics._dist_metrics.EuclideanDistance64"]
FOREST = "sklearn.ensemble:ExtraTreesClassifier"
READY = make_pipeline(StandardScaler(), LogisticRegression())  # found by name, as in a module of one's own


def boosted(depth: int = 2) -> Any:
    """A function that makes a classifier."""
    return ExtraTreesClassifier(n_estimators=10, max_depth=depth)


@pytest.mark.parametrize(
    ("use", "params"),
    [
        (FOREST, {"n_estimators": 20}),
        ("sklearn.naive_bayes.GaussianNB", {}),
        ("sklearn.ensemble:AdaBoostClassifier", {"n_estimators": 10, "seed": 3}),
        ("sklearn.svm:SVC", {"calibrate": "sigmoid"}),
        ("sklearn.svm:LinearSVC", {"calibrate": "isotonic"}),
        ("sklearn.neighbors:KNeighborsClassifier", {"trusted": KD_TREE}),
        (f"{__name__}:READY", {"logisticregression__C": 0.5}),
        (f"{__name__}.boosted", {"depth": 3}),
        ("random_forest", {"n_estimators": 10, "calibrate": "isotonic", "seed": 5}),
        ("logistic_regression", {"search": {"params": {"C": [0.01, 1.0]}, "trials": 5}}),
    ],
)
def test_whatever_is_named_keeps_the_contract(use: str, params: dict[str, Any]) -> None:
    check_trainer(load_trainer(use, params), tuple(params.get("trusted", ())))


def test_the_recorded_parameters_make_the_same_model_again() -> None:
    features, labels = _easy_table(np.random.default_rng(0))
    for use, params in (
        (FOREST, {"n_estimators": 15, "max_depth": 3, "seed": 7, "calibrate": "sigmoid"}),
        (
            "logistic_regression",
            {"search": {"params": {"C": {"low": 0.001, "high": 10.0, "log": True}}, "trials": 4}},
        ),
    ):
        first = load_trainer(use, params)
        model = first.fit(features, labels, ("code", "word"))
        recorded = dict(first.params())
        again = load_trainer(recorded.get("use", first.name), recorded)
        same = again.fit(features, labels, ("code", "word"))
        assert (same.predict_proba(features) == model.predict_proba(features)).all()


def test_seeds_are_set_and_recorded() -> None:
    features, labels = _easy_table(np.random.default_rng(0))

    def chances(params: dict[str, Any]) -> np.ndarray:
        trainer = load_trainer(FOREST, {"n_estimators": 5, **params})
        assert trainer.params()["seed"] == params.get("seed", 0)
        fitted = trainer.fit(features, labels, ("code", "word"))
        assert fitted.named_steps["model"].random_state == params.get("seed", 0)
        return fitted.predict_proba(features)

    assert (chances({}) == chances({"seed": 0})).all()
    assert (chances({}) != chances({"seed": 1})).any()
    assert load_trainer("random_forest", {"seed": 4}).params()["random_state"] == 4


def test_a_calibrated_model_is_that_of_scikit_learn_and_says_what_holds() -> None:
    """Naive Bayes on copies of one column is far too sure of itself."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 4000)
    signal = rng.normal(labels, 1.5)
    rows = pd.DataFrame({f"copy{n}": signal for n in range(8)})
    train, fresh = slice(0, 2000), slice(2000, 4000)
    plain = load_trainer("sklearn.naive_bayes:GaussianNB", {"prepare": False})
    losses = {}
    for method in ("sigmoid", "isotonic"):
        calibrated = load_trainer("sklearn.naive_bayes:GaussianNB", {"prepare": False, "calibrate": method})
        model = calibrated.fit(rows[train], labels[train], ())
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        reference = CalibratedClassifierCV(GaussianNB(), method=method, cv=folds, ensemble=False)
        reference.fit(rows[train], labels[train])
        assert (model.predict_proba(rows[fresh]) == reference.predict_proba(rows[fresh])).all()
        losses[method] = log_loss(labels[fresh], model.predict_proba(rows[fresh]))
    bare = log_loss(labels[fresh], plain.fit(rows[train], labels[train], ()).predict_proba(rows[fresh]))
    best = log_loss(labels[fresh], _truth(signal[fresh]))
    assert bare > best + 0.5
    assert max(losses.values()) < best + 0.03


def _truth(signal: np.ndarray) -> np.ndarray:
    """Bayes: the log odds of two normals with means 0 and 1 and standard deviation 1.5."""
    chance = 1 / (1 + np.exp(-(signal - 0.5) / 1.5**2))
    return np.column_stack([1 - chance, chance])


def test_types_that_nobody_trusts_are_named() -> None:
    with pytest.raises(AssertionError, match=r"not trusted: .*KDTree"):
        check_trainer(load_trainer("sklearn.neighbors:KNeighborsClassifier", {}))


def test_a_model_without_probabilities_says_what_to_do() -> None:
    features, labels = _easy_table(np.random.default_rng(0))
    with pytest.raises(TrainingError, match='linear_svc gives no probabilities: set calibrate = "sigmoid"'):
        load_trainer("sklearn.svm:LinearSVC", {}).fit(features, labels, ("code", "word"))


@pytest.mark.parametrize(
    ("use", "params", "says"),
    [
        (FOREST, {"n_estimatos": 5}, "has no parameter n_estimatos .* did you mean n_estimators"),
        (FOREST, {"n_estimators": "many"}, "refuses its parameters: The 'n_estimators' parameter"),
        (FOREST, {"calibrate": "platt"}, '"sigmoid" or "isotonic"'),
        ("builtins:dict", {"a": 1}, "does not say which parameters it takes"),
        (FOREST, {"seed": -1}, "seed = -1 will not do: it is a whole number"),
        (FOREST, {"trusted": "all"}, "a list of types"),
        ("sklearn.ensemble:ExtraTreesRegressor", {}, "neither trainer nor classifier"),
        ("sklearn.ensemble.ExtraTrees", {}, "could not be loaded: AttributeError"),
        ("logistic_regression", {"prepare": False}, "prepares its columns itself"),
        (
            f"{__name__}:READY",
            {"logisticregression__D": 1},
            "has no parameter .* did you mean logisticregression__C",
        ),
        (FOREST, {"search": {"params": {"max_depth": [2, -3]}}}, "refuses its parameters: The 'max_depth'"),
        (
            FOREST,
            {"search": {"params": {"max_depth": {"low": 3, "high": 2}}}},
            "low .3. has to be below high",
        ),
        (FOREST, {"search": {"params": {"depth": [2]}}}, "has no parameter depth"),
        (FOREST, {"search": {"parms": {}}}, "search has no key parms; did you mean params"),
        (FOREST, {"search": {}}, "search needs params"),
        (FOREST, {"search": {"params": {"max_depth": [2]}, "budget": "soon"}}, "search: budget"),
        (FOREST, {"search": {"params": {"max_depth": [2]}, "metric": "roc_auk"}}, "near: roc_auc"),
        (FOREST, {"search": {"params": {"max_depth": [2]}, "trials": 1}}, "whole numbers of at least 2"),
    ],
)
def test_what_will_not_do_is_said_when_the_configuration_is_read(
    use: str, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(PluginError, match=says):
        load_trainer(use, params)


def test_the_configuration_names_it(tmp_path: Path) -> None:
    path = tmp_path / "driftcatcher.toml"
    model = '[[models]]\nname = "m"\nlabel = { column = "y", negative = ["0"] }\n[models.trainer]\n'
    path.write_text(f'{model}use = "{FOREST}"\nn_estimators = 50\ncalibrate = "isotonic"\n')
    trainer = load(path).models[0].load_trainer()
    assert trainer.name == "extra_trees_classifier"
    assert trainer.params() == {"use": FOREST, "n_estimators": 50, "seed": 0, "calibrate": "isotonic"}
    path.write_text(f'{model}use = "{FOREST}"\ncriterion = "gin"\n')
    with pytest.raises(ConfigError, match=r"models\[0\].trainer: .*'criterion' parameter"):
        load(path)
