"""The training process: one job as JSON on standard input, progress and the result as JSON lines on output."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict

from bot.jobs import RetrainJob, limit_memory, perform, too_little
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
        limit_memory(job.memory_mb)
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


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
