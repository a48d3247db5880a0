"""A backlog of small batches: how fast it drains, and whether each is checked once, also by two processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from bot.bootstrap import Application
from bot.config import FILE_NAME
from bot.inbox import Inbox
from tests.benchmarks.scale.site import Site


@dataclass(frozen=True, slots=True)
class Drained:
    """What became of a backlog.

    Attributes:
        seconds: from the first to the last check;  first / last: batches a second in the first and last tenth.
        slowest: the 99th percentile of the time between two checks, in seconds.
        first_work / last_work: processor milliseconds a batch in these tenths, 0 where two processes did it.
        lost: files that were not checked;  twice: checks beyond one a file.
        unsaid: batches of which it was not decided what Slack is told.
    """

    batches: int
    seconds: float
    first: float
    last: float
    slowest: float
    lost: int
    twice: int
    unsaid: int
    first_work: float = 0.0
    last_work: float = 0.0


def drain(app: Application, batches: int) -> Drained:
    """One process scans once."""
    model, spent = app.config.models[0], []
    before = app.store._db.value("SELECT coalesce(max(id), 0) FROM batches")

    def before_each() -> bool:
        spent.append(1000 * time.process_time())
        return False

    app.monitoring.scan(model, inbox_of(app, model.name), before_each)
    tenth = max(1, batches // 10)
    works = [(part[-1] - part[0]) / (len(part) - 1) for part in (spent[1 : tenth + 2], spent[-tenth - 1 :])]
    return replace(drained(app, batches, before), first_work=works[0], last_work=works[1])


def contested(site: Site, app: Application, batches: int) -> Drained:
    """Two processes scan the same inbox; the first is killed when a third is done, the other one ends it."""
    model = app.config.models[0]
    folder = str(site.folder_of(app))
    scans = [subprocess.Popen([sys.executable, "-m", __spec__.name, folder]) for _ in range(2)]
    try:
        while app.store.counters(model.name)["batches"] < batches / 3:
            if any(scan.poll() for scan in scans):
                raise RuntimeError("a scan has failed")
            time.sleep(0.05)
        os.kill(scans[0].pid, signal.SIGKILL)
        if scans[1].wait():
            raise RuntimeError("the scan that went on has failed")
    finally:
        for scan in scans:
            scan.kill()
            scan.wait()
    app.monitoring.scan(model, inbox_of(app, model.name))  # the next tick: what the dead process had in hand
    return drained(app, batches)


def inbox_of(app: Application, name: str) -> Inbox:
    """A model's inbox as the bot has it."""
    return Inbox(app.config.model(name).inbox, settle=0, memory=app.store.dealt_with(name))


def drained(app: Application, batches: int, before: int = 0) -> Drained:
    """What the state says of the batches that came after a certain one."""
    rows = app.store._db.rows(
        "SELECT sha256, checked_at, reported_at FROM batches WHERE state = 'checked' AND id > ?", before
    )
    at = sorted(datetime.fromisoformat(row["checked_at"]).timestamp() for row in rows)
    tenth = max(1, len(at) // 10)
    gaps = sorted(after - before for before, after in pairwise(at))
    return Drained(
        batches=batches,
        seconds=at[-1] - at[0],
        first=_rate(at[: tenth + 1]),
        last=_rate(at[-tenth - 1 :]),
        slowest=gaps[int(0.99 * len(gaps))],
        lost=batches - len({row["sha256"] for row in rows}),
        twice=len(rows) - len({row["sha256"] for row in rows}),
        unsaid=sum(row["reported_at"] is None for row in rows)
        - len(app.store.held(app.config.models[0].name)),
    )


def _rate(at: Sequence[float]) -> float:
    return (len(at) - 1) / (at[-1] - at[0])


def main() -> None:
    app = Application.load(Path(sys.argv[1]) / FILE_NAME)
    model = app.config.models[0]
    app.monitoring.scan(model, inbox_of(app, model.name))


if __name__ == "__main__":
    main()
