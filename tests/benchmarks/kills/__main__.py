"""kill -9 of the bot, the trainer and the MLflow server along a retrain: `python -m tests.benchmarks.kills [--long]`.

Each case has a real server, a bot in a process of its own, and an embedded Slack. The short form plays four cases, the
long one all points with all who live there.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

SHORT = (("read, fitting", "bot"), ("version made", "trainer"), ("version made", "server"),
         ("alias champion moved, not kept yet", "server"))  # fmt: skip


def main() -> int:
    """Print the table; 1 where something does not agree."""
    from tests.benchmarks.kills.case import play
    from tests.benchmarks.kills.house import Made
    from tests.benchmarks.kills.points import POINTS

    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.benchmarks.kills")
    parser.add_argument("--long", action="store_true", help="every point with everybody who lives there")
    parser.add_argument(
        "--retries", type=int, default=3, help="how often MLflow's client asks again (ours: 3)"
    )
    parser.add_argument("--from", dest="start", type=int, default=1, help="the first point, from 1")
    parser.add_argument("--to", dest="end", type=int, default=len(POINTS), help="the last point")
    asked = parser.parse_args()
    bad = 0
    print("| point | killed | retrain | champion | state and registry | s |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "made"
        template.mkdir()
        made = Made.make(template)
        for number, point in enumerate(POINTS, 1):
            for victim in point.victims:
                if not (asked.start <= number <= asked.end and (asked.long or (point.name, victim) in SHORT)):
                    continue
                began = time.monotonic()
                try:
                    ended = play(made, Path(folder) / f"{number}-{victim}", point, victim, asked.retries)
                    told = "; ".join(ended.wrong) or "agree"
                    row = f"{ended.state} | {ended.champion} | {told}"
                    bad += bool(ended.wrong)
                except TimeoutError as error:
                    row, bad = f"? | ? | {error}", bad + 1
                seconds = time.monotonic() - began
                print(f"| {number}. {point.name} | {victim} | {row} | {seconds:.0f} |", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
