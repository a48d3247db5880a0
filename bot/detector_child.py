"""The process of a detector that is not our own: requests as pickles on standard input, answers as JSON lines.

Started by `bot.isolation`. It ends when its standard input closes.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import sys
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np  # noqa: F401 - what every detector needs is loaded before its memory is counted


def main() -> None:
    """Make the detector of the first request, then answer one call after the other."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a plug-in prints must not mix with our answers
    order = _read(requests)
    if order is None:
        return
    sys.path[:] = order["path"]
    from bot.plugins import load_detector

    _limit_memory(order["memory_mb"])
    detector: Any = None
    while (request := _read(requests)) is not None:
        try:
            if detector is None:
                detector = load_detector(order["use"], order["params"])
            method, arguments = request
            found = getattr(detector, method)(*arguments)
            answer = {"answer": found if isinstance(found, float | int | None) else asdict(found)}
            line = json.dumps(answer)
        except MemoryError:
            line = json.dumps({"error": "it needs more memory than it may have", "memory": True})
        except Exception as error:  # noqa: BLE001 - a third party's code: what it raises is reported
            line = json.dumps({"error": f"{type(error).__name__}: {error}"})
        answers.write(line + "\n")
        answers.flush()


def _read(stream: BinaryIO) -> Any:
    """The next request; None at the end. Only our own parent process writes to it."""
    try:
        return pickle.load(stream)  # noqa: S301
    except EOFError:
        return None


def _limit_memory(megabytes: int) -> None:
    """So much address space beyond what Python and NumPy have taken."""
    pages = 0
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
            pages = int(statm.read().split()[0])
    except OSError:  # no Linux: then the limit counts from nothing
        pages = (512 << 20) // resource.getpagesize()
    limit = pages * resource.getpagesize() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
