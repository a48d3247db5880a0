"""Labelled samples that come back: each row is held against what was given out; with one fault nothing is used."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from bot.config import ModelSection
from detectors.cells import category, number, some_names, survives_as_number
from detectors.columns import series_categories
from detectors.errors import DataError
from detectors.location import Location, write_whole
from detectors.objects import ObjectPath
from detectors.source import header_of, read_frame
from state.records import Sample
from state.store import Store
from trainers.base import ROW_ID, SAMPLE_COLUMNS, SAMPLE_ID, WEIGHT, LabelSpec, TrainingError

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5  # faults in a message
_CELLS = 3  # changed cells of a row that are named
_ALIKE = 0.8  # from which a label that nobody has named is taken for a slip of one that is named
_LEFT_OUT = "and were left out"  # how `read_frame` ends its note on rows of the wrong length


class SampleRefused(DataError):
    """A sample that came back with faults: nothing of it is used.

    Attributes:
        faults: all of them, a sentence each, those of the whole file first and then by row. Rows are counted from 1
            after the header.
    """

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        super().__init__("sample", message)
        self.faults = tuple(faults)

    def __reduce__(self) -> tuple[type[SampleRefused], tuple[str, tuple[str, ...]]]:  # type: ignore[override]
        return type(self), (self.message, self.faults)


@dataclass(frozen=True, slots=True, eq=False)
class Returned:
    """A sample that came back without a fault.

    Attributes:
        sample: what was given out.
        frame: the file as it was read, shape (rows, columns).
        weight: of each row, as it was given out, float64, shape (rows,).
    """

    sample: Sample
    frame: pd.DataFrame
    weight: np.ndarray

    @property
    def missing(self) -> int:
        """Rows that were given out and are not in the file."""
        return self.sample.rows - len(self.frame)


def is_sample(path: Location) -> bool:
    """Whether a file says of itself that its rows were given out to be labelled."""
    return ROW_ID in header_of(path)


def read_returned(store: Store, model: ModelSection, path: Location) -> Returned:
    """Read a labelled sample and hold every row against what was given out: id, features and label.

    Rows may be left out, and columns and rows may be in another order.

    Raises:
        SampleRefused: with every fault.
        DataError: the file cannot be read.
    """
    frame = read_frame(path, categorical=header_of(path))
    sample, given = _given(store, model, path, frame)
    spec = model.label_spec()
    faults = [*_of_the_file(frame, given, spec, model)]
    if not faults:
        ids = series_categories(frame[ROW_ID])
        at = {key: i for i, key in enumerate(given[ROW_ID].tolist())}
        by_row = [
            *_of_the_ids(ids, at, series_categories(frame[SAMPLE_ID]), sample.name),
            *_of_the_labels(series_categories(frame[spec.column]), spec),
            *_of_the_cells(frame, given, ids, at, spec),
        ]
        faults = [f"row {row + 1}: {text}" for row, text in sorted(by_row, key=lambda fault: fault[0])]
    if faults:
        raise SampleRefused(_summary(path, faults), faults)
    places = [at[key] for key in ids.tolist()]
    return Returned(sample, frame, given[WEIGHT].astype(float).to_numpy()[places])


def accept(model: ModelSection, path: Location, *, force: bool = False) -> Location:
    """Copy a file whole into the folder of labelled files; returns where it is then.

    Raises:
        SampleRefused: the folder is none, or has another file of that name.
    """
    where = model.labeled
    if not isinstance(where, ObjectPath) and not where.is_dir():
        raise SampleRefused(f"{where} is no folder: put the file where its labelled files belong yourself")
    there, content = where / path.name, path.read_bytes()
    if there.exists() and not force and there.read_bytes() != content:
        raise SampleRefused(f"{there} is another file of that name: rename this one, or --force")
    if not there.exists() or force:
        write_whole(there, content)
    return there


def _given(
    store: Store, model: ModelSection, path: Location, frame: pd.DataFrame
) -> tuple[Sample, pd.DataFrame]:
    """What was given out under the name that most rows bear."""
    import pandas as pd

    if SAMPLE_ID not in frame.columns:
        raise SampleRefused(f"{path} lacks the column {SAMPLE_ID} that it was given out with: put it back")
    names = Counter(word for word in series_categories(frame[SAMPLE_ID]) if word is not None)
    name = names.most_common(1)[0][0] if names else ""
    sample, file = store.sample(name), store.sample_file(name)
    if sample is None or file is None:
        raise SampleRefused(
            f'{path}: nothing was given out here as sample "{name}", so its rows cannot be held against anything: '
            "use it where it was drawn, or take the columns "
            f"{', '.join(SAMPLE_COLUMNS)} out to use it as any labelled file"
        )
    if sample.model != model.name:
        raise SampleRefused(f"{path}: sample {name} was drawn for the model {sample.model}, not {model.name}")
    return sample, pd.read_csv(BytesIO(file), dtype=str, keep_default_na=False)


def _of_the_file(
    frame: pd.DataFrame, given: pd.DataFrame, spec: LabelSpec, model: ModelSection
) -> Iterator[str]:
    there = set(frame.columns)
    if spec.column not in there:
        yield f'there is no label column "{spec.column}"'
    if lacking := [name for name in _features(given, spec) if name not in there]:
        yield f"{some_names(lacking)} that it was given out with {'are' if len(lacking) > 1 else 'is'} gone"
    yield from (note for note in frame.attrs.get("notes", ()) if note.endswith(_LEFT_OUT))
    if spec.column in there and not any(word is not None for word in series_categories(frame[spec.column])):
        yield f'no row has a label in "{spec.column}" yet'


def _features(given: pd.DataFrame, spec: LabelSpec) -> list[str]:
    none = {*SAMPLE_COLUMNS, spec.column, *spec.outside}
    return [name for name in given.columns if name not in none]


Fault = tuple[int, str]  # place of the row, from 0, and what is wrong with it


def _of_the_ids(ids: np.ndarray, at: dict[str, int], samples: np.ndarray, name: str) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for row, (key, sample) in enumerate(zip(ids.tolist(), samples.tolist(), strict=True)):
        if key is None:
            yield row, f"{ROW_ID} is empty"
        elif sample != name:
            yield (
                row,
                f'it is of sample "{sample or ""}", others are of {name}: a file holds rows of one sample',
            )
        elif key not in at:
            yield row, f'{ROW_ID} "{key}" was not given out'
        elif key in first:
            yield row, f'{ROW_ID} "{key}" is in row {first[key] + 1} already'
        else:
            first[key] = row


def _of_the_labels(words: np.ndarray, spec: LabelSpec) -> Iterator[Fault]:
    said = {word: _label_fault(word, spec) for word in set(words.tolist())}
    yield from ((row, said[word]) for row, word in enumerate(words.tolist()) if said[word])


def _label_fault(word: str | None, spec: LabelSpec) -> str:
    """What is wrong with a label; empty where nothing is."""
    import pandas as pd

    from trainers.labels import read_labels

    if word is None:
        return f'no label in "{spec.column}": label the row, or take it out'
    named = [*spec.positive, *spec.negative, *spec.classes]
    expected = some_names(named)
    try:
        read_labels(pd.DataFrame({spec.column: [word]}), spec, "")
    except TrainingError:
        return f'the label "{word}" is none of {expected}'
    known = {(category(name) or name).casefold(): name for name in named}
    if word.casefold() in known or not (alike := _slip(word, known)):
        return ""
    return f'the label "{word}" looks like a slip of "{alike}": correct it, or name it in the configuration'


def _slip(word: str, known: Mapping[str, str]) -> str:
    found = difflib.get_close_matches(word.casefold(), sorted(known), 1, _ALIKE)
    return known[found[0]] if found and number(word) is None else ""


def _of_the_cells(
    frame: pd.DataFrame, given: pd.DataFrame, ids: np.ndarray, at: dict[str, int], spec: LabelSpec
) -> Iterator[Fault]:
    """Rows with a feature that is not what was given out; what a spreadsheet rounds at the 15th digit is."""
    rows = np.array([row for row, key in enumerate(ids.tolist()) if key in at], dtype=np.int64)
    places = [at[key] for key in ids[rows].tolist()]
    changed: dict[int, list[str]] = {}
    for name in _features(given, spec):
        before = [category(cell) for cell in given[name].iloc[places].tolist()]
        after = series_categories(frame[name])[rows].tolist()
        for row, old, new in zip(rows.tolist(), before, after, strict=True):
            if old != new and not _same_number(old, new):
                changed.setdefault(row, []).append(f'"{name}" was {_shown(old)} and is {_shown(new)}')
    for row, cells in changed.items():
        more = f" and {len(cells) - _CELLS} more" if len(cells) > _CELLS else ""
        yield row, f"changed: {', '.join(cells[:_CELLS])}{more}"


def _same_number(old: str | None, new: str | None) -> bool:
    if old is None or new is None or not survives_as_number(old):
        return False
    one, other = number(old), number(new)
    return one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9)


def _shown(cell: str | None) -> str:
    return "empty" if cell is None else cell[:40]


def _summary(path: Location, faults: Sequence[str]) -> str:
    more = (
        f"; and {len(faults) - _SHOWN:,} more, which `driftcatcher accept {path.name}` lists"
        if len(faults) > _SHOWN
        else ""
    )
    return (
        f"{path.name} is a sample with {len(faults):,} fault{'s' * (len(faults) > 1)}, and nothing of it is used: "
        f"{'; '.join(faults[:_SHOWN])}{more}"
    )
