"""The training process: one job as JSON on standard input, progress and the result as JSON lines on output."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
import threading
from dataclasses import asdict

from bot.jobs import RetrainJob, perform, too_little
from bot.plugins import PluginError
from detectors.errors import DataError
from trainers.base import TrainingError

NICE = 10  # the bot, the checks and Slack come first, on however many cores a trainer works


def main() -> int:
    """Read the job, do it, print the result. Ends at once when standard input closes: the bot is gone."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not mix with our JSON

    def say(**message: object) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    job = RetrainJob.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(NICE)
    if job.memory_mb is not None:
        _limit_memory(job.memory_mb)
    try:
        outcome = perform(job, lambda step: say(progress=step))
    except MemoryError:
        say(error=too_little(job.memory_mb))
        return 1
    except (TrainingError, DataError, PluginError) as error:
        out_of_memory = isinstance(error.__cause__, MemoryError)
        say(error=too_little(job.memory_mb) if out_of_memory else str(error))
        return 1
    say(outcome=asdict(outcome))
    return 0


def _limit_memory(megabytes: int) -> None:
    """So much data beyond what Python and the libraries of every training have taken; see setrlimit(2)."""
    for library in ("mlflow.sklearn", "sklearn.ensemble", "skops.io"):
        importlib.import_module(library)
    taken = 0
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        taken = int(statm.read().split()[5]) * resource.getpagesize()
    limit = taken + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
