"""A second process on a state file: evaluates each line of stdin as an expression over `store`, prints JSON.

Run as `python worker.py STATE_FILE`; the answer to a line is {"value": ...} or {"error": "Type: message"}.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


def main(path: str) -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    # sqlite-utils loads it where it finds it, and needs it for nothing here: workers start at once
    sys.modules["pandas"] = None  # type: ignore[assignment]

    from state.lock import OwnerLock
    from state.store import Store
    from trainers.base import DataFile

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer, default=str), flush=True)

    known = {
        "path": path,
        "Store": Store,
        "OwnerLock": OwnerLock,
        "DataFile": DataFile,
        "timedelta": timedelta,
        "count": itertools.count,
        "say": say,
        "die": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "kept": [],
    }
    say({"value": "ready"})
    for line in sys.stdin:
        known["now"] = datetime.now(UTC)
        try:
            say({"value": eval(line, known)})
        except Exception as error:
            say({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main(sys.argv[1])
