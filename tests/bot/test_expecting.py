"""An estimate is of the configuration that it was made with, and a search does not eat its time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from bot import expecting
from bot.demo.traffic import LABEL_COLUMN, NEW_MIX, mix
from detectors.digest import sha256_file
from trainers.base import DataFile


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
