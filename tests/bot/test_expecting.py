"""An estimate is of the configuration that it was made with, and a search does not eat its time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from bot import expecting
from bot.demo.traffic import LABEL_COLUMN, NEW_MIX, mix
from detectors.digest import sha256_file
from trainers.base import DataFile, TrainingError


@pytest.fixture
def asked(watched: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model with a champion that says 0 of everything, and new labelled rows for it."""
    path = watched.folder / "new.csv"
    rows = mix(NEW_MIX, 400, 5, day=9)
    rows.to_csv(path, index=False)
    file = DataFile(str(path), sha256_file(path), len(rows))
    assert LABEL_COLUMN in rows.columns
    nothing = lambda rows: (np.zeros(len(rows), int), np.zeros(len(rows)))  # noqa: E731
    monkeypatch.setattr(expecting, "_current", lambda job: nothing)
    champion = watched.app.store.champion(watched.model.name)

    def job(**trainer: Any) -> Any:
        model = watched.model.model_copy(update={"trainer": {"use": "logistic_regression", **trainer}})
        return model, champion, (file,), expecting.job_of(watched.app.config, model, champion, (file,))

    return job


def test_an_estimate_of_another_trainer_is_not_shown_as_this_one(watched: Any, asked: Any) -> None:
    store = watched.app.store
    model, champion, files, job = asked()
    found = expecting.estimate(job)
    store.keep_expectation(model.name, champion.record.version, files, found, datetime.now(UTC))
    assert expecting.kept(store, model, champion, files) == found
    other = asked(C=0.01)[0]
    assert expecting.kept(store, other, champion, files) is None
    store.keep_expectation(
        model.name, champion.record.version, files, replace(found, settings=""), datetime.now(UTC)
    )
    assert expecting.kept(store, model, champion, files) is None  # of an earlier release


def test_a_search_is_no_part_of_the_quick_fits_and_of_the_time(asked: Any) -> None:
    plain = expecting.estimate(asked()[-1])
    search = {
        "params": {"C": [0.1, 1.0, 10.0]},
        "budget": "20m",
        "metric": "no such",
    }  # were it tried, it would fail
    searched = expecting.estimate(asked(search=search)[-1])
    assert searched.cell == plain.cell
    assert searched.seconds >= 1200


def test_one_that_failed_is_not_tried_again_at_once(
    watched: Any, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have taken three minutes; more memory or another trainer is another matter."""
    tried: list[Any] = []

    def fails(job: Any) -> Any:
        tried.append(job)
        raise TrainingError(f"no, for the {len(tried)}. time")

    monkeypatch.setattr(expecting, "in_child", fails)
    monkeypatch.setattr(expecting, "_failed", {})
    clock = [datetime.now(UTC)]

    def ask(**changes: Any) -> str:
        model, champion, files, _ = asked()
        changed = model.model_copy(update=changes)
        with pytest.raises(TrainingError) as refused:
            expecting.kept_or_made(
                watched.app.config, watched.app.store, changed, champion, files, lambda: clock[0]
            )
        return str(refused.value)

    assert ask() == ask() == "no, for the 1. time"
    assert ask(retrain_memory_mb=900) == "no, for the 2. time"
    assert tried[1].memory_mb == 900
    assert ask(trainer={"use": "logistic_regression", "C": 0.5}) == "no, for the 3. time"
    clock[0] += expecting.REMEMBERED - timedelta(seconds=1)
    assert ask() == "no, for the 1. time"
    clock[0] += timedelta(seconds=1)
    assert ask() == "no, for the 4. time"


@pytest.mark.parametrize("cause", [None, MemoryError()])
def test_one_gets_no_more_memory_than_a_training_and_says_what_to_do(
    asked: Any, monkeypatch: pytest.MonkeyPatch, cause: MemoryError | None
) -> None:
    def greedy(job: Any) -> Any:
        assert limits == [150]
        if cause is None:
            raise MemoryError
        raise TrainingError("the trainer failed") from cause

    limits: list[int] = []
    monkeypatch.setattr(expecting, "limit_memory", limits.append)
    monkeypatch.setattr(expecting, "estimate", greedy)
    said = expecting._answer(replace(asked()[-1], memory_mb=150))
    assert "more than the 150 MB" in str(said["error"]) and "raise `retrain_memory_mb`" in str(said["error"])
