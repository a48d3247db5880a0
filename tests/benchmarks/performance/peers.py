"""Other monitors that a cold check is compared with; those of the quality benchmark share its environments."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.performance.measuring import Run, run
from tests.benchmarks.quality.environments import Unavailable, install, installed
from tests.benchmarks.quality.peers import PEERS as JUDGES

_PINS = {judge.folder: judge.pins for judge in JUDGES}


@dataclass(frozen=True, slots=True)
class Peer:
    """Another way to the same end.

    Attributes:
        name: as it stands in the table.
        script: beside this file; `script check REFERENCE BATCH` is what is timed.
        folder / pins: its environment; ours where there is none.
        learns: it keeps a summary of the reference (`script learn REFERENCE KEPT`) and needs no more afterwards.
        target: a check is at least so many times as fast; None where nothing is promised.
    """

    name: str
    script: str
    folder: str = ""
    pins: tuple[str, ...] = ()
    learns: bool = False
    target: float | None = None

    def python(self, make: bool) -> Path:
        """The interpreter that it runs in.

        Args:
            make: install it where it is not there.

        Raises:
            Unavailable: it is not there, or cannot be installed.
        """
        if not self.folder:
            return Path(sys.executable)
        there = install(self.folder, self.pins) if make else installed(self.folder, self.pins)
        if there is None:
            raise Unavailable("not installed")
        return there

    def learn(self, python: Path, reference: Path, cpus: Sequence[int]) -> Path:
        """What `check` needs of the reference."""
        if not self.learns:
            return reference
        kept = reference.with_name(f"{Path(self.script).stem}.kept")
        self._run(python, "learn", reference, kept, cpus)
        return kept

    def check(self, python: Path, kept: Path, batch: Path, cpus: Sequence[int]) -> Run:
        """Its check, cold."""
        return self._run(python, "check", kept, batch, cpus)

    def _run(self, python: Path, verb: str, first: Path, second: Path, cpus: Sequence[int]) -> Run:
        script = Path(__file__).with_name(self.script)
        # away from this repository, whose packages another environment must not find
        return run([str(python), "-I", str(script), verb, str(first), str(second)], cpus=cpus)


PEERS = (
    Peer("classic workflow, PSI", "classic.py", learns=True, target=2),
    Peer("Evidently 0.7.23, PSI report", "peer_evidently.py", "evidently", _PINS["evidently"], target=40),
    Peer("frouros 0.9.0, PSI", "peer_frouros.py", "frouros", ("frouros==0.9.0", "pandas==2.3.3")),
    Peer("NannyML 0.13.1, Jensen-Shannon", "peer_nannyml.py", "nannyml", _PINS["nannyml"]),
    Peer("whylogs 1.6.4, KS", "peer_whylogs.py", "whylogs", ("whylogs[viz]==1.6.4", "pandas==2.3.3"), True),
)
