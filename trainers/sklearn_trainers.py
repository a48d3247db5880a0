"""The built-in trainers: scikit-learn pipelines for raw columns, with missing, infinite and unseen values.

Every fitted part is a class or function of scikit-learn or NumPy, so whoever has those two can load the
model, and it can be stored without pickle. Equal data, parameters and seed give an equal model, to the last
bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_HUGE = 1e30  # far beyond any measurement, and still finite in single precision, which trees use
_MOST_CATEGORIES = 200  # a histogram tree takes 255; the rarest beyond that are one category
_MOST_INDICATORS = 50  # indicator columns a category may cost a linear model


def _check(holds: bool, trainer: str, what: str, given: object) -> None:
    if not holds:
        raise ValueError(f"{trainer}: {what}, not {given!r}")


def _check_class_weight(trainer: str, given: str | None) -> None:
    _check(given in (None, "balanced"), trainer, 'class_weight is "balanced" or left out', given)


def _at_least(trainer: str, name: str, given: int | None, least: int) -> None:
    whole = isinstance(given, int) and not isinstance(given, bool)
    _check(
        whole and given is not None and given >= least,
        trainer,
        f"{name} is a whole number of at least {least}",
        given,
    )


@dataclass(frozen=True)
class HistGradientBoosting:
    """Histogram gradient boosting (Ke et al., LightGBM, NeurIPS 2017): the default; fast and strong.

    Missing values and categories go their own way at each split; nothing is imputed.

    Parameters:
        max_iter: trees.  learning_rate: weight of each, in (0, 1].
        max_leaf_nodes / max_depth / min_samples_leaf: size of a tree; depth None is unlimited.
        l2_regularization: pull of the leaves towards zero, >= 0.
        class_weight: "balanced" weighs every class the same.
        random_state: the seed.
    """

    name: ClassVar[str] = "hist_gradient_boosting"

    max_iter: int = 100
    learning_rate: float = 0.1
    max_leaf_nodes: int = 31
    max_depth: int | None = None
    min_samples_leaf: int = 20
    l2_regularization: float = 0.0
    class_weight: str | None = None
    random_state: int = 0

    def __post_init__(self) -> None:
        _at_least(self.name, "max_iter", self.max_iter, 1)
        _check(
            0 < self.learning_rate <= 1,
            self.name,
            "learning_rate is above 0 and at most 1",
            self.learning_rate,
        )
        _at_least(self.name, "max_leaf_nodes", self.max_leaf_nodes, 2)
        if self.max_depth is not None:
            _at_least(self.name, "max_depth", self.max_depth, 1)
        _at_least(self.name, "min_samples_leaf", self.min_samples_leaf, 1)
        _check(
            self.l2_regularization >= 0, self.name, "l2_regularization is at least 0", self.l2_regularization
        )
        _check_class_weight(self.name, self.class_weight)
        _at_least(self.name, "random_state", self.random_state, 0)

    def params(self) -> Mapping[str, Any]:
        """The parameters as logged."""
        return asdict(self)

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        """A fitted pipeline; see `trainers.base.Trainer.fit`."""
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.pipeline import Pipeline

        numbers, categories = usable_columns(features, categorical)
        codes = list(range(len(numbers), len(numbers) + len(categories)))
        # No early stopping: it would hold rows back, and then more rows could make a worse model.
        model = HistGradientBoostingClassifier(
            **self.params(), early_stopping=False, categorical_features=codes or None
        )
        return Pipeline([("prepare", with_codes(numbers, categories)), ("model", model)]).fit(
            features, labels
        )


@dataclass(frozen=True)
class RandomForest:
    """Random forest (Breiman, Machine Learning 45, 2001): hard to mistune; its model file is larger.

    Parameters:
        n_estimators: trees.  max_depth: None is unlimited.
        min_samples_leaf: rows a leaf holds at least.
        max_features: share of the features tried at a split, in (0, 1], or "sqrt" / "log2" of their number.
        class_weight: "balanced" weighs every class the same.
        random_state: the seed.
    """

    name: ClassVar[str] = "random_forest"
    uses_joblib: ClassVar[bool] = True  # its trees may grow on a Dask cluster

    n_estimators: int = 200
    max_depth: int | None = None
    min_samples_leaf: int = 1
    max_features: float | str = "sqrt"
    class_weight: str | None = None
    random_state: int = 0

    def __post_init__(self) -> None:
        _at_least(self.name, "n_estimators", self.n_estimators, 1)
        if self.max_depth is not None:
            _at_least(self.name, "max_depth", self.max_depth, 1)
        _at_least(self.name, "min_samples_leaf", self.min_samples_leaf, 1)
        share = self.max_features
        fits = share in ("sqrt", "log2") if isinstance(share, str) else 0 < share <= 1
        _check(fits, self.name, 'max_features is "sqrt", "log2" or a share above 0 and at most 1', share)
        _check_class_weight(self.name, self.class_weight)
        _at_least(self.name, "random_state", self.random_state, 0)

    def params(self) -> Mapping[str, Any]:
        """The parameters as logged."""
        return asdict(self)

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        """A fitted pipeline; see `trainers.base.Trainer.fit`."""
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.pipeline import Pipeline

        options = dict(self.params())
        if not isinstance(self.max_features, str):
            options["max_features"] = float(self.max_features)  # the whole number 1 would mean one feature
        forest = RandomForestClassifier(**options, n_jobs=-1)
        numbers, categories = usable_columns(features, categorical)
        pipeline = Pipeline([("prepare", with_codes(numbers, categories)), ("model", forest)]).fit(
            features, labels
        )
        # Several threads add up the trees' votes in any order, which changes the last bit of a probability.
        forest.set_params(n_jobs=1)
        return pipeline


@dataclass(frozen=True)
class LogisticRegression:
    """Logistic regression on standardised columns: the plain linear model, to compare others with.

    Missing numbers become the median, with a column that says so; categories become one column each.

    Parameters:
        C: inverse strength of the L2 penalty, > 0.
        max_iter: steps of the solver at most.
        class_weight: "balanced" weighs every class the same.
        random_state: the seed (the solver draws nothing; kept with the model).
    """

    name: ClassVar[str] = "logistic_regression"

    C: float = 1.0
    max_iter: int = 1000
    class_weight: str | None = None
    random_state: int = 0

    def __post_init__(self) -> None:
        _check(self.C > 0, self.name, "C is above 0", self.C)
        _at_least(self.name, "max_iter", self.max_iter, 1)
        _check_class_weight(self.name, self.class_weight)
        _at_least(self.name, "random_state", self.random_state, 0)

    def params(self) -> Mapping[str, Any]:
        """The parameters as logged."""
        return asdict(self)

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        """A fitted pipeline; see `trainers.base.Trainer.fit`."""
        from sklearn.linear_model import LogisticRegression as Linear
        from sklearn.pipeline import Pipeline

        prepare = with_indicators(*usable_columns(features, categorical), sparse=True)
        return Pipeline([("prepare", prepare), ("model", Linear(**self.params()))]).fit(features, labels)


def usable_columns(features: pd.DataFrame, categorical: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Columns of numbers and of categories that hold any value; from an empty one nothing can be learned."""
    numbers = [
        n for n in features.columns if n not in categorical and np.isfinite(features[n].to_numpy(float)).any()
    ]
    categories = [n for n in features.columns if n in categorical and features[n].notna().any()]
    return numbers, categories


