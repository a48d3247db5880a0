"""The command line of the performance benchmark: `python -m tests.benchmarks.performance`; see --help."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.performance.bench import LONG, SHORT, Bench
from tests.benchmarks.performance.measuring import ROOT, Failed, cores
from tests.benchmarks.performance.sections import SECTIONS
from tests.benchmarks.performance.table import Row, Target, markdown

_FOLDER = ROOT / ".cache" / "performance"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 where a section failed. A target that is not met is a finding and no failure."""
    asked = _arguments().parse_args(arguments)
    machine = _machine()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
        bench = Bench(LONG if asked.long else SHORT, Path(folder), asked.peers, _told)
        found, failed = measure(bench, asked.only or list(SECTIONS))
    text = markdown(found, "\n".join([machine, *failed]))
    print(text)
    if asked.out:
        Path(asked.out).write_text(text)
        Path(asked.out).with_suffix(".json").write_text(json.dumps(_plain(found), indent=1))
    return 1 if failed else 0


def measure(bench: Bench, names: Sequence[str]) -> tuple[dict[str, list[Row]], list[str]]:
    """Rows by section, and one sentence for each section that failed: the others have their say."""
    found: dict[str, list[Row]] = {name: [] for name in names}
    failed = []
    for name in names:
        bench.told(f"section {name}")
        try:
            for row in SECTIONS[name](bench):
                found[name].append(row)  # one by one: what was measured before a failure stays
        except Failed as error:
            failed.append(f"Section {name} failed: {error}")
    return found, failed


def _machine() -> str:
    """What absolute figures depend on; the load says whether ratios can be trusted."""
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return (
        f"{len(cores(2)) or os.cpu_count()} of {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}{load}; medians, in turns."
    )


def _plain(found: dict[str, list[Row]]) -> dict[str, list[dict[str, object]]]:
    return {
        name: [asdict(row) if isinstance(row, Target) else dict(row.cells) for row in rows]
        for name, rows in found.items()
    }


def _told(text: str) -> None:
    print(text, file=sys.stderr)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.performance", description=__doc__)
    parser.add_argument(
        "--long", action="store_true", help="a CSV of 7.5 GB, 2,000 columns, more repetitions"
    )
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="these sections alone")
    parser.add_argument(
        "--peers",
        action="store_true",
        help="install the other monitors under .cache/peers where they are not",
    )
    parser.add_argument("--out", help="Markdown file; the same as JSON goes beside it")
    return parser
