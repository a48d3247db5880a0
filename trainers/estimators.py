"""Any scikit-learn classifier as a trainer: columns prepared as for the built-in ones, seeds set and recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainers.base import Trainer, TrainingError
from trainers.fitting import fit_grouped
from trainers.sklearn_trainers import usable_columns, with_codes, with_indicators

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # where a word of CamelCase begins


class EstimatorTrainer:
    """A classifier or pipeline, made as the configuration says, as a `trainers.base.Trainer`.

    Parameters:
        use: where it is found, for the record.
        estimator: not fitted; a clone is fitted.
        given: the parameters it was made with.
        seed: every `random_state` in it that is not set becomes this.
        prepare: False gives it the raw columns as a data frame: it prepares them itself.
        probabilities: whether it has to give some; what is calibrated need not.
    """

    uses_joblib = True  # where it has jobs; else it makes no difference

    def __init__(
        self,
        use: str,
        estimator: Any,
        given: Mapping[str, Any],
        *,
        seed: int = 0,
        prepare: bool = True,
        probabilities: bool = True,
    ) -> None:
        self._use, self._estimator, self._given = use, estimator, dict(given)
        self._seed, self._prepare, self._probabilities = seed, prepare, probabilities

    @property
    def name(self) -> str:
        """The class in lower case: "extra_trees_classifier"."""
        return _WORD.sub("_", type(self._estimator).__name__).lower()

    def params(self) -> Mapping[str, Any]:
        """What makes the same one again: its path, the given parameters, and the seed."""
        raw = {} if self._prepare else {"prepare": False}
        return {"use": self._use, **self._given, "seed": self._seed, **raw}

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        """A fitted pipeline; see `trainers.base.Trainer.fit`."""
        from sklearn.base import clone
        from sklearn.pipeline import Pipeline

        model = seeded(clone(self._estimator), self._seed)
        if model.get_params().get("n_jobs", 1) is None:
            model.set_params(n_jobs=-1)  # every core, as the built-in forest
        steps = [("model", model)]
        if self._prepare:
            numbers, categories = usable_columns(features, categorical)
            prepared = with_codes if _takes_missing(model) else with_indicators
            steps.insert(0, ("prepare", prepared(numbers, categories)))
        fitted = Pipeline(steps).fit(features, labels)
        if self._probabilities and not hasattr(fitted, "predict_proba"):
            raise TrainingError(
                f'{self.name} gives no probabilities: set calibrate = "sigmoid" (or "isotonic"), or use another one'
            )
        return one_thread(fitted)


@dataclass(frozen=True)
class Around:
    """What goes around a trainer and is one itself: its name, its use of joblib and its notes are the trainer's."""

    trainer: Trainer

    @property
    def name(self) -> str:
        return self.trainer.name

    @property
    def uses_joblib(self) -> bool:
        return bool(getattr(self.trainer, "uses_joblib", False))

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(getattr(self.trainer, "notes", ()))


@dataclass(frozen=True)
class Trusting(Around):
    """A trainer whose model may hold types that are not on our list: whoever names them answers for them."""

    trusted: tuple[str, ...]

    def params(self) -> Mapping[str, Any]:
        """Those of the trainer, and the types."""
        return {**self.trainer.params(), "trusted": list(self.trusted)}

    def fit(
        self,
        features: pd.DataFrame,
        labels: np.ndarray,
        categorical: tuple[str, ...],
        groups: np.ndarray | None = None,
    ) -> Any:
        """See `trainers.base.Trainer.fit`."""
        return fit_grouped(self.trainer, features, labels, categorical, groups)


def seeded(estimator: Any, seed: int) -> Any:
    """Set each `random_state` that is None, also of nested estimators."""
    unset = {
        name: seed
        for name, value in estimator.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    return estimator.set_params(**unset)


def one_thread(fitted: Any) -> Any:
    """Several threads add up votes in any order, which changes the last bit of a probability."""
    jobs = {
        name: 1
        for name, value in fitted.get_params().items()
        if name.rpartition("__")[2] == "n_jobs" and value is not None
    }
    return fitted.set_params(**jobs)


def _takes_missing(model: Any) -> bool:
    from sklearn.utils import get_tags

    return bool(get_tags(model).input_tags.allow_nan)
