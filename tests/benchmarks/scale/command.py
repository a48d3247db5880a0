"""The command line of the scale benchmark; a table of what was measured goes to standard output."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks.scale import history, idle
from tests.benchmarks.scale.drain import Drained, contested, drain
from tests.benchmarks.scale.site import Site

SECTIONS = ("drain", "contested", "idle", "history")
Row = tuple[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _arguments().parse_args(arguments)
    logging.disable(logging.WARNING)
    batches = asked.batches or (10_000 if asked.long else 500)
    scores = asked.scores or (1_000_000 if asked.long else 50_000)
    print("| | |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        site = Site.make(Path(folder))
        for section in asked.only or SECTIONS:
            print(f"{section} …", file=sys.stderr)
            for what, found in _RUN[section](site, batches, scores):
                print(f"| {what} | {found} |", flush=True)
    return 0


def _drain(site: Site, batches: int, scores: int) -> Iterator[Row]:
    app = site.application("drain", 1)
    site.drop(app.config.models[0].inbox, batches)
    yield from _told("backlog, one process", drain(app, batches))
    later = site.application("later", 1)
    history.fill(later, scores)
    few = min(batches, 500)
    site.drop(later.config.models[0].inbox, few)
    yield from _told(f"backlog after {scores:,} scores, one process", drain(later, few))
    later.close()
    yield f"first scan after a restart, {batches:,} old files", f"{idle.first_scan(app):.0f} ms"
    yield f"idle scan, {batches:,} old files", _milliseconds(idle.scans(app, 200))
    app.close()


def _contested(site: Site, batches: int, scores: int) -> Iterator[Row]:
    app = site.application("contested", 1)
    site.drop(app.config.models[0].inbox, batches)
    yield from _told("backlog, two processes, the first killed after a third", contested(site, app, batches))
    app.close()


def _told(what: str, done: Drained) -> Iterator[Row]:
    yield (
        what,
        f"{done.batches:,} batches in {done.seconds:,.0f} s, {done.batches / done.seconds:.1f} a second; "
        f"lost {done.lost}, twice {done.twice}, undecided {done.unsaid}",
    )
    yield (
        "batches a second, first / last tenth; 99th percentile between two",
        f"{done.first:.1f} / {done.last:.1f}; {1000 * done.slowest:.0f} ms",
    )
    if done.first_work:
        yield (
            "processor time a batch, first / last tenth",
            f"{done.first_work:.1f} / {done.last_work:.1f} ms",
        )


def _idle(site: Site, batches: int, scores: int) -> Iterator[Row]:
    for models in (1, 200):
        app = site.application(f"idle{models}", models)
        history.fill(app, scores)
        with_history = f"{models} model{'s' * (models > 1)}, {scores:,} scores"
        yield f"idle scan of a model, {with_history}", _milliseconds(idle.scans(app, 400))
        yield f"housekeeping, {with_history}", _milliseconds(idle.housekeeping(app, 100))
        app.close()


def _history(site: Site, batches: int, scores: int) -> Iterator[Row]:
    app = site.application("history", 4)
    history.fill(app, scores)
    for what, seconds in history.questions(app).items():
        yield f"{what}, {scores:,} scores", f"{seconds:.3f} s"
    rolled, longest, seconds = history.roll_up(app)
    yield (
        "the older half rolled up",
        f"{rolled:,} batches in {seconds:.1f} s, the longest write {longest:.3f} s",
    )
    app.close()


_RUN = dict(zip(SECTIONS, (_drain, _contested, _idle, _history), strict=True))


def _milliseconds(took: idle.Took) -> str:
    return f"{took.median:.2f} ms, p99 {took.p99:.2f} ms"


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
    parser.add_argument(
        "--long", action="store_true", help="10,000 batches and 1,000,000 scores; else 500 and 50,000"
    )
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="these sections alone")
    parser.add_argument("--batches", type=int, help="so many batches in a backlog")
    parser.add_argument("--scores", type=int, help="so many scores in the history")
    return parser
