"""Tables in the shape of the CIC-IDS2017 Friday file, drawn from a seed, as CSV or Parquet.

Durations, counts, sizes, rates, flags, constant and zero-inflated columns in about the mixture of that file, which has
78 features and a label; wider tables repeat it. Tables of other seeds are drawn from the same distribution, so a check
of one against the other finds a calm batch: the usual case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

ROWS, COLUMNS = 225_745, 78  # of that file
LABEL, NEGATIVE = "Label", "BENIGN"
_BLOCK = 50_000  # rows drawn at a time

_Draw = Callable[[np.random.Generator, int], np.ndarray]


def _duration(random: np.random.Generator, rows: int) -> np.ndarray:
    return random.lognormal(10, 3, rows).clip(1, 1.2e8).astype(np.int64)


def _inflated(random: np.random.Generator, rows: int) -> np.ndarray:
    return np.where(random.random(rows) < 0.7, 0.0, np.round(random.lognormal(4, 2, rows), 6))


_DRAWS: dict[str, _Draw] = {
    "duration": _duration,
    "count": lambda random, rows: random.geometric(0.3, rows),
    "size": lambda random, rows: random.choice([0, 6, 20, 26, 32, 54, 66, 1460, 11595, 11607], rows),
    "inflated": _inflated,
    "rate": lambda random, rows: np.round(random.lognormal(3, 2, rows), 6),
    "flag": lambda random, rows: (random.random(rows) < 0.3).astype(np.int64),
    "rare": lambda random, rows: (random.random(rows) < 0.002).astype(np.int64),
    "constant": lambda random, rows: np.zeros(rows, dtype=np.int64),
}
# Thirteen kinds, six times over, are the 78 columns and about 330 bytes a row.
_MIXTURE = (
    "duration", "count", "size", "inflated", "flag", "rate", "count", "constant", "size", "inflated", "rare",
    "duration", "rate",
)  # fmt: skip


def kinds(columns: int) -> dict[str, str]:
    """Column -> what it holds, in order."""
    mixed = [_MIXTURE[i % len(_MIXTURE)] for i in range(columns)]
    return {f"{kind}_{i}": kind for i, kind in enumerate(mixed)}


def blocks(rows: int, columns: int, seed: int) -> Iterator[pa.Table]:
    """The table in blocks; the same arguments give the same rows."""
    for number, start in enumerate(range(0, rows, _BLOCK)):
        random = np.random.default_rng([seed, columns, number])
        yield _block(random, min(_BLOCK, rows - start), columns)


def _block(random: np.random.Generator, rows: int, columns: int) -> pa.Table:
    drawn = {name: _DRAWS[kind](random, rows) for name, kind in kinds(columns).items()}
    # Longer flows with more packets are attacks, for the most part: something that a model can learn.
    leaning = np.log(drawn["duration_0"]) - 10 + drawn["count_1"] - 3 + random.normal(size=rows)
    return pa.table({**drawn, LABEL: np.where(leaning > 0, "DDoS", NEGATIVE)})


def write_csv(path: Path, rows: int, columns: int, seed: int) -> None:
    """Without quotes, as the original is."""
    plain = pacsv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as file:
        file.write((",".join([*kinds(columns), LABEL]) + "\n").encode())
        for block in blocks(rows, columns, seed):
            pacsv.write_csv(block, file, plain)


def write_parquet(path: Path, rows: int, columns: int, seed: int) -> None:
    """As pyarrow writes a table when nothing is said."""
    pq.write_table(pa.concat_tables(blocks(rows, columns, seed)), path)
