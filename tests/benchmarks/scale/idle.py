"""What a tick costs when there is nothing new: the scheduled scan of one model, and housekeeping over all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bot.bootstrap import Application, Bot, Secrets
from tests.benchmarks.scale.drain import inbox_of


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds, median and 99th percentile."""

    median: float
    p99: float


def scans(app: Application, times: int) -> Took:
    """Scans of all models in turn, each as in a bot that has run for a while."""
    inboxes = [(model, inbox_of(app, model.name)) for model in app.config.models]
    for model, inbox in inboxes:
        app.monitoring.scan(model, inbox)
    ticks = [lambda m=model, i=inbox: app.monitoring.scan(m, i) for model, inbox in inboxes]
    return took([ticks[number % len(ticks)] for number in range(times)])


def first_scan(app: Application) -> float:
    """Milliseconds of the first scan of a model after a restart."""
    model = app.config.models[0]
    return took([lambda: app.monitoring.scan(model, inbox_of(app, model.name))]).median


def housekeeping(app: Application, times: int) -> Took:
    """What the bot does every five seconds, without Slack."""
    bot = Bot(app, Secrets("", "", ""))
    bot._wake = lambda: None  # type: ignore[method-assign]
    bot._housekeep()
    return took([bot._housekeep] * times)


def took(calls: list[Callable[[], object]]) -> Took:
    """How long each call takes."""
    spent = []
    for call in calls:
        begun = time.perf_counter()
        call()
        spent.append(1000 * (time.perf_counter() - begun))
    spent.sort()
    return Took(spent[len(spent) // 2], spent[int(0.99 * len(spent))])
