"""Probabilities that hold what they say: a trainer whose model is calibrated on rows it was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from trainers.base import TrainingError
from trainers.estimators import Around, one_thread
from trainers.fitting import fit_grouped
from trainers.folds import folds, missing

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FOLDS = 5


@dataclass(frozen=True)
class Calibrated(Around):
    """Cross-fitted: five models predict the rows they have not seen; a sixth, fitted on all, is corrected by that.

    Fewer than five, where a class has fewer rows, or groups: each of them has to know every class.

    `sigmoid` is Platt's (Advances in Large Margin Classifiers, 1999), for few rows; `isotonic` that of Zadrozny and
    Elkan (KDD, 2002), for some thousands and more. One model and one correction are kept, in the model's own file.
    """

    method: Literal["sigmoid", "isotonic"]
    seed: int = 0

    def params(self) -> Mapping[str, Any]:
        """Those of the trainer, and the method."""
        return {**self.trainer.params(), "calibrate": self.method}

    def fit(
        self,
        features: pd.DataFrame,
        labels: np.ndarray,
        categorical: tuple[str, ...],
        groups: np.ndarray | None = None,
    ) -> Any:
        """A fitted and calibrated model; see `trainers.base.Trainer.fit`.

        Raises:
            TrainingError: a class is in one row, or group, alone: a model that has not seen it would make the
                calibrated one forget it.
        """
        from sklearn.base import clone
        from sklearn.calibration import CalibratedClassifierCV

        dealt = folds(features, labels, FOLDS, self.seed, groups)
        if (lost := missing(labels, dealt)) is not None:
            own = None if groups is None else groups[labels == lost]
            raise TrainingError(_too_few(lost, own))
        fitted = fit_grouped(self.trainer, features, labels, categorical, groups)
        model = CalibratedClassifierCV(clone(fitted), method=self.method, cv=dealt, ensemble=False)
        model.fit(features, labels)
        for inner in model.calibrated_classifiers_:
            one_thread(inner.estimator)
        return model.set_params(cv=FOLDS)  # how rows were dealt is no part of the model


def _too_few(kind: int, groups: np.ndarray | None) -> str:
    """Why nothing can be calibrated; `groups` are those of the rows of that class."""
    where, more = "one row alone", "more of its rows"
    if groups is not None:
        where = "one group alone" if (groups == groups[0]).all() else "too few groups"
        more = "rows of it in other groups"
    return (
        f"nothing can be calibrated: class {kind} (its position, counted from 0) is in {where} of those to train on, "
        f"and a model is fitted without them. Label {more}, or take `calibrate` out of [models.trainer]"
    )