def with_codes(numbers: list[str], categories: list[str]) -> Any:
    """For trees: finite numbers, and categories as small codes; missing and unseen are NaN."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=_MOST_CATEGORIES,
    )
    return ColumnTransformer([("numbers", Pipeline(_finite()), numbers), ("categories", codes, categories)])


def with_indicators(numbers: list[str], categories: list[str], *, sparse: bool = False) -> Any:
    """For the rest: standardised numbers without gaps, with a column that says so, and one column a category."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    scaled = [
        *_finite(),
        ("impute", SimpleImputer(strategy="median", add_indicator=True)),
        ("scale", StandardScaler()),
    ]
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=_MOST_INDICATORS, sparse_output=sparse
    )
    return ColumnTransformer([("numbers", Pipeline(scaled), numbers), ("categories", one_hot, categories)])


def _finite() -> list[tuple[str, Any]]:
    """±inf (a rate over no time) becomes missing; the rest is clipped to what single precision holds."""
    from sklearn.preprocessing import FunctionTransformer

    nan = float("nan")
    missing = FunctionTransformer(np.nan_to_num, kw_args={"nan": nan, "posinf": nan, "neginf": nan})
    return [
        ("missing", missing),
        ("clip", FunctionTransformer(np.clip, kw_args={"a_min": -_HUGE, "a_max": _HUGE})),
    ]
