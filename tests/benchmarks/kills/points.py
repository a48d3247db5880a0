"""The points of a retrain at which something dies, how each is reached, and who can die there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Literal

from bot.slack import ids
from tests.benchmarks.kills.house import House, until
from tests.benchmarks.kills.relay import Chooses
from tests.journeys.stage import ANNA, CHANNEL, PATIENCE, with_action

Victim = Literal["bot", "trainer", "server"]
Release = Callable[[], None]


@dataclass(frozen=True)
class Point:
    """`reach` gets there and stays there for as long as its context lasts; `victims` are those that live there."""

    name: str
    reach: Callable[[House], Iterator[None]]
    victims: tuple[Victim, ...] = ("bot", "trainer", "server")

    @contextmanager
    def reached(self, house: House) -> Iterator[None]:
        yield from self.reach(house)


def _queued(house: House) -> Iterator[None]:
    house.freeze_bot()
    house.approve()
    yield
    house.thaw_bot()


def _fitting(house: House) -> Iterator[None]:
    house.gate.touch()
    house.approve()
    until(house.gate.with_suffix(".reached").exists, "the trainer was not asked")
    yield
    house.gate.unlink()


def _asks(method: str, part: str, word: str = "") -> Chooses:
    def chooses(asked: str, path: str, body: bytes) -> bool:
        return asked == method and part in path and word.encode() in body

    return chooses


def _at(
    chooses: Chooses, when: Literal["before", "after"], begin: Callable[[House], object] = House.approve
) -> Callable[[House], Iterator[None]]:
    """While a request of the trainer or the bot is on its way to MLflow, or its answer on the way back."""

    def reach(house: House) -> Iterator[None]:
        hold = house.relay.hold(chooses, when)
        begin(house)
        until(hold.reached.is_set, "the request did not come")
        yield
        hold.release(cut=True)  # whoever still lives gets no answer

    return reach


def _returned(house: House) -> Iterator[None]:
    """The trainer has ended well; the bot has its result and cannot write it down yet."""
    hold = house.relay.hold(_asks("POST", "registered-models/alias", "challenger"), "after")
    house.approve()
    until(hold.reached.is_set, "the request did not come")
    with closing(sqlite3.connect(house.home / "state.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        hold.release()
        until(lambda: house.trainer() is None, "the trainer does not end")
        yield
        db.execute("ROLLBACK")


def _stored(house: House) -> Iterator[None]:
    trained(house)
    yield


def trained(house: House) -> None:
    """A retrain that went well and waits for its decision."""
    house.approve()
    until(lambda: house.app.store.retrains()[0].state == "succeeded", "the retrain does not succeed")


def promote(house: House) -> None:
    """Anna presses the button."""
    trained(house)
    anna = house.slack.person(ANNA.id)
    found = anna.wait_for(lambda p: with_action(_all(p), ids.RETRAIN_PROMOTE), PATIENCE)
    anna.click(CHANNEL, (found or {})["ts"], ids.RETRAIN_PROMOTE)


def _all(person: object) -> list[dict[str, object]]:
    top = person.messages(CHANNEL)  # type: ignore[attr-defined]
    return [reply for message in top for reply in person.replies(CHANNEL, message["ts"])]  # type: ignore[attr-defined]


_CHAMPION = _asks("POST", "registered-models/alias", "champion")

POINTS = (
    Point("approved, queued", _queued, ("bot", "server")),
    Point("started: the champion is asked for", _at(_asks("GET", "/logged-models/"), "before")),
    Point("read, fitting", _fitting),
    Point("measured, nothing registered", _at(_asks("GET", "experiments/get-by-name"), "before")),
    Point("run made", _at(_asks("POST", "runs/create"), "after")),
    Point("model logged", _at(_asks("PATCH", "/logged-models/"), "after")),
    Point("version made", _at(_asks("POST", "model-versions/create"), "after")),
    Point("alias challenger set", _at(_asks("POST", "registered-models/alias", "challenger"), "after")),
    Point("result returned, not kept yet", _returned, ("bot", "server")),
    Point("result kept", _stored, ("bot", "server")),
    Point("promotion begun", _at(_CHAMPION, "before", promote), ("bot", "server")),
    Point("alias champion moved, not kept yet", _at(_CHAMPION, "after", promote), ("bot", "server")),
)
