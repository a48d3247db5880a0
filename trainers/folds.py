"""Folds of training rows in which the same row, however often it comes, is on one side; and so are related rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainers.base import TrainingError

if TYPE_CHECKING:
    import pandas as pd

_UNITS = 1_000  # to deal so many takes half a second
_RARE = "The least populated class"  # scikit-learn warns of it; what comes of it is said by whoever uses the folds
_INSTEAD = (
    "nothing can be cross-validated. Add rows of other groups, take `calibrate` or the search out of [models.trainer], "
    "or leave out `group`"
)
Fold = tuple[np.ndarray, np.ndarray]  # places of the rows inside and outside


def folds(
    features: pd.DataFrame, labels: np.ndarray, number: int, seed: int, groups: np.ndarray | None = None
) -> list[Fold]:
    """Stratified, shuffled folds of the different rows; where none is repeated, those of scikit-learn.

    A mix that balances the classes repeats rows: one that is fitted on and measured by would be known by heart. Of a
    class of fewer different rows than `number` there are as many folds as it has, so that each has some of it on
    both sides. A class of a single one is missing inside one fold (`missing`): scores have to bear that.

    Args:
        groups: a key of each row's group, shape (rows,), uint64. Whole groups are dealt then, and counted instead of
            rows: rows of a group are alike, and a model would be measured by what it knows.

    Raises:
        TrainingError: there is too little to deal, or it leaves one class alone to learn from.
    """
    if groups is not None:
        return _of_groups(labels, number, seed, groups)
    import pandas as pd
    from sklearn.model_selection import StratifiedKFold

    hashes = pd.util.hash_pandas_object(features, index=False).to_numpy()
    row_of, different = pd.factorize(hashes)  # numbered in the order in which they come
    first = np.full(len(different), len(hashes))
    np.minimum.at(first, row_of, np.arange(len(hashes)))
    many = _at_most(number, np.unique(labels[first], return_counts=True)[1])
    if many < 2:
        raise TrainingError("the rows to train on hold no class with two different rows: label more of each")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _RARE, UserWarning)
        dealt = list(StratifiedKFold(many, shuffle=True, random_state=seed).split(first, labels[first]))
    found = []
    for _, outside in dealt:
        held = np.isin(row_of, outside)
        found.append((np.flatnonzero(~held), np.flatnonzero(held)))
    return found


def missing(labels: np.ndarray, dealt: Iterable[Fold]) -> int | None:
    """A class that is wholly outside one of the folds, so that nothing could learn it inside; None where none is."""
    known = np.unique(labels)
    for inside, _ in dealt:
        if len(lost := np.setdiff1d(known, labels[inside])):
            return int(lost[0])
    return None


def _at_most(number: int, units: Sequence[int] | np.ndarray) -> int:
    """How many folds the rarest class of at least two units allows; 0 where no class has two."""
    return min((number, *(int(n) for n in units if n > 1))) if max(units, default=0) > 1 else 0


def _of_groups(labels: np.ndarray, number: int, seed: int, groups: np.ndarray) -> list[Fold]:
    units = np.unique(groups, return_inverse=True)[1]
    if units.max(initial=0) >= _UNITS:
        units = (groups % np.uint64(_UNITS)).astype(np.int64)  # of many groups some are dealt as one
    if len(np.unique(units)) < 2:
        raise TrainingError(f"the rows to train on are of one group alone: {_INSTEAD}")
    holders = [len(np.unique(units[labels == kind])) for kind in np.unique(labels)]
    if not (most := _at_most(number, holders)):
        raise TrainingError(f"each class is in one group alone of those to train on: {_INSTEAD}")
    found: list[Fold] = []
    for many in range(
        most, 1, -1
    ):  # groups of very different sizes: with fewer folds each class may be inside all
        found = _dealt_groups(labels, many, seed, units)
        if min(holders) < 2 or missing(labels, found) is None:
            break
    for inside, _ in found:
        if len(left := np.unique(labels[inside])) < 2:
            lost = " and ".join(f"class {kind}" for kind in np.setdiff1d(np.unique(labels), left))
            raise TrainingError(
                f"{lost} is in too few groups: without their rows there is one class alone to train on, and {_INSTEAD}"
            )
    return found


def _dealt_groups(labels: np.ndarray, number: int, seed: int, units: np.ndarray) -> list[Fold]:
    from sklearn.model_selection import StratifiedGroupKFold

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _RARE, UserWarning)
        dealt = list(
            StratifiedGroupKFold(number, shuffle=True, random_state=seed).split(labels, labels, units)
        )
    return [(inside, outside) for inside, outside in dealt if len(outside)]
