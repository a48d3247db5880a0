"""Which rows of which files were there before, and which contradict each other. Pure.

A row is known by what is in it, so the ledger needs no store of its own: the files of a version are all it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np  # at run time late: a status reads what is stored of it, and loads no NumPy

SHOWN = 3  # row numbers of a finding


@dataclass(frozen=True, slots=True)
class Finding:
    """Rows of one file that concern those of another, or of the same one.

    Attributes:
        kind: "copy": an earlier file holds the row already, it is dropped. "conflict": a row has the same features
            and another label; both are kept.
        file / other: names of the files; for a copy `other` is the one that held it first.
        rows: how many rows of `file`.
        places / other_places: the first few, counted from 1 after the header, each with its counterpart.
    """

    kind: Literal["copy", "conflict"]
    file: str
    other: str
    rows: int
    places: tuple[int, ...]
    other_places: tuple[int, ...]

    def __str__(self) -> str:
        """One sentence."""
        pairs = ", ".join(f"{a:,} and {b:,}" for a, b in zip(self.places, self.other_places, strict=True))
        more = ", …" if self.rows > len(self.places) else ""
        where = "in itself" if self.file == self.other else f"in {self.other}"
        what = {
            "copy": f"are {where} already and were dropped",
            "conflict": f"have the same features as a row {where} with another label",
        }[self.kind]
        return f"{self.file}: {self.rows:,} row{'s' * (self.rows != 1)} {what} (rows {pairs}{more})"


def findings(
    names: Sequence[str],
    origin: np.ndarray,
    identities: np.ndarray,
    exact: np.ndarray,
    labels: np.ndarray,
    copies: np.ndarray,
    conflicts: np.ndarray,
) -> tuple[Finding, ...]:
    """Both kinds, those with most rows first.

    Args:
        names: of the files.
        origin: number of the file each row is in, ascending, shape (rows,).
        identities: hash of the whole row;  exact: of its features;  labels: positions.
        copies / conflicts: masks of the rows that were dropped, and of those that contradict another.
    """
    import numpy as np

    found: list[Finding] = []
    if copies.any():
        at = np.flatnonzero(copies)
        found += _paired("copy", names, origin, at, _first(identities)[at])
    if conflicts.any():
        at = np.flatnonzero(conflicts)
        other = np.empty(len(at), dtype=np.int64)
        for label in np.unique(labels[at]):
            mine = labels[at] == label
            against = np.flatnonzero(labels != label)
            keys, first = np.unique(exact[against], return_index=True)
            other[mine] = against[first[np.searchsorted(keys, exact[at[mine]])]]
        found += _paired("conflict", names, origin, at, other)
    return tuple(sorted(found, key=lambda one: -one.rows))


def _first(keys: np.ndarray) -> np.ndarray:
    """For each row the place of the first with the same key."""
    import numpy as np

    _, first, row_of = np.unique(keys, return_index=True, return_inverse=True)
    return np.asarray(first[row_of])


def _paired(
    kind: Literal["copy", "conflict"],
    names: Sequence[str],
    origin: np.ndarray,
    at: np.ndarray,
    other: np.ndarray,
) -> list[Finding]:
    """One finding for each pair of files."""
    import numpy as np

    starts = np.searchsorted(origin, np.arange(len(names)))
    found = []
    for mine, theirs in sorted(set(zip(origin[at].tolist(), origin[other].tolist(), strict=True))):
        both = (origin[at] == mine) & (origin[other] == theirs)
        places, others = at[both][:SHOWN] - starts[mine] + 1, other[both][:SHOWN] - starts[theirs] + 1
        found.append(
            Finding(
                kind,
                names[mine],
                names[theirs],
                int(both.sum()),
                tuple(places.tolist()),
                tuple(others.tolist()),
            )
        )
    return found
