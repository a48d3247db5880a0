"""How things are timed: each in a process of its own, in turns, and by the median of an odd number of runs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[3]
_LAUNCH = Path(__file__).with_name("launch.py")
K = TypeVar("K")
T = TypeVar("T")


class Failed(Exception):
    """What was to be measured did not run; the message says why."""


@dataclass(frozen=True, slots=True)
class Run:
    """One process from start to end.

    Attributes:
        seconds: wall time.
        cpu_seconds: processor time on all cores, which the load of the machine moves less.
        peak_mb: most memory it had at a time (peak RSS), in 10^6 bytes.
        said: its standard output.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    said: str


def cores(wanted: int) -> tuple[int, ...]:
    """So many of the cores that may be used here, or all where there are not so many; none where none can be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    return tuple(sorted(os.sched_getaffinity(0))[:wanted])


def run(
    command: Sequence[str], *, cpus: Sequence[int], folder: Path = ROOT, fine: Sequence[int] = (0,)
) -> Run:
    """A command in a process of its own, from this repository's code.

    Args:
        cpus: the cores that it may use; all where none is named.
        folder: where it runs.
        fine: exit statuses that are none of a failure.

    Raises:
        Failed: it ended otherwise.
    """
    with tempfile.TemporaryDirectory() as made:
        result = Path(made) / "result.json"
        # as a user has it, compiled modules are kept: without, our own are compiled anew by each process
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        launcher = [sys.executable, "-I", "-S", str(_LAUNCH), str(result), ",".join(map(str, cpus))]
        done = subprocess.run(
            [*launcher, *command],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in fine:
            said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise Failed(f"{' '.join(command[:4])} ended with {done.returncode}: {said[-1]}")
        measured = json.loads(result.read_text())
    return Run(measured["seconds"], measured["cpu"], measured["peak"] / 1e6, done.stdout)


def work(name: str, *, cpus: Sequence[int], **task: Any) -> tuple[Any, Run]:
    """What a function of `workers` answers in a process of its own, and what that process took."""
    command = [sys.executable, "-m", "tests.benchmarks.performance.workers", name, json.dumps(task)]
    done = run(command, cpus=cpus)
    return json.loads(done.said.splitlines()[-1]), done


def in_turns(things: Mapping[K, Callable[[], T]], repetitions: int) -> dict[K, list[T]]:
    """Each thing so many times, A B C A B C: what the machine does besides falls on all alike."""
    found: dict[K, list[T]] = {name: [] for name in things}
    for _ in range(repetitions):
        for name, thing in things.items():
            found[name].append(thing())
    return found


def seconds(runs: Sequence[Run]) -> float:
    """The median."""
    return statistics.median(run.seconds for run in runs)


def cpu(runs: Sequence[Run]) -> float:
    """The median of the processor time."""
    return statistics.median(run.cpu_seconds for run in runs)


def peak(runs: Sequence[Run]) -> float:
    """The largest, in MB: a limit of memory must hold each time."""
    return max(run.peak_mb for run in runs)
