"""The contract suite for trainers: run it on your own in one line of a test, `check_trainer(MyTrainer())`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.base import Trainer, TrainingError
from trainers.model_file import TRUSTED, needed_types

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 300
_TOLERANCE = 1e-9


def check_trainer(trainer: Trainer, trusted: tuple[str, ...] = (), *, classes: int = 2) -> None:
    """Try a trainer on small tables as the pipeline would use it.

    It has to have a name and parameters that JSON can hold, learn an easy rule, predict labels 0 and 1 and
    probabilities of shape (rows, 2), bear missing and infinite values, an empty column, unseen categories
    and a single row, leave its input alone, give the same model twice, and make a model that can be stored.

    Args:
        trainer: an instance, with the parameters it is to be tried with.
        trusted: types that its model may hold beside the usual ones, see `trainers.model_file`.
        classes: with more than two it has to tell so many apart as well, one of which has few rows: labels 0 to
            k - 1, a column of `predict_proba` for each. A trainer for two classes keeps its contract without.

    Raises:
        AssertionError: which promise is broken, and how.
    """
    _require(isinstance(trainer, Trainer), "it has name, params() and fit()", type(trainer).__name__)
    _require(
        bool(trainer.name) and trainer.name == trainer.name.lower(),
        "name is short and lower case",
        trainer.name,
    )
    _check_params(trainer)
    features, labels = _easy_table(np.random.default_rng(0))
    categorical = ("code", "word")
    untouched = features.copy(deep=True)
    model = _fit(trainer, features, labels, categorical)
    _require(features.equals(untouched), "fit leaves its input alone", "the features were changed")
    _check_predictions(model, features, labels)
    _check_odd_rows(model, features)
    again = _fit(trainer, features.copy(), labels.copy(), categorical)
    gap = float(np.abs(model.predict_proba(features) - again.predict_proba(features)).max())
    _require(gap <= _TOLERANCE, "equal data give an equal model", f"probabilities differ by {gap:.3g}")
    numbers = features[["signal", "noise"]]
    _check_predictions(_fit(trainer, numbers, labels, ()), numbers, labels)
    _check_storable(model, trusted)
    if classes > 2:
        _check_several(trainer, trusted, classes)


def _check_several(trainer: Trainer, trusted: tuple[str, ...], classes: int) -> None:
    """An easy rule with several outcomes, on as odd a table."""
    rng = np.random.default_rng(1)
    features, _ = _easy_table(rng)
    labels = np.arange(len(features)) % classes
    labels[labels == classes - 1] = np.where(
        rng.random(int((labels == classes - 1).sum())) < 0.2, classes - 1, 0
    )
    features["signal"] = rng.normal(4.0 * labels, 0.5)
    model = _fit(trainer, features, labels, ("code", "word"))
    said, probability = np.asarray(model.predict(features)), np.asarray(model.predict_proba(features))
    rows = len(features)
    _require(
        said.shape == (rows,) and set(np.unique(said)) <= set(range(classes)),
        f"predict tells {classes} classes apart, 0 to {classes - 1}",
        np.unique(said),
    )
    _require(
        probability.shape == (rows, classes),
        f"predict_proba gives shape ({rows}, {classes})",
        probability.shape,
    )
    _check_range(probability)
    for own in range(classes):
        right = float((said == own)[labels == own].mean())
        _require(right > 0.5, f"an easy rule is learned for each of {classes} classes", f"{own}: {right:.0%}")
        _require(
            float(probability[labels == own, own].mean()) > float(probability[labels != own, own].mean()),
            f"column {own} of predict_proba is the probability of {own}",
            probability[labels == own].mean(axis=0),
        )
    _check_odd_rows(model, features)
    _check_storable(model, trusted)


def _check_storable(model: Any, trusted: tuple[str, ...]) -> None:
    try:
        needed_types(model, (*TRUSTED, *trusted))
    except TrainingError as error:
        raise AssertionError(f"broken promise: the model can be stored: {error}") from error


def _require(holds: bool, promise: str, found: object) -> None:
    if not holds:
        raise AssertionError(f"broken promise: {promise}: {found}")


def _check_params(trainer: Trainer) -> None:
    params = dict(trainer.params())
    try:
        back = json.loads(json.dumps(params, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"broken promise: params() holds JSON types: {error}") from error
    _require(back == params, "params() come back from JSON as they were", f"{params} became {back}")


def _easy_table(rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows whose label is the sign of a number, with all that real tables bring along."""
    import pandas as pd

    signal = rng.normal(size=_ROWS)
    labels = (signal > 0).astype(np.int64)
    noise = rng.normal(size=_ROWS)
    noise[:20], noise[20:30], noise[30:40] = np.nan, np.inf, -np.inf
    word = rng.choice(np.array(["tcp", "udp", "icmp"], dtype=object), size=_ROWS)
    word[:10] = None
    code = rng.choice([6.0, 17.0], size=_ROWS)
    code[10:20] = np.nan
    table = pd.DataFrame(
        {
            "signal": signal,
            "noise": noise,
            "empty": np.full(_ROWS, np.nan),
            "code": code,
            "word": pd.Series(word, dtype="str"),
        }
    )
    return table, labels


def _fit(trainer: Trainer, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
    try:
        return trainer.fit(features, labels, categorical)
    except Exception as error:
        several = f" and {kinds} classes" if (kinds := len(np.unique(labels))) > 2 else ""
        raise AssertionError(
            f"broken promise: fit works on {list(features.columns)}{several}: {error!r}"
        ) from error


def _check_predictions(model: Any, features: pd.DataFrame, labels: np.ndarray) -> None:
    predicted, probability = np.asarray(model.predict(features)), np.asarray(model.predict_proba(features))
    rows = len(features)
    _require(predicted.shape == (rows,), f"predict gives shape ({rows},)", predicted.shape)
    _require(set(np.unique(predicted)) <= {0, 1}, "predict gives 0 and 1", np.unique(predicted))
    _require(probability.shape == (rows, 2), f"predict_proba gives shape ({rows}, 2)", probability.shape)
    _check_range(probability)
    right = float((predicted == labels).mean())
    _require(right > 0.8, "an easy rule is learned (label = sign of a column)", f"{right:.0%} right")
    score = probability[:, 1]
    ordered = float(score[labels == 1].mean() - score[labels == 0].mean())
    _require(
        ordered > 0, "the second column of predict_proba is the probability of 1", f"difference {ordered:.3g}"
    )


def _check_range(probability: np.ndarray) -> None:
    bounded = bool(np.isfinite(probability).all() and (probability >= 0).all() and (probability <= 1).all())
    _require(bounded, "probabilities lie in [0, 1]", probability)
    _require(bool(np.allclose(probability.sum(axis=1), 1)), "probabilities of a row add up to 1", probability)


def _check_odd_rows(model: Any, features: pd.DataFrame) -> None:
    """Rows as a later batch may bring them."""
    odd = features.head(8).copy()
    odd.loc[0:1, ["signal", "noise"]] = np.nan
    odd.loc[2, "signal"], odd.loc[3, "signal"], odd.loc[4, "signal"] = np.inf, -np.inf, 1e300
    odd["empty"] = 1.0
    odd.loc[5:6, "word"], odd.loc[5:6, "code"] = "never seen", 99.0
    for table, what in ((odd, "odd rows"), (odd.head(1), "a single row")):
        try:
            probability = np.asarray(model.predict_proba(table))
        except Exception as error:
            raise AssertionError(
                f"broken promise: {what} with missing, infinite and unseen values can be predicted: {error!r}"
            ) from error
        _check_range(probability)
