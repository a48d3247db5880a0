"""One fit: what a trainer is given, and what becomes of its errors."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol, cast

from trainers.base import Trainer, TrainingError

if TYPE_CHECKING:
    import numpy as np  # at run time late: the bot's engine knows this, and a status loads no NumPy
    import pandas as pd

    from trainers.dataset import TrainingData


class _TakesGroups(Protocol):
    def fit(
        self,
        features: pd.DataFrame,
        labels: np.ndarray,
        categorical: tuple[str, ...],
        groups: np.ndarray | None = None,
    ) -> Any: ...


def fit_on(trainer: Trainer, data: TrainingData, places: np.ndarray) -> Any:
    """A model fitted on some of the training rows.

    Raises:
        TrainingError: the trainer failed; the cause is kept.
    """
    import numpy as np

    features, labels, keys = data.train_x, data.train_y, data.train_keys
    if not np.array_equal(places, np.arange(len(labels))):  # else no copy of them is needed
        features, labels, keys = features.iloc[places].reset_index(drop=True), labels[places], keys[places]
    groups = keys if data.holdout_groups else None
    try:
        return fit_grouped(trainer, features, labels, data.schema.categorical, groups)
    except TrainingError:
        raise
    except Exception as error:  # a plug-in's error becomes one clear line; the cause is kept
        raise TrainingError(f"the trainer {trainer.name} failed: {type(error).__name__}: {error}") from error


def fit_grouped(
    trainer: Trainer,
    features: pd.DataFrame,
    labels: np.ndarray,
    categorical: tuple[str, ...],
    groups: np.ndarray | None,
) -> Any:
    """`Trainer.fit`, with the groups of the rows for one that takes them.

    Args:
        groups: a key of each row's group, shape (rows,); None where all rows are independent.
    """
    if groups is None or "groups" not in inspect.signature(trainer.fit).parameters:
        return trainer.fit(features, labels, categorical)
    return cast(_TakesGroups, trainer).fit(features, labels, categorical, groups=groups)
