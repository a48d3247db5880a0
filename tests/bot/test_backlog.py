"""A backlog in one inbox: two processes scan it at once, one of them dies, and each file is checked once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from bot.config import FILE_NAME
from tests.bot.conftest import Watched

FILES = 60
SCAN = """
import sys
from pathlib import Path
from bot.bootstrap import Application
from bot.inbox import Inbox

app = Application.load(Path(sys.argv[1]))
model = app.config.model(None)
app.monitoring.scan(model, Inbox(model.inbox, settle=0, memory=app.store.dealt_with(model.name)))
"""


def test_two_scans_at_once_and_a_killed_one_lose_nothing_and_check_nothing_twice(
    watched: Watched, traffic: Any, tmp_path: Path
) -> None:
    rows = pd.read_csv(traffic.stable)
    for number in range(FILES):
        rows.sample(200, random_state=number).to_csv(tmp_path / f"{number:02}.csv", index=False)
        watched.drop(tmp_path / f"{number:02}.csv")
    command = [sys.executable, "-c", SCAN, str(watched.folder / FILE_NAME)]
    scans = [subprocess.Popen(command) for _ in range(2)]
    store, deadline = watched.app.store, time.monotonic() + 120
    try:
        while store.counters("netflow")["batches"] < FILES / 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        scans[0].kill()
        assert scans[1].wait(120) == 0
    finally:
        for scan in scans:
            scan.kill()
            scan.wait()
    watched.app.monitoring.scan(
        watched.model, watched.inbox()
    )  # the next tick takes what the dead one had in hand
    counters = store.counters("netflow")
    assert (counters["batches"], counters["failed"]) == (FILES, 0)
    checks = store.history("netflow", 2 * FILES)
    assert sorted(Path(check.path).name for check in checks) == [f"{n:02}.csv" for n in range(FILES)]
    assert all(batch.reported for batch in store.checked_batches("netflow", FILES))
    assert list(watched.inbox().finished()) == []
