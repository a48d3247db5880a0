"""The contract suite itself: every broken promise has a trainer here that breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from trainers.checks import check_trainer
from trainers.sklearn_trainers import HistGradientBoosting

GOOD = HistGradientBoosting(max_iter=20)


@dataclass(frozen=True)
class Plain:
    """A third party's trainer; the tests spoil one thing each."""

    name: str = "plain"

    def params(self) -> dict[str, Any]:
        return {}

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        return GOOD.fit(features, labels, categorical)


class Wrapped(ClassifierMixin, BaseEstimator):
    def __init__(self, model: Any = None, spoil: str = "") -> None:
        self.model, self.spoil = model, spoil

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        predicted = self.model.predict(features)
        return np.where(predicted == 1, "yes", "no") if self.spoil == "names" else predicted

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        probability = self.model.predict_proba(features)
        match self.spoil:
            case "swapped":
                return probability[:, ::-1]
            case "one column":
                return probability[:, 1]
            case "scores":
                return probability * 3
            case "constant":
                return np.full_like(probability, 0.5)
        return probability


class Spoiled(Plain):
    spoil = ""

    def fit(self, features, labels, categorical):
        return Wrapped(super().fit(features, labels, categorical), self.spoil)


def spoiled(what: str) -> Plain:
    return type("Spoiled", (Spoiled,), {"spoil": what})()


class NoJson(Plain):
    def params(self):
        return {"when": object()}


class Tuples(Plain):
    def params(self):
        return {"sizes": (1, 2)}


class Mutating(Plain):
    def fit(self, features, labels, categorical):
        features["noise"] = 0.0
        return super().fit(features, labels, categorical)


class Drawing(Plain):
    drawn = iter(range(100))

    def fit(self, features, labels, categorical):
        rows = np.random.default_rng(next(self.drawn)).integers(0, len(labels), len(labels))
        return GOOD.fit(features.iloc[rows], labels[rows], categorical)


class Fragile(Plain):
    def fit(self, features, labels, categorical):
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression().fit(features, labels)


class Known(Plain):
    """Does not bear a category that it has not seen."""

    def fit(self, features, labels, categorical):
        from sklearn.compose import ColumnTransformer
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder

        encode = ColumnTransformer(
            [("c", OneHotEncoder(sparse_output=False), list(categorical)), ("n", "passthrough", ["signal"])]
        )
        return make_pipeline(encode, HistGradientBoostingClassifier()).fit(features, labels)


class Unstorable(Plain):
    def fit(self, features, labels, categorical):
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer

        inner = super().fit(features, labels, categorical)
        return make_pipeline(FunctionTransformer(lambda table: table), inner).fit(features, labels)


class Binary(Plain):
    def fit(self, features, labels, categorical):
        if len(np.unique(labels)) > 2:
            raise ValueError("two only")
        return super().fit(features, labels, categorical)


class Folded(Plain):
    def fit(self, features, labels, categorical):
        return super().fit(features, (labels > 0).astype(int), categorical)


def test_a_third_partys_trainer_passes():
    check_trainer(Plain())


@pytest.mark.parametrize(
    ("trainer", "promise"),
    [
        (object(), "it has name, params"),
        (Plain("Loud"), "name is short and lower case"),
        (NoJson(), r"params\(\) holds JSON types"),
        (Tuples(), r"params\(\) come back from JSON as they were"),
        (Mutating(), "fit leaves its input alone"),
        (Drawing(), "equal data give an equal model"),
        (Fragile(), r"fit works on \['signal'"),
        (Known(), "odd rows with missing, infinite and unseen values can be predicted"),
        (Unstorable(), "the model can be stored"),
        (spoiled("names"), "predict gives 0 and 1"),
        (spoiled("swapped"), "the second column of predict_proba is the probability of 1"),
        (spoiled("one column"), "predict_proba gives shape"),
        (spoiled("scores"), "probabilities lie in"),
        (spoiled("constant"), "the second column of predict_proba"),
        (spoiled(""), "the model can be stored: .*types that are not trusted"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_promise_is_named(trainer, promise):
    with pytest.raises(AssertionError, match=f"broken promise: {promise}"):
        check_trainer(trainer)


def test_a_trainer_of_several_classes_passes_and_one_of_two_says_what_it_cannot():
    check_trainer(Plain(), classes=3)
    check_trainer(Binary())
    with pytest.raises(
        AssertionError, match=r"broken promise: fit works on .* and 3 classes: ValueError\('two only"
    ):
        check_trainer(Binary(), classes=3)
    with pytest.raises(AssertionError, match=r"broken promise: predict_proba gives shape \(300, 3\)"):
        check_trainer(Folded(), classes=3)


def test_types_that_somebody_vouches_for_may_be_stored():
    check_trainer(spoiled(""), trusted=(f"{Wrapped.__module__}.Wrapped",))
