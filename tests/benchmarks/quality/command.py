"""The command line of the quality benchmark: `python -m tests.benchmarks.quality --short`; see --help."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from tests.benchmarks.quality.environments import Unavailable, install
from tests.benchmarks.quality.judges import Classic, Judge, Ours, Trial
from tests.benchmarks.quality.peers import PEERS, Peer, PeerJudge
from tests.benchmarks.quality.real import FOLDER
from tests.benchmarks.quality.runner import LONG, SECTIONS, SHORT, Plan, run, tasks
from tests.benchmarks.quality.table import Row, markdown, rows_of
from tests.benchmarks.quality.unseen import PINS

_COUNTS = ("season_batches", "immaterial_batches", "detection_batches", "harm_batches", "real_batches")


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _arguments().parse_args(arguments)
    warnings.filterwarnings("ignore", message=".*cuBLAS.*")
    plan = _plan(asked)
    rows: list[Row] = []
    judges: list[Judge] = [] if asked.without_ours else [Ours()]
    if asked.classic or asked.peers == []:
        judges += [Classic(), Classic(any_feature=True)]
    if not FOLDER.is_dir():
        print(f"Real data is skipped: no CIC-IDS2017 samples at {FOLDER} (or in DRIFTCATCHER_TEST_DATA)")
    plan = _without_absent(plan)
    for judge in judges:
        rows += rows_of(_run(asked, plan, judge, asked.jobs), judge.name)
    absent = []
    for peer in PEERS if asked.peers is not None else ():
        if asked.peers and peer.folder not in asked.peers:
            continue
        try:
            rows += _peer_rows(asked, _for_peers(plan), peer)
        except Unavailable as error:
            absent.append(f"{peer.name}: {error}")
    text = markdown(rows, absent)
    print(text)
    if asked.out:
        out = Path(asked.out)
        out.write_text(text)
        out.with_suffix(".json").write_text(json.dumps(rows, indent=1, default=float))
    return 0


def _without_absent(plan: Plan) -> Plan:
    """Without tables that cannot be had; made once, before many processes ask for them."""
    if "unseen data" not in plan.sections:
        return plan
    try:
        install("data", PINS)
    except Unavailable as error:
        print(f"Unseen data are skipped: {', '.join(PINS)} {error}")
        return replace(plan, sections=tuple(s for s in plan.sections if s != "unseen data"))
    return plan


def _run(asked: argparse.Namespace, plan: Plan, judge: Judge, jobs: int) -> list[Trial]:
    done = []
    for trial in run(tasks(plan, judge, asked.seed), jobs, _told(judge.name)):
        done.append(trial)
        if asked.trials:
            with Path(asked.trials).open("a") as file:
                file.write(json.dumps({"who": judge.name, **asdict(trial)}, default=float) + "\n")
    return done


def _peer_rows(asked: argparse.Namespace, plan: Plan, peer: Peer) -> list[Row]:
    judge = PeerJudge(peer)
    try:
        trials = _run(asked, plan, judge, 1)  # one child process
    finally:
        judge.close()
    for error in dict.fromkeys(judge.errors):
        print(f"{peer.name} failed on {judge.errors.count(error)} batches: {error}", file=sys.stderr)
    rows = rows_of(trials, peer.name)
    if peer.any_name:
        single = [
            replace(t, judgement=replace(t.judgement, alarm=t.judgement.verdict == "any")) for t in trials
        ]
        rows += rows_of(single, peer.any_name)
    return rows


def _for_peers(plan: Plan) -> Plan:
    """The same with fewer repetitions: their shares are far from ours, and need less to be told apart."""
    few = {
        key: min(100 if key[1] <= 1_000 else 10, n)
        for key, n in plan.no_drift.items()
        if key[0] == 40 and key[1] <= 10_000
    }
    sizes = {
        name: tuple(n for n in getattr(plan, name) if n <= 10_000)
        for name in ("season_rows", "immaterial_rows")
    }
    limits = {"season_batches": 10, "immaterial_batches": 5, "detection_batches": 5, "real_batches": 20}
    counts = {name: min(most, getattr(plan, name)) for name, most in limits.items()}
    return replace(plan, no_drift=few, per_reference=max(10, plan.per_reference), **sizes, **counts)


def _told(name: str) -> Callable[[str], None]:
    def told(text: str) -> None:
        print(f"{name}: {text}", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr)

    return told


def _plan(asked: argparse.Namespace) -> Plan:
    plan = LONG if asked.long else SHORT
    if asked.only:
        plan = replace(plan, sections=tuple(asked.only))
    if asked.batches:
        plan = replace(
            plan,
            no_drift={key: min(asked.batches, n) for key, n in plan.no_drift.items()},
            **{name: min(asked.batches, getattr(plan, name)) for name in _COUNTS},
        )
    if asked.features:
        plan = replace(plan, no_drift={k: v for k, v in plan.no_drift.items() if k[0] in asked.features})
    if asked.rows:
        plan = replace(
            plan,
            no_drift={k: v for k, v in plan.no_drift.items() if k[1] in asked.rows},
            **{
                name: tuple(n for n in getattr(plan, name) if n in asked.rows)
                for name in ("season_rows", "immaterial_rows", "detection_rows", "real_rows")
            },
        )
    return plan


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.quality", description=__doc__)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--short", action="store_true", help="some minutes on one core")
    size.add_argument("--long", action="store_true", help="what the README claims; hours")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="these sections alone")
    parser.add_argument("--features", nargs="+", type=int, help="no-drift tables of these widths alone")
    parser.add_argument("--rows", nargs="+", type=int, help="batches of these sizes alone")
    parser.add_argument("--batches", type=int, help="at most so many of each kind")
    parser.add_argument("--classic", action="store_true", help="the classic rule beside ours")
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=[peer.folder for peer in PEERS],
        help="these other monitors too (all where none is named); they are installed under .cache/peers",
    )
    parser.add_argument("--without-ours", action="store_true", help="others alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", help="Markdown file; the same as JSON goes beside it")
    parser.add_argument("--trials", help="append each trial to this file, as a line of JSON")
    return parser
