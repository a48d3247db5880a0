"""A search for better parameters within a budget of time, on the training rows alone: no hold-out is ever looked at."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.base import Trainer, TrainingError
from trainers.fitting import fit_grouped
from trainers.folds import Fold, folds

if TYPE_CHECKING:
    import pandas as pd

_OF_TWO, _OF_SEVERAL = "roc_auc", "balanced_accuracy"
_NO_FOLD = (
    ". No fold has rows of every class on both sides: label more of the rarest, in several groups where rows have "
    "groups, or search by another metric"
)
Clock = Callable[[], float]
Candidate = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where both are whole; `log` draws their logarithm."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(
                f"low ({self.low}) has to be below high ({self.high}), and above 0 with log = true"
            )

    def draw(self, rng: np.random.Generator) -> float | int:
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        elif self._whole:
            return int(rng.integers(int(self.low), int(self.high) + 1))
        else:
            drawn = rng.uniform(self.low, self.high)
        return round(drawn) if self._whole else float(drawn)

    @property
    def _whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class Space:
    """What is searched, and for how long.

    Attributes:
        parameters: by name, the values to try or a `Range`.
        budget: seconds; the configured parameters are measured in any case.
        trials: how many, the configured parameters included; where lists alone are given and all their combinations
            are fewer, those.
        folds: of the stratified cross-validation; fewer, where a class has fewer rows or groups.
        metric: a scorer of scikit-learn; more is better. Of several classes "roc_auc", which tells two apart,
            becomes "balanced_accuracy", the mean of the recalls.
    """

    parameters: Mapping[str, Sequence[Any] | Range]
    budget: float = 600.0
    trials: int = 20
    folds: int = 3
    metric: str = _OF_TWO

    def candidates(self, seed: int) -> list[Candidate]:
        """What is tried, in order: nothing changed first; equal seeds give equal candidates."""
        rng = np.random.default_rng(seed)
        lists = {name: list(c) for name, c in self.parameters.items() if not isinstance(c, Range)}
        if len(lists) == len(self.parameters) and math.prod(map(len, lists.values())) < self.trials:
            grid = itertools.product(*lists.values())
            return [{}, *(dict(zip(lists, values, strict=True)) for values in grid)]
        return [{}, *(self._drawn(rng) for _ in range(self.trials - 1))]

    def _drawn(self, rng: np.random.Generator) -> Candidate:
        return {
            name: choice.draw(rng) if isinstance(choice, Range) else choice[int(rng.integers(len(choice)))]
            for name, choice in self.parameters.items()
        }


@dataclass(frozen=True)
class _Rows:
    """What is learned from, and how it is dealt."""

    features: pd.DataFrame
    labels: np.ndarray
    categorical: tuple[str, ...]
    groups: np.ndarray | None
    folds: Sequence[Fold]

    def fit(self, trainer: Trainer, places: np.ndarray) -> Any:
        groups = None if self.groups is None else self.groups[places]
        return fit_grouped(trainer, self.features.iloc[places], self.labels[places], self.categorical, groups)

    def whole(self, *sides: np.ndarray) -> bool:
        """Whether each side has every class."""
        known = len(np.unique(self.labels))
        return all(len(np.unique(self.labels[side])) == known for side in sides)


@dataclass
class Searched:
    """A trainer that first looks for the best of many, then fits that one on all rows.

    Parameters:
        make: a trainer with some parameters replaced; `{}` gives the configured one.
        space: what is searched;  seed: of the draws and the folds.
    """

    make: Callable[[Mapping[str, Any]], Trainer]
    space: Space
    seed: int = 0
    clock: Clock = time.monotonic
    notes: tuple[str, ...] = ()
    _best: Trainer = field(init=False)
    _metric: str = field(init=False, default="")
    _told: dict[str, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._best = self.make({})

    @property
    def name(self) -> str:
        return self._best.name

    @property
    def uses_joblib(self) -> bool:
        return bool(getattr(self._best, "uses_joblib", False))

    def params(self) -> Mapping[str, Any]:
        """Those of the winner, and what was searched; before the search, the configured ones."""
        return {**self._best.params(), **self._told}

    def fit(
        self,
        features: pd.DataFrame,
        labels: np.ndarray,
        categorical: tuple[str, ...],
        groups: np.ndarray | None = None,
    ) -> Any:
        """The winner, fitted on all rows; see `trainers.base.Trainer.fit`."""
        candidates = self.space.candidates(self.seed)
        several = self.space.metric == _OF_TWO and len(np.unique(labels)) > 2
        self._metric = _OF_SEVERAL if several else self.space.metric
        dealt = folds(features, labels, self.space.folds, self.seed, groups)
        scores = self._measured(candidates, _Rows(features, labels, categorical, groups, dealt))
        # The first of equals: the configured ones, where nothing is better. A metric that cannot be had wins nothing.
        won = int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))
        self._best = self.make(candidates[won])
        self._tell(candidates, scores, won, len(dealt))
        return fit_grouped(self._best, features, labels, categorical, groups)

    def _measured(self, candidates: list[Candidate], rows: _Rows) -> list[float]:
        """The score of each that there was time for, at least of the first."""
        deadline = self.clock() + self.space.budget
        scores: list[float] = []
        for candidate in candidates:
            late = deadline if scores else math.inf
            score = self._score(candidate, rows, late)
            if score is None:
                break
            scores.append(score)
        return scores

    def _score(self, candidate: Candidate, rows: _Rows, deadline: float) -> float | None:
        """The mean over the folds that have a score; None where the time is over before the last one.

        Where a class is missing on one side of a fold (it is in one row or group alone), some trainers cannot learn
        and some metrics are not defined: such a fold has no score then, as long as another one has.
        """
        from sklearn.metrics import get_scorer

        scorer, found = get_scorer(self._metric), []
        failed: Exception | None = None
        for inside, outside in rows.folds:
            if self.clock() >= deadline:
                return None
            try:
                model = rows.fit(self.make(candidate), inside)
                found.append(float(scorer(model, rows.features.iloc[outside], rows.labels[outside])))
            except Exception as error:
                if rows.whole(inside, outside):
                    raise _failure(candidate, error) from error
                failed = error
        if failed is not None and not found:
            raise _failure(candidate, failed, _NO_FOLD) from failed
        scores = [score for score in found if math.isfinite(score)]  # a group may have one class alone
        return float(np.mean(scores)) if scores else math.nan

    def _tell(self, candidates: list[Candidate], scores: list[float], won: int, dealt: int) -> None:
        done, planned, metric = len(scores), len(candidates), self._metric
        self._told = {
            "search.trials": done, "search.planned": planned, "search.metric": metric,
            "search.folds": dealt,
            "search.score": scores[won] if math.isfinite(scores[won]) else None,  # JSON has no NaN
        }  # fmt: skip
        said = f"search: {_listed(candidates[won])} won {done} trials by {metric}, {scores[won]:.4f}"
        if won:
            said += f" against {scores[0]:.4f} of the configured parameters"
        notes = [said]
        if done < planned:
            notes.append(
                f"the search ended early: its budget of {self.space.budget:g} s was enough for {done} of {planned} "
                "trials, so another run may find others"
            )
        self.notes = tuple(notes)


def _failure(candidate: Candidate, error: Exception, more: str = "") -> TrainingError:
    return TrainingError(f"the search failed at {_listed(candidate)}: {type(error).__name__}: {error}{more}")


def _listed(candidate: Candidate) -> str:
    return (
        ", ".join(f"{name} = {value!r}" for name, value in candidate.items()) or "the configured parameters"
    )
