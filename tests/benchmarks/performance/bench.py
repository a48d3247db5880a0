"""What sections work with: sizes and repetitions, files that are made when first asked for, a trained project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.benchmarks.performance import data
from tests.benchmarks.performance.measuring import cores, work
from tests.benchmarks.performance.project import Project

REFERENCE, BATCH = 1, 2  # seeds: two draws of one distribution


@dataclass(frozen=True, slots=True)
class Plan:
    """How large and how often. Repetitions are odd, so that the median is one of the runs.

    Attributes:
        rows / columns: of the table that most is measured on.
        warm / cold / peer / large: repetitions in one process, of processes, of other monitors, of long files.
        lengths: rows of the CSV files that `driftcatcher check` is given, three at least.
        widths / wide_rows: features of the tables that are checked by width, and their rows.
        training_rows: rows that the trainers fit on.
        noise: features and rows of the baseline that compresses worst.
    """

    rows: int = data.ROWS
    columns: int = data.COLUMNS
    warm: int = 5
    cold: int = 3
    peer: int = 1
    lengths: tuple[int, ...] = (10_000, 100_000, data.ROWS, 1_000_000, 10 * data.ROWS)
    widths: tuple[int, ...] = (10, 100, 500)
    wide_rows: int = 20_000
    training_rows: int = 20_000
    noise: tuple[int, int] = (500, 20_000)


SHORT = Plan()
LONG = Plan(
    warm=11,
    cold=5,
    peer=3,
    lengths=(*SHORT.lengths, 100 * data.ROWS),  # 22.6 million rows, 7.5 GB
    widths=(10, 100, 500, 2_000),
    training_rows=data.ROWS,
    noise=(500, 100_000),
)
TINY = Plan(
    rows=2_000,
    columns=13,
    warm=1,
    cold=1,
    lengths=(1_000, 2_000, 4_000),
    widths=(5,),
    wide_rows=500,
    training_rows=500,
    noise=(5, 500),
)


@dataclass
class Bench:
    """One run of the benchmark.

    Attributes:
        plan: sizes and repetitions.
        folder: where files are made; whoever made it removes it.
        install_peers: other monitors are installed where they are not there yet.
        told: is told each step.
    """

    plan: Plan
    folder: Path
    install_peers: bool = False
    told: Callable[[str], None] = print

    @property
    def cpus(self) -> tuple[int, ...]:
        """Two cores, as the targets say, on larger machines too."""
        return cores(2)

    def csv(self, rows: int, columns: int, seed: int = BATCH) -> Path:
        """A file of that size, made once."""
        return self._made(f"{rows}x{columns}-{seed}.csv", data.write_csv, rows, columns, seed)

    def parquet(self, rows: int, columns: int) -> Path:
        """The same table as Parquet."""
        return self._made(f"{rows}x{columns}-{BATCH}.parquet", data.write_parquet, rows, columns, BATCH)

    def baseline(self, rows: int, columns: int) -> Path:
        """The baseline of a file of that size, made once."""
        path = self.folder / f"{rows}x{columns}.npz"
        if not path.exists():
            reference = self.csv(rows, columns, REFERENCE)
            self.told(f"learning the baseline of {rows:,} x {columns}")
            work("fit", cpus=self.cpus, reference=str(reference), baseline=str(path))
        return path

    @cached_property
    def project(self) -> Project:
        """A project with a trained model."""
        reference = self.csv(self.plan.rows, self.plan.columns, REFERENCE)
        self.told("training the project")
        return Project.trained(self.folder / "project", reference, self.cpus)

    def _made(self, name: str, write: Callable[[Path, int, int, int], None], *size: int) -> Path:
        path = self.folder / name
        if not path.exists():
            self.told(f"writing {name}")
            unfinished = path.with_name(f"{name}.part")
            write(unfinished, *size)
            unfinished.replace(path)
        return path
