"""A retrain that is taken back while it runs: from its thread and by a command."""

from __future__ import annotations

import os

import pytest

from bot.slack import ids
from bot.workspace import Person, Workspace
from tests.journeys.conftest import NewSite
from tests.journeys.stage import (
    ADAM,
    ANNA,
    CHANNEL,
    PATIENCE,
    VIC,
    Site,
    alert,
    alive,
    ask,
    configuration,
    open_form,
    sees,
    thread,
    told,
    training_processes,
    with_action,
)


@pytest.fixture
def waiting(embedded: Workspace, new_site: NewSite) -> Site:
    """A bot whose trainer waits for as long as there is a file called gate; an alert, and labelled rows."""
    site = new_site(embedded)
    (site.folder / "gate").touch()
    trainer = f'use = "tests.benchmarks.kills.trainer:Waiting"\ngate = "{site.folder / "gate"}"'
    text = configuration().replace("max_iter = 20", trainer)
    assert "Waiting" in text
    site.configure(text)
    site.bring_labels()
    site.drop(site.files.drifted(1))
    site.start()
    return site


def approve(person: Person) -> None:
    person.wait_for(lambda p: with_action([alert(p)], ids.INCIDENT_APPROVE), PATIENCE)
    open_form(person)
    assert person.submit() == {}


def test_a_running_retrain_is_cancelled(waiting: Site) -> None:
    site, anna, vic = waiting, waiting.person(ANNA), waiting.person(VIC)
    approve(anna)
    site.until((site.folder / "gate.reached").exists, "the training did not begin")
    (child,) = training_processes(os.getpid())
    message = anna.wait_for(lambda p: with_action(thread(p), ids.RETRAIN_CANCEL), PATIENCE)
    assert message is not None
    vic.click(CHANNEL, message["ts"], ids.RETRAIN_CANCEL)
    told(vic, "you are not an approver")
    assert alive(child)
    anna.click(CHANNEL, message["ts"], ids.RETRAIN_CANCEL)
    sees(anna, f"*The retrain was cancelled* by <@{ANNA.id}>")
    site.until(lambda: not alive(child), "the training goes on")
    site.settled()
    assert with_action(thread(anna), ids.RETRAIN_CANCEL) is None, "there is nothing to cancel any more"
    assert (site.incident().state, site.champion(), site.retrains()[0].state) == ("open", 1, "cancelled")

    adam = site.person(ADAM)
    approve(adam)
    assert "you are not an approver" in ask(vic, "cancel")
    assert "Retrain 2 of netflow is cancelled." in ask(adam, "Cancel")
    site.until(lambda: not training_processes(os.getpid()), "the training goes on")
    assert "No retrain is queued or running." in ask(adam, "cancel netflow")
    assert f"Already cancelled by <@{ADAM.id}>" in ask(adam, "cancel 2")
    assert [d.what for d in site.app.store.decisions("netflow")].count("cancel") == 2
    anna.wait_for(lambda p: with_action([alert(p)], ids.INCIDENT_APPROVE), PATIENCE)
