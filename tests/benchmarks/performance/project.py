"""A project as a user has it, trained and checked by the real command line."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.performance.data import LABEL, NEGATIVE
from tests.benchmarks.performance.measuring import Failed, Run, run

# A model that is trained quickly: a check without scoring never asks it.
_CONFIGURATION = f"""\
[[models]]
name = "flows"
label = {{ column = "{LABEL}", negative = ["{NEGATIVE}"] }}
scoring = false

[models.detectors.psi]
[models.detectors.ks]

[models.trainer]
max_iter = 10
"""


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a configuration and a champion; every check finds it as the training has left it."""

    folder: Path

    @classmethod
    def trained(cls, folder: Path, reference: Path, cpus: Sequence[int]) -> Project:
        """A new project in the folder, its first version trained on the file."""
        folder.mkdir()
        (folder / "driftcatcher.toml").write_text(_CONFIGURATION)
        made = cls(folder)
        made._driftcatcher("train", "--base-data", str(reference), cpus=cpus)
        shutil.copy(made._state, folder / "state.trained")
        return made

    def check(self, batch: Path, rows: int, cpus: Sequence[int]) -> Run:
        """`driftcatcher check`, cold.

        Raises:
            Failed: it has not looked at so many rows.
        """
        self._forget()
        done = self._driftcatcher("check", str(batch), cpus=cpus)
        if f"{rows:,} rows" not in done.said:
            raise Failed(f"driftcatcher check did not look at {rows:,} rows; it said: {done.said}")
        return done

    def status(self, cpus: Sequence[int]) -> Run:
        """`driftcatcher status`, cold."""
        return self._driftcatcher("status", cpus=cpus)

    @property
    def _state(self) -> Path:
        return self.folder / ".driftcatcher" / "state.db"

    def _forget(self) -> None:
        """The same bytes are checked once, so earlier checks must not be known."""
        for file in self._state.parent.glob("state.db*"):
            file.unlink()
        shutil.copy(self.folder / "state.trained", self._state)

    def _driftcatcher(self, *arguments: str, cpus: Sequence[int]) -> Run:
        # 1 says that something drifted
        return run([sys.executable, "-m", "bot", *arguments], cpus=cpus, folder=self.folder, fine=(0, 1))
