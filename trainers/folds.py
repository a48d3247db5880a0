"""Folds of training rows in which the same row, however often it comes, is on one side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Fold = tuple[np.ndarray, np.ndarray]  # places of the rows inside and outside


def folds(features: pd.DataFrame, labels: np.ndarray, number: int, seed: int) -> list[Fold]:
    """Stratified, shuffled folds of the different rows; where none is repeated, those of scikit-learn.

    A mix that balances the classes repeats rows: one that is fitted on and measured by would be known by heart. A
    class of fewer different rows than folds is missing on one side of some: models and scores have to bear that.
    """
    import warnings

    import pandas as pd
    from sklearn.model_selection import StratifiedKFold

    hashes = pd.util.hash_pandas_object(features, index=False).to_numpy()
    row_of, different = pd.factorize(hashes)  # numbered in the order in which they come
    first = np.full(len(different), len(hashes))
    np.minimum.at(first, row_of, np.arange(len(hashes)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        dealt = list(StratifiedKFold(number, shuffle=True, random_state=seed).split(first, labels[first]))
    found = []
    for _, outside in dealt:
        held = np.isin(row_of, outside)
        found.append((np.flatnonzero(~held), np.flatnonzero(held)))
    return found
