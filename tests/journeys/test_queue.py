"""Retrains of two models: one after the other, or side by side; never two of one model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

import bot.jobs as jobs
from bot import labelling
from bot.workspace import Workspace
from state.records import AlreadyDecided
from tests.journeys.conftest import NewSite
from tests.journeys.stage import (
    ANNA,
    MODEL,
    NEVER,
    SECOND_CHANNEL,
    SECOND_MODEL,
    VIC,
    Site,
    configuration,
    sees,
)
from trainers.base import TrainingError


class Trainings:
    """Stands in for the training processes: which are under way; they last until somebody lets them go."""

    def __init__(self) -> None:
        self.under_way: list[str] = []
        self.go = threading.Event()
        self._turn = threading.Lock()

    def run(self, job: jobs.RetrainJob, *_: object) -> None:
        with self._turn:
            self.under_way.append(job.champion.model)
        self.go.wait(60)
        with self._turn:
            self.under_way.remove(job.champion.model)
        raise TrainingError("let go")


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainings]:
    made = Trainings()
    monkeypatch.setattr(jobs, "run_in_child", made.run)
    yield made
    made.go.set()


@pytest.fixture
def both(embedded: Workspace, new_site: NewSite, trainings: Trainings) -> Callable[[str], Site]:
    """A bot of two models, with a retrain of each approved."""

    def make(more: str) -> Site:
        site = new_site(embedded, configuration(model={"schedule": NEVER}, second=True) + more)
        site.start()
        for name in (MODEL, SECOND_MODEL):
            site.bring_labels(name)
            approve(site, name)
        return site

    return make


def approve(site: Site, name: str) -> None:
    model = site.app.config.model(name)
    files = [found.data_file() for found in labelling.waiting(model, site.app.store)]
    site.app.retraining.approve(model, files, ANNA.id)


def test_two_models_are_trained_side_by_side(both: Callable[[str], Site], trainings: Trainings) -> None:
    site = both("[training]\nside_by_side = 2\n")
    site.until(lambda: sorted(trainings.under_way) == [SECOND_MODEL, MODEL], "they do not run side by side")
    with pytest.raises(AlreadyDecided):
        approve(site, MODEL)
    trainings.go.set()
    site.until(lambda: not site.app.store.active_retrains(), "they do not end")


def test_without_it_the_second_waits_its_turn_and_says_so(
    both: Callable[[str], Site], trainings: Trainings
) -> None:
    site = both("")
    site.until(lambda: trainings.under_way == [MODEL], "none runs")
    sees(site.person(VIC), f"it waits its turn: {MODEL} is being trained", SECOND_CHANNEL)
    (waits,) = site.app.store.retrains(SECOND_MODEL)
    assert (waits.state, trainings.under_way) == ("queued", [MODEL])
    trainings.go.set()
    site.until(lambda: not site.app.store.active_retrains(), "they do not end")
    assert {r.error for r in site.app.store.retrains()} == {"let go"}
