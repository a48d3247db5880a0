"""The label column of a file as 0 and 1, or as positions among several classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from detectors.cells import some_names
from detectors.columns import series_categories
from trainers.base import LabelSpec, ModelVersion, TrainingError, label_word

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5  # examples in a message


def read_labels(frame: pd.DataFrame, spec: LabelSpec, file: str) -> np.ndarray:
    """The labels of a table, shape (rows,), int64: 0 and 1, or positions in the specification's classes.

    Values are compared without regard to case and surrounding blanks, 1 and 1.0 are the same. With neither
    classes nor positive or negative values in the specification, the labels have to be 0 and 1, or false and true.

    Raises:
        TrainingError: no such column, cells without a label, values that are neither positive nor negative, or
            none of the classes.
    """
    if spec.column not in frame.columns:
        raise TrainingError(
            f'{file} has no label column "{spec.column}"; it has {some_names(list(frame.columns))}: '
            "add the column or correct the label column in the configuration"
        )
    words = series_categories(frame[spec.column])
    missing = np.flatnonzero([word is None for word in words])
    if len(missing):
        raise TrainingError(
            f'{file}: column "{spec.column}" holds no readable label in {_rows(missing)}: '
            "label these rows or take them out"
        )
    values, codes = np.unique(words.astype(str), return_inverse=True)
    places = {label_word(name): place for place, name in enumerate(spec.classes)}
    meaning = [
        places.get(str(value).casefold()) if spec.classes else _meaning(str(value), spec) for value in values
    ]
    unknown = [i for i, known in enumerate(meaning) if known is None]
    if unknown:
        found = ", ".join(f'"{values[i]}" in {_rows(np.flatnonzero(codes == i))}' for i in unknown[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN} more values" if len(unknown) > _SHOWN else ""
        raise TrainingError(f'{file}: column "{spec.column}" holds labels {_unknown(spec, found + more)}')
    return np.array([int(known or 0) for known in meaning], dtype=np.int64)[codes]


def _unknown(spec: LabelSpec, found: str) -> str:
    """What is wrong with labels that nobody has named, and what to do."""
    if spec.classes:
        return (
            f"that are none of the classes: {found}; the classes are {_quoted(spec.classes)}: correct the file, or "
            "add the class to `classes` under [models.label]"
        )
    return (
        f"that are neither positive nor negative: {found}; positive are {_listed(spec)[0]}, negative are "
        f"{_listed(spec)[1]}: correct the file or the configuration"
    )


def positions(known: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Where each of the `known` classes stands among `classes`, int64, shape (known,), -1 where it does not.

    Classes are told by name: one that was added anywhere moves the others, and changes none of them.
    """
    places = {label_word(name): place for place, name in enumerate(classes)}
    return np.array([places.get(label_word(name), -1) for name in known], dtype=np.int64)


def known_positions(champion: ModelVersion, spec: LabelSpec) -> np.ndarray | None:
    """Where the classes that a version knows stand among those of the specification; None for two classes.

    Raises:
        TrainingError: it tells two classes apart and the specification several, or the other way round, or it knows
            a class that is named no more.
    """
    who = f"{champion.model} version {champion.version}"
    anew = "or start anew with `driftcatcher train`"
    if bool(champion.classes) != bool(spec.classes):
        one, other = ("several classes", "two") if champion.classes else ("two classes", "several")
        raise TrainingError(
            f"{who} tells {one} apart, the configuration now names {other}: such models cannot be compared. Put "
            f"[models.label] back, {anew}"
        )
    if not spec.classes:
        return None
    places = positions(champion.classes, spec.classes)
    if gone := [name for name, place in zip(champion.classes, places, strict=True) if place < 0]:
        raise TrainingError(
            f"{who} knows {some_names(gone)}, which `classes` under [models.label] does not name any more, and rows of "
            f"it are in its data: put it back, {anew}"
        )
    return places


def _meaning(value: str, spec: LabelSpec) -> bool | None:
    """True for class 1, False for class 0, None for a value that is neither."""
    positive, negative = _expected(spec)
    word = value.casefold()
    if word in positive:
        return True
    if word in negative:
        return False
    if positive and negative:
        return None
    return not positive  # only one side is named, so the other is everything else


def _expected(spec: LabelSpec) -> tuple[list[str], list[str]]:
    if not spec.positive and not spec.negative:
        return ["1", "true"], ["0", "false"]
    return [label_word(v) for v in spec.positive], [label_word(v) for v in spec.negative]


def _listed(spec: LabelSpec) -> tuple[str, str]:
    positive, negative = spec.positive, spec.negative
    if not positive and not negative:
        positive, negative = ("1", "true"), ("0", "false")
    return _quoted(positive), _quoted(negative)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _rows(positions: np.ndarray) -> str:
    """The rows as people count them, from 1 after the header."""
    some = ", ".join(str(p + 1) for p in positions[:_SHOWN])
    if len(positions) == 1:
        return f"row {some} (counted after the header)"
    dots = ", …" if len(positions) > _SHOWN else ""
    return f"{len(positions):,} rows (counted after the header: {some}{dots})"
