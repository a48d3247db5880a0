"""The search: what it tries, that the best wins, and that its time is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.base import TrainingError
from trainers.search import Range, Searched, Space
from trainers.sklearn_trainers import LogisticRegression

rng = np.random.default_rng(0)
FEATURES = pd.DataFrame({"x": rng.normal(size=120)})
LABELS = (FEATURES["x"] > 0).to_numpy(int)


class Model:
    """Ranks rows well or badly."""

    def __init__(self, quality: float) -> None:
        self.quality, self.classes_ = quality, np.array([0, 1])

    def fit(self, *_: object) -> Model:
        return self

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        noise = np.random.default_rng(len(rows)).normal(size=len(rows))
        chance = 1 / (1 + np.exp(-(self.quality * rows["x"].to_numpy() + (1 - self.quality) * noise)))
        return np.column_stack([1 - chance, chance])

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return (self.predict_proba(rows)[:, 1] > 0.5).astype(int)

    def __sklearn_tags__(self) -> Any:
        from sklearn.dummy import DummyClassifier

        return DummyClassifier().__sklearn_tags__()


@dataclass(frozen=True)
class Plain:
    quality: float = 0.5
    name: str = "plain"

    def params(self) -> Mapping[str, Any]:
        return {"quality": self.quality}

    def fit(self, features: pd.DataFrame, labels: np.ndarray, categorical: tuple[str, ...]) -> Any:
        if self.quality > 5:
            raise ValueError("too good to be true")
        assert set(features.index) <= set(FEATURES.index)
        return Model(self.quality)


def search(space: Space, **more: Any) -> Searched:
    return Searched(lambda changed: Plain(**changed), space, **more)


def test_the_best_wins_and_is_recorded() -> None:
    searched = search(Space({"quality": [0.2, 0.9, 0.1]}))
    assert searched.params() == {"quality": 0.5}
    assert searched.fit(FEATURES, LABELS, ()).quality == 0.9
    params = dict(searched.params())
    assert 0.9 < params.pop("search.score") <= 1
    assert params == {
        "quality": 0.9, "search.trials": 4, "search.planned": 4, "search.metric": "roc_auc", "search.folds": 3,
    }  # fmt: skip
    (said,) = searched.notes
    assert said.startswith("search: quality = 0.9 won 4 trials by roc_auc, ")
    assert said.endswith("of the configured parameters")


def test_the_configured_parameters_stay_where_nothing_is_better() -> None:
    searched = search(Space({"quality": [0.5, 0.1]}))
    assert searched.fit(FEATURES, LABELS, ()).quality == 0.5
    assert searched.notes[0].startswith("search: the configured parameters won 3 trials")


def test_a_score_that_cannot_be_had_wins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {0.5: 0.4, 0.9: 0.6}
    scorer = lambda model, *_: known.get(model.quality, np.nan)  # noqa: E731
    monkeypatch.setattr("sklearn.metrics.get_scorer", lambda _: scorer)
    assert search(Space({"quality": [0.1, 0.9]})).fit(FEATURES, LABELS, ()).quality == 0.9
    known.clear()
    none = search(Space({"quality": [0.1, 0.9]}))
    assert none.fit(FEATURES, LABELS, ()).quality == 0.5 and none.params()["search.score"] is None


@pytest.mark.parametrize(("budget", "done"), [(0, 1), (6, 1), (7, 2), (10, 3), (1000, 5)])
def test_it_ends_when_its_time_is_over_and_says_so(budget: float, done: int) -> None:
    """Each look at the clock takes a second; a trial of three folds that is cut off counts for nothing."""
    ticks = iter(range(10**6))
    space = Space({"quality": [0.1, 0.2, 0.3, 0.9]}, budget=budget)
    searched = search(space, clock=lambda: float(next(ticks)))
    searched.fit(FEATURES, LABELS, ())
    assert searched.params()["search.trials"] == done
    early = [note for note in searched.notes if "ended early" in note]
    assert len(early) == (done < 5)
    assert all(f"{done} of 5 trials" in note for note in early)


def test_equal_seeds_draw_the_same_and_others_do_not() -> None:
    space = Space({"quality": Range(0.0, 1.0), "depth": Range(1, 5), "kind": ["a", "b"]}, trials=8)
    assert space.candidates(3) == space.candidates(3) != space.candidates(4)
    assert space.candidates(3)[0] == {}
    assert len(space.candidates(3)) == 8


def test_a_small_grid_is_tried_whole_and_a_large_one_by_chance() -> None:
    small = Space({"a": [1, 2], "b": [3, 4]}, trials=20).candidates(0)
    assert small == [{}, {"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4}]
    assert len(Space({"a": list(range(50))}, trials=20).candidates(0)) == 20


@given(st.integers(0, 1000), st.integers(1, 1000), st.booleans(), st.integers(0, 99))
def test_what_is_drawn_lies_in_its_range(low: int, more: int, log: bool, seed: int) -> None:
    low = max(low, 1)
    rng = np.random.default_rng(seed)
    whole, parts = Range(low, low + more, log).draw(rng), Range(float(low), float(low + more), log).draw(rng)
    assert isinstance(whole, int)
    assert low <= whole <= low + more
    assert isinstance(parts, float)
    assert low * (1 - 1e-12) <= parts <= (low + more) * (1 + 1e-12)


def test_a_trial_that_fails_is_named() -> None:
    with pytest.raises(TrainingError, match="the search failed at quality = 9: ValueError: too good"):
        search(Space({"quality": [9]})).fit(FEATURES, LABELS, ())


def test_with_a_real_trainer_it_is_the_cross_validation_of_scikit_learn() -> None:
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    noisy = np.where(np.random.default_rng(1).random(120) < 0.2, 1 - LABELS, LABELS)
    space = Space({"C": [0.001]}, metric="neg_log_loss")
    searched = Searched(lambda changed: LogisticRegression(**{"C": 1.0, **changed}), space)
    model = searched.fit(FEATURES, noisy, ())
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    expected = cross_val_score(model, FEATURES, noisy, cv=folds, scoring="neg_log_loss").mean()
    assert searched.params()["search.score"] == pytest.approx(expected, abs=1e-12)
    assert searched.params()["C"] == 1.0
