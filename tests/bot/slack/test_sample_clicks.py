"""Who asks for rows to label is answered before they are drawn, and they are drawn once at a time."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.authorization import Permission
from bot.sampling import Sampling
from bot.slack.actions import Clicks, Refused
from bot.slack.commands import Commands
from bot.times import utc_now
from state.records import AlreadyDecided
from tests.bot.slack.test_rollback_clicks import Busy

ANNA = "U0ANNA"


@pytest.fixture
def batch(traffic: Any, tmp_path: Path) -> Path:
    return Path(shutil.copy(traffic.drifted, tmp_path / "drifted.csv"))


@pytest.fixture
def services(watched: Any, batch: Path) -> Any:
    """With an open incident, and threads that are taken."""
    app = watched.app
    app.monitoring.notify(watched.model, app.monitoring.check(watched.model, batch).batch)
    return SimpleNamespace(
        config=app.config, store=app.store, sampling=Sampling(app.store), work=Busy(), now=utc_now,
        permit=lambda *_: Permission(True), wake=lambda: None,
    )  # fmt: skip


def test_a_click_is_answered_at_once_and_a_second_one_draws_nothing(services: Any) -> None:
    clicks, told = Clicks(services), list[str]()
    client: Any = SimpleNamespace(chat_postEphemeral=lambda **said: told.append(said["text"]))
    body = {"user": {"id": ANNA}, "channel": {"id": "C1"}, "actions": [{"value": "1"}]}
    clicks.sample(body, client)
    (said,) = told
    assert said.startswith("Drawing rows of `drifted.csv`") and "thread" in said
    with pytest.raises(Refused, match="are being drawn already"):
        clicks.sample(body, client)
    assert len(services.work.waiting) == 1
    services.work.waiting.pop()()
    assert (len(services.store.samples("netflow")), len(told)) == (1, 1)
    clicks.sample(body, client)
    services.work.free()
    assert "are in this message's thread" in told[-1]


def test_a_draw_that_failed_can_be_asked_for_again(services: Any, batch: Path) -> None:
    clicks, told = Clicks(services), list[str]()
    client: Any = SimpleNamespace(chat_postEphemeral=lambda **said: told.append(said["text"]))
    body = {"user": {"id": ANNA}, "channel": {"id": "C1"}, "actions": [{"value": "1"}]}
    content = batch.read_bytes()
    batch.write_bytes(content + b"\n")
    clicks.sample(body, client)
    services.work.waiting.pop()()
    assert "no longer the file that was checked" in told[-1]
    batch.write_bytes(content)
    clicks.sample(body, client)
    services.work.free()
    assert (len(services.store.samples("netflow")), len(told)) == (1, 3)


def test_in_words_it_is_said_where_the_file_comes(services: Any) -> None:
    told: list[str] = []
    Commands(services).sample([], ANNA, SimpleNamespace(), lambda message: told.append(message.text))  # type: ignore[arg-type]
    assert told == [
        f"Drawing rows of drifted.csv to label; the file comes into the thread of incident 1 in "
        f"`{services.store.incident(1).channel}` …"
    ]


def test_who_was_first_is_named_as_a_person_in_answers_to_commands(services: Any) -> None:
    def late() -> None:
        raise AlreadyDecided("U0ADAM", datetime(2026, 11, 28, 9, 30, tzinfo=UTC), "cancelled")

    told: list[str] = []
    Commands(services).guarded(lambda message: told.append(message.text), late)
    assert told[0].startswith("Already cancelled by <@U0ADAM> at <!date^")
