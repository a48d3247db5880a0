"""Folds of training rows in which the same row, however often it comes, is on one side; and so are related rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainers.base import TrainingError

if TYPE_CHECKING:
    import pandas as pd

_UNITS = 1_000  # to deal so many takes half a second
_INSTEAD = (
    "nothing can be cross-validated. Add rows of other groups, take `calibrate` or the search out of [models.trainer], "
    "or leave out `group`"
)
Fold = tuple[np.ndarray, np.ndarray]  # places of the rows inside and outside


def folds(
    features: pd.DataFrame, labels: np.ndarray, number: int, seed: int, groups: np.ndarray | None = None
) -> list[Fold]:
    """Stratified, shuffled folds of the different rows; where none is repeated, those of scikit-learn.

    A mix that balances the classes repeats rows: one that is fitted on and measured by would be known by heart. A
    class of fewer different rows than folds is missing on one side of some: models and scores have to bear that.

    Args:
        groups: a key of each row's group, shape (rows,), uint64. Whole groups are dealt then, into fewer folds where
            there are fewer groups: rows of a group are alike, and a model would be measured by what it knows.

    Raises:
        TrainingError: the groups leave nothing to learn from.
    """
    if groups is not None:
        return _of_groups(labels, number, seed, groups)
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


def _of_groups(labels: np.ndarray, number: int, seed: int, groups: np.ndarray) -> list[Fold]:
    from sklearn.model_selection import StratifiedGroupKFold

    units = np.unique(groups, return_inverse=True)[1]
    if units.max(initial=0) >= _UNITS:
        units = (groups % np.uint64(_UNITS)).astype(np.int64)  # of many groups some are dealt as one
    many = len(np.unique(units))
    if many < 2:
        raise TrainingError(f"the rows to train on are of one group alone: {_INSTEAD}")
    dealt = StratifiedGroupKFold(min(number, many), shuffle=True, random_state=seed)
    found = [(inside, outside) for inside, outside in dealt.split(labels, labels, units) if len(outside)]
    if any(len(np.unique(labels[inside])) < 2 for inside, _ in found):
        raise TrainingError(
            f"without the rows of some groups there is one class alone to train on: {_INSTEAD}"
        )
    return found
