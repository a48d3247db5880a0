"""The measurements. A section is a function of a `Bench` that yields targets and lines of tables."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks.performance.bench import REFERENCE, Bench
from tests.benchmarks.performance.measuring import Failed, Run, cores, cpu, in_turns, peak, seconds, work
from tests.benchmarks.performance.peers import PEERS, Peer
from tests.benchmarks.performance.table import Line, Row, Target, at_least, at_most
from tests.benchmarks.quality.environments import Unavailable

_OURS = "driftcatcher check, PSI + KS"
_FASTER = "cold driftcatcher check, PSI + KS, is faster"
_TRAINERS = ("hist_gradient_boosting", "random_forest", "logistic_regression")


def warm(bench: Bench) -> Iterator[Row]:
    """PSI, and PSI and KS, beside the bare parse of the same CSV, in one warm process."""
    rows, columns = bench.plan.rows, bench.plan.columns
    times, _ = work(
        "warm_csv",
        cpus=bench.cpus,
        baseline=str(bench.baseline(rows, columns)),
        batch=str(bench.csv(rows, columns)),
        repetitions=bench.plan.warm,
    )
    size = f"{rows:,} × {columns} CSV, warm"
    base = statistics.median(times["read"])
    for name, who, limit in (("psi", "PSI", 1.3), ("psi_ks", "PSI + KS", 2.0)):
        ratio = statistics.median(times[name]) / base
        yield at_most(f"{who} / pyarrow.csv.read_csv", size, limit, ratio, "×")
    names = {"read": "pyarrow.csv.read_csv, float64, 2 threads", "psi": "PSI", "psi_ks": "PSI + KS"}
    yield from _warm_lines({names[name]: some for name, some in times.items()})


def parquet(bench: Bench) -> Iterator[Row]:
    """PSI and KS beside the bare streamed read of the same table as Parquet, in one warm process."""
    rows, columns = bench.plan.rows, bench.plan.columns
    times, _ = work(
        "warm_parquet",
        cpus=bench.cpus,
        baseline=str(bench.baseline(rows, columns)),
        batch=str(bench.parquet(rows, columns)),
        repetitions=bench.plan.warm,
    )
    ratio = statistics.median(times["psi_ks"]) / statistics.median(times["read"])
    yield at_most("PSI + KS / ParquetFile.iter_batches", f"{rows:,} × {columns} Parquet, warm", 3, ratio, "×")
    names = {"read": "ParquetFile.iter_batches, all columns", "psi_ks": "PSI + KS"}
    yield from _warm_lines({names[name]: some for name, some in times.items()})


def _warm_lines(times: dict[str, list[float]]) -> Iterator[Line]:
    first = statistics.median(next(iter(times.values())))
    for name, some in times.items():
        middle = statistics.median(some)
        yield Line({"what": name, "s, median": middle, "s, least": min(some), "ratio": middle / first})


def cold(bench: Bench) -> Iterator[Row]:
    """`driftcatcher check` with PSI and KS beside the classic workflow and other monitors, process by process."""
    rows = bench.plan.rows
    batch = bench.csv(rows, bench.plan.columns)
    ready: dict[str, Callable[[], Run]] = {_OURS: partial(bench.project.check, batch, rows, bench.cpus)}
    missing: dict[str, str] = {}
    for peer in PEERS:
        try:
            ready[peer.name] = _ready(bench, peer, batch)
        except (Unavailable, Failed) as error:
            missing[peer.name] = str(error)
    found = _cold_turns(bench, ready, missing)
    yield _cold_line(_OURS, found[_OURS], found[_OURS])
    for peer in PEERS:
        if peer.name in missing:
            yield from _missing(peer, missing[peer.name])
        else:
            yield from _compared(peer, found[peer.name], found[_OURS])


def _ready(bench: Bench, peer: Peer, batch: Path) -> Callable[[], Run]:
    """Its check of the batch, after it has learned what it keeps of the reference."""
    python = peer.python(bench.install_peers)
    kept = peer.learn(python, bench.csv(bench.plan.rows, bench.plan.columns, REFERENCE), bench.cpus)
    return partial(peer.check, python, kept, batch, bench.cpus)


def _cold_turns(
    bench: Bench, ready: dict[str, Callable[[], Run]], missing: dict[str, str]
) -> dict[str, list[Run]]:
    """Ours and the classic workflow in each turn; what may take minutes, in the first ones alone."""
    found: dict[str, list[Run]] = {name: [] for name in ready}
    slow = {peer.name for peer in PEERS if peer.folder}
    for turn in range(bench.plan.cold):
        bench.told(f"cold checks, turn {turn + 1} of {bench.plan.cold}")
        for name, thing in ready.items():
            if name in missing or (name in slow and turn >= bench.plan.peer):
                continue
            try:
                found[name].append(thing())
            except Failed as error:
                if name == _OURS:
                    raise
                missing[name] = str(error)  # what others cannot do is no failure of this benchmark
    return found


def _compared(peer: Peer, runs: list[Run], ours: list[Run]) -> Iterator[Row]:
    same_turns = ours[: len(runs)]
    yield _cold_line(peer.name, runs, same_turns)
    if peer.target is not None:
        yield at_least(peer.name, _FASTER, peer.target, seconds(runs) / seconds(same_turns), "×")


def _missing(peer: Peer, why: str) -> Iterator[Row]:
    blank = {"× ours": None, "CPU s": None, "peak RSS, MB": None, "runs": 0}
    yield Line({"who": peer.name, "s, median": why, **blank})
    if peer.target is not None:
        yield Target(peer.name, _FASTER, f"≥ {peer.target} ×", why, None)


def _cold_line(name: str, runs: list[Run], ours: list[Run]) -> Line:
    middle = seconds(runs)
    return Line(
        {
            "who": name,
            "s, median": middle,
            "× ours": middle / seconds(ours),
            "CPU s": cpu(runs),
            "peak RSS, MB": peak(runs),
            "runs": len(runs),
        }
    )


def by_rows(bench: Bench) -> Iterator[Row]:
    """`driftcatcher check` on ever longer CSV files: memory stays, time grows with the rows."""
    columns, lengths = bench.plan.columns, bench.plan.lengths
    files = {n: bench.csv(n, columns) for n in lengths}
    things = {n: partial(bench.project.check, files[n], n, bench.cpus) for n in lengths}
    bench.told(f"checking files of {', '.join(f'{n:,}' for n in lengths)} rows")
    found = in_turns(things, bench.plan.cold)
    for n, runs in found.items():
        size = files[n].stat().st_size / 1e6
        yield Line(
            {
                "rows": n,
                "CSV, MB": size,
                "s, median": seconds(runs),
                "s a million rows": seconds(runs) / n * 1e6,
                "CPU s": cpu(runs),
                "peak RSS, MB": peak(runs),
            }
        )
        if n % bench.plan.rows == 0:
            what = f"peak RSS, CSV of {n:,} × {columns}, {size:,.0f} MB"
            yield at_most("driftcatcher check", what, 300, peak(runs), "MB")
    few, more, most = lengths[-3:]
    took = {n: seconds(found[n]) for n in (few, more, most)}
    # Differences, because the start of the process is in each time and would hide a growth that is not linear.
    bend = (took[most] - took[more]) / (most - more) / ((took[more] - took[few]) / (more - few))
    linear = f"time a further row, up to {most:,} rows / up to {more:,} rows"
    yield at_most("driftcatcher check", linear, 1.2, bend, "×")


def by_columns(bench: Bench) -> Iterator[Row]:
    """PSI and KS on ever wider CSV files, each in a process that has done nothing before."""
    n = bench.plan.wide_rows
    files = {width: (bench.baseline(n, width), bench.csv(n, width)) for width in bench.plan.widths}
    bench.told(f"checking files of {', '.join(map(str, files))} columns")
    things = {
        width: partial(work, "one_check", cpus=bench.cpus, baseline=str(baseline), batch=str(batch))
        for width, (baseline, batch) in files.items()
    }
    for width, answers in in_turns(things, bench.plan.cold).items():
        middle = statistics.median(took for took, _ in answers)
        yield Line(
            {
                "columns": width,
                "rows": n,
                "s, median": middle,
                "s a million cells": middle / width / n * 1e6,
                "peak RSS, MB": peak([run for _, run in answers]),
                "baseline, MB": files[width][0].stat().st_size / 1e6,
            }
        )


def by_cores(bench: Bench) -> Iterator[Row]:
    """The same `driftcatcher check` on one core and on two."""
    n, width = bench.plan.rows, bench.plan.columns
    batch = bench.csv(n, width)
    there = [k for k in (1, 2) if len(cores(k)) == k]
    found = in_turns({k: partial(bench.project.check, batch, n, cores(k)) for k in there}, bench.plan.cold)
    for k, runs in found.items():
        yield Line(
            {
                "cores": k,
                "s, median": seconds(runs),
                "one core / so many": seconds(found[1]) / seconds(runs),
                "CPU s": cpu(runs),
                "peak RSS, MB": peak(runs),
            }
        )


def small(bench: Bench) -> Iterator[Row]:
    """What should cost next to nothing: the status, and a baseline on the disk."""
    bench.project.check(bench.csv(bench.plan.rows, bench.plan.columns), bench.plan.rows, bench.cpus)
    runs = [bench.project.status(bench.cpus) for _ in range(bench.plan.warm)]
    yield at_most("driftcatcher status", "cold", 0.5, seconds(runs), "s")
    features, drawn = bench.plan.noise
    path = bench.folder / "noise.npz"
    size, _ = work("noise", cpus=bench.cpus, features=features, rows=drawn, baseline=str(path))
    yield at_most("baseline", f"{features} features of noise, {drawn:,} rows", 5, size / 1e6, "MB")


def training(bench: Bench) -> Iterator[Row]:
    """Each default trainer beside plain scikit-learn with the same rows and parameters, in one warm process."""
    n, width = bench.plan.training_rows, bench.plan.columns
    reference = bench.csv(n, width, REFERENCE)
    for name in _TRAINERS:
        bench.told(f"training {name}")
        times, _ = work(
            "train", cpus=bench.cpus, trainer=name, reference=str(reference), repetitions=bench.plan.cold
        )
        ours, plain = (statistics.median(times[who]) for who in ("ours", "plain"))
        yield Line(
            {
                "trainer": name,
                "rows": n,
                "features": width,
                "s, median": ours,
                "s, plain scikit-learn": plain,
                "ratio": ours / plain,
            }
        )


Section = Callable[[Bench], Iterator[Row]]

# The order in which they run. Another one is plugged in here: a function like those above, from any module
# (Dask workers beside the local engine, for one).
SECTIONS: dict[str, Section] = {
    "warm": warm,
    "parquet": parquet,
    "cold": cold,
    "rows": by_rows,
    "columns": by_columns,
    "cores": by_cores,
    "small": small,
    "training": training,
}
