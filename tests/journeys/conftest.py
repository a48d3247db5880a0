"""Trained projects, made once, and the two Slacks that the journeys run against."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.workspace import Workspace
from tests.journeys.local_slack import LocalSlack, find_binary
from tests.journeys.stage import (
    CHANNELS,
    PEOPLE,
    Site,
    Slack,
    Template,
    configuration,
    retrain_template,
    train_template,
)

NewSite = Callable[..., Site]

# For tables as small as these, more threads only wait for each other (also in the training processes).
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Version 1 of both models is in use."""
    return train_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def retrained(trained: Template) -> Template:
    """A batch drifted, Anna approved, version 2 is trained, and nothing of that is in Slack yet."""
    return retrain_template(trained)


@pytest.fixture
def embedded() -> Iterator[Workspace]:
    """Our own Slack."""
    with Workspace(PEOPLE, CHANNELS) as workspace:
        yield workspace


@pytest.fixture(params=["embedded", "local-slack"])
def slack(request: pytest.FixtureRequest) -> Iterator[Slack]:
    """Our own Slack, and one that was written by others."""
    if request.param == "embedded":
        yield request.getfixturevalue("embedded")
        return
    binary = find_binary()
    if binary is None:
        pytest.skip(
            "local-slack is not installed: npm install --prefix .cache/local-slack "
            "local-slack-linux-x64@0.1.8 --ignore-scripts"
        )
    with LocalSlack(binary, PEOPLE, CHANNELS) as running:
        yield running


@pytest.fixture
def new_site(trained: Template, tmp_path: Path) -> Iterator[NewSite]:
    """Makes the test's project: `new_site(slack, config=…, template=…)`; its bot is not started yet."""
    made: list[Site] = []

    def make(slack: Slack, config: str = "", template: Template = trained) -> Site:
        site = Site(template, tmp_path / f"site{len(made)}", slack, config or configuration())
        made.append(site)
        return site

    yield make
    for site in made:
        site.close()
