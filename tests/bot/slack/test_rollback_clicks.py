"""Two people choose different versions at the same time: one is carried out, the other is told to look again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bot.authorization import Permission
from bot.retraining import Retraining
from bot.slack.actions import Clicks
from bot.times import utc_now
from tests.bot.test_serving import Registry, with_file


class Busy:
    """An executor whose threads are taken; `free` does what waits."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def submit(self, work: Callable[..., None], *arguments: Any) -> Any:
        self.waiting.append(partial(work, *arguments))
        return SimpleNamespace(add_done_callback=lambda _: None)

    def free(self) -> None:
        for work in self.waiting:
            work()


def test_only_the_first_of_two_choices_counts(watched: Any, tmp_path: Path) -> None:
    store, registry, busy = watched.app.store, Registry(), Busy()
    retraining: Any = Retraining(watched.app.config, store, lambda: registry)
    first = store.champion("netflow").record
    for number in (2, 3):
        store.add_version(with_file(replace(first, version=number), tmp_path / f"{number}.skops"), utc_now())
        retraining._move("netflow", number, "promote", "U0ANNA", "")
    services: Any = SimpleNamespace(
        config=watched.app.config,
        store=store,
        retraining=retraining,
        decisions=busy,
        permit=lambda *_: Permission(True),
        wake=lambda: None,
    )
    told: dict[str, str] = {}
    client: Any = SimpleNamespace(chat_postEphemeral=lambda **said: told.update({said["user"]: said["text"]}))
    for user, version in (("U0ANNA", 2), ("U0ADAM", 1)):
        body = {
            "user": {"id": user}, "channel": {"id": "C1"}, "actions": [{"value": f"netflow {version} 3"}],
        }  # fmt: skip
        Clicks(services).roll_back_to(body, client)
    busy.free()
    assert store.champion("netflow").record.version == 2
    assert "Version 2 of" in told["U0ANNA"]
    assert "Look again" in told["U0ADAM"]
