"""Which side a labelled row is on, for ever: decided by its feature values and nothing else.

A row's side must not depend on the file it came in, its place there, the order of the columns, or on
whether 6 was written as 6 or 6.0. Otherwise a row that once measured a model could later train one, and the
measure would lie.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from detectors.columns import series_categories

if TYPE_CHECKING:
    import pandas as pd

    from trainers.base import Schema

HOLDOUT_SHARE = 0.30
_MISSING = "\x00"  # no CSV cell can hold it, so no text is taken for a missing one


def row_keys(features: pd.DataFrame, schema: Schema) -> np.ndarray:
    """One 64-bit key a row, shape (rows,), uint64: the first 8 bytes of BLAKE2b over the row's features.

    Numbers count at single precision, -0 as 0, ±inf as missing: whatever noise a change of type or a
    rewritten file brings, the key stays. (That near-equal rows share a key only puts them on the same side.)
    """
    numbers = _numbers(features, sorted(schema.numeric + schema.coded))
    texts = [series_categories(features[name]) for name in sorted(schema.text)]
    keys = np.empty(len(features), dtype="<u8")
    for row in range(len(features)):
        digest = hashlib.blake2b(numbers[row].tobytes(), digest_size=8)
        for column in texts:
            cell = column[row]
            digest.update(b"\x1f" + _bytes(_MISSING if cell is None else cell))
        keys[row] = int.from_bytes(digest.digest(), "little")
    return keys


def side_keys(features: pd.DataFrame, schema: Schema, groups: np.ndarray | None = None) -> np.ndarray:
    """What decides a row's side, shape (rows,), uint64: its group where it has one, else its features.

    Args:
        groups: the group of each row (a host, a session, a customer) as `series_categories` gives it, None where
            a row has none. Rows of one group are then on one side, for ever.
    """
    return group_keys(row_keys(features, schema), groups)


def group_keys(keys: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """The keys of `side_keys`, from those of `row_keys`."""
    if groups is None:
        return keys
    keys = keys.copy()
    own = [at for at, group in enumerate(groups) if group is not None]
    names, group_of = np.unique(groups[own].astype(str), return_inverse=True)
    hashed = [hashlib.blake2b(b"\x1d" + _bytes(name), digest_size=8).digest() for name in names]
    keys[own] = np.array([int.from_bytes(one, "little") for one in hashed], dtype="<u8")[group_of]
    return keys


def _bytes(text: str) -> bytes:
    return str(text).encode("utf-8", "surrogatepass")


def _numbers(features: pd.DataFrame, columns: list[str]) -> np.ndarray:
    values = features[columns].to_numpy(dtype="float64", copy=True)
    with np.errstate(over="ignore"):
        single = values.astype("<f4")
    single[~np.isfinite(single)] = np.nan  # one bit pattern for every missing cell
    return np.ascontiguousarray(single + np.float32(0.0))  # -0.0 + 0.0 is 0.0


def on_holdout(keys: np.ndarray) -> np.ndarray:
    """True where the row belongs to the hold-out side, shape (rows,): the lowest 30 % of the key range."""
    return keys < np.uint64(HOLDOUT_SHARE * 2**64)


def kept_sides(held: np.ndarray, rows: np.ndarray, labels: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """The sides on which rows stay that an earlier file held, whatever group a later one names; shape (rows,).

    A row that is given again with its group blank or renamed would else change sides. It stays where the earlier
    rows with its features and label are, or, with a label that is new, where those with its features are. Where they
    are on both sides already (few values in all, and several groups) its own group decides, as for any row.

    Args:
        held: the side that each row's own group gives it, true for the hold-out.
        rows: their `row_keys`;  labels: 0 or 1, or positions among several classes.
        origin: number of the file each row is in, ascending.
    """
    held = held.copy()
    _, known = np.unique(rows, return_inverse=True)
    kinds = max(2, int(labels.max(initial=0)) + 1)
    codes = (known, kinds * known + labels.astype(np.int64))  # the label last, as it says more
    size = kinds * (int(known.max(initial=0)) + 1)
    seen = [np.zeros(size, dtype=np.int64) for _ in codes]
    measured = [np.zeros(size, dtype=np.int64) for _ in codes]
    starts = np.flatnonzero(np.diff(origin, prepend=-1))
    for mine in np.split(np.arange(len(origin)), starts[1:]):
        for code, all_of, held_of in zip(codes, seen, measured, strict=True):
            before, there = all_of[code[mine]], held_of[code[mine]]
            one_side = (before > 0) & ((there == 0) | (there == before))
            held[mine[one_side]] = there[one_side] > 0
        for code, all_of, held_of in zip(codes, seen, measured, strict=True):
            np.add.at(all_of, code[mine], 1)
            np.add.at(held_of, code[mine], held[mine])
    return held
