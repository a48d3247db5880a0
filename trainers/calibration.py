"""Probabilities that hold what they say: a trainer whose model is calibrated on rows it was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from trainers.estimators import Around, one_thread
from trainers.fitting import fit_grouped
from trainers.folds import folds

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FOLDS = 5


@dataclass(frozen=True)
class Calibrated(Around):
    """Cross-fitted: five models predict the rows they have not seen; a sixth, fitted on all, is corrected by that.

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
        """A fitted and calibrated model; see `trainers.base.Trainer.fit`."""
        from sklearn.base import clone
        from sklearn.calibration import CalibratedClassifierCV

        fitted = fit_grouped(self.trainer, features, labels, categorical, groups)
        dealt = folds(features, labels, FOLDS, self.seed, groups)
        model = CalibratedClassifierCV(clone(fitted), method=self.method, cv=dealt, ensemble=False)
        model.fit(features, labels)
        for inner in model.calibrated_classifiers_:
            one_thread(inner.estimator)
        return model.set_params(cv=FOLDS)  # how rows were dealt is no part of the model
