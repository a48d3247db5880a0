"""The trainer of the README's page, from the configuration through Slack to the champion."""

from __future__ import annotations

import os
import sys

import pytest

from bot.slack import ids
from bot.workspace import Workspace
from tests.journeys.conftest import NewSite
from tests.journeys.stage import (
    ANNA,
    CHANNEL,
    MODEL,
    PATIENCE,
    alert,
    configuration,
    open_form,
    sees,
    thread,
    with_action,
)
from tests.test_readme import page


def test_a_third_party_trainer_runs_through_slack(
    embedded: Workspace, new_site: NewSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = 'use = "my_trainers:Careful"\ncost = 3.0\nn_estimators = 30'
    site = new_site(embedded)
    (site.folder / "my_trainers.py").write_text(page("my_trainers"))
    monkeypatch.syspath_prepend(site.folder)
    monkeypatch.setenv(
        "PYTHONPATH", str(site.folder), prepend=os.pathsep
    )  # the training is a process of its own
    site.configure(configuration().replace("max_iter = 20", own))
    site.bring_labels()
    site.drop(site.files.drifted(1))
    site.start()
    anna = site.person(ANNA)
    alert(anna)
    open_form(anna)
    assert anna.submit() == {}
    sees(anna, "training careful on")
    said = anna.wait_for(lambda p: with_action(thread(p), ids.RETRAIN_PROMOTE), PATIENCE)
    assert said is not None
    assert "trainer careful" in str(said["blocks"])
    anna.click(CHANNEL, said["ts"], ids.RETRAIN_PROMOTE)
    sees(anna, "*Version 2 is in use.*")
    champion = site.app.store.champion(MODEL)
    assert champion is not None
    assert (champion.record.trainer, champion.record.params["cost"]) == ("careful", 3.0)
    site.drop(site.files.drifted(2))  # its own model is asked about the next batch
    site.until(
        lambda: (b := site.app.store.last_checked(MODEL)) is not None and "drifted_2" in b.path,
        "it is not checked",
    )
    scored = site.app.store.last_checked(MODEL)
    assert scored is not None
    assert scored.report is not None
    assert scored.report.errors == ()
    sys.modules.pop("my_trainers", None)
