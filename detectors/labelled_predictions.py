"""Predictions and the labels that came later, joined by id or by the order of rows; no row is lost silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.cells import category, number, some_names
from detectors.columns import series_categories
from detectors.errors import DataError
from detectors.location import Location
from detectors.performance import binary_labels, probabilities
from detectors.source import read_frame

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5  # examples in a message
_LEFT_OUT = "and were left out"  # how `read_frame` ends its note on rows of the wrong length


@dataclass(frozen=True, slots=True)
class JoinCounts:
    """What became of every row.

    Attributes:
        predictions: rows of predictions, each once;  labelled: those that have a label.
        unmatched: rows of labels whose id no prediction has.
        repeated: rows of labels that say once more what another row says.
        empty: rows of labels without a label.
        no_id: rows of labels without an id.
        repeated_predictions: rows of predictions that say once more what another row says.
        predictions_without_id: they cannot be joined.
    """

    predictions: int
    labelled: int
    unmatched: int = 0
    repeated: int = 0
    empty: int = 0
    no_id: int = 0
    repeated_predictions: int = 0
    predictions_without_id: int = 0

    @property
    def sentences(self) -> tuple[str, ...]:
        """The counts that say something, one sentence each; nothing where every row has its label."""
        said = []
        if self.labelled < self.predictions:
            said.append(f"{self.labelled:,} of {self.predictions:,} predictions have labels yet")
        told = (
            (self.predictions_without_id, "prediction", "without an id: no label can be found for it"),
            (self.repeated_predictions, "prediction", "given twice with the same result: counted once"),
            (self.unmatched, "label", "of ids that no prediction has: not used"),
            (self.repeated, "label", "given twice with the same value: counted once"),
            (self.empty, "row of the label files", "without a label"),
            (self.no_id, "label", "without an id: not used"),
        )
        return (*said, *(f"{_counted(n, thing)} {what}" for n, thing, what in told if n))


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPredictions:
    """The rows that have a label.

    Attributes:
        truth / predicted: positions in `classes`, or 0 and 1 where there are two classes; shape (rows,).
        probability: of class 1, shape (rows,), or None.
        classes: names where each class counts by itself, empty where there are 0 and 1.
        columns: the predictions' other columns, one row each.
        counts: what became of every row.
        notes: what was read in a certain way, one sentence each.
    """

    truth: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray | None
    classes: tuple[str, ...]
    columns: pd.DataFrame
    counts: JoinCounts
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Naming:
    """How labels are written.

    Attributes:
        column: of the labels, where they are not called y_true.
        positive / negative: values of class 1 and 0; with one side empty, every other value belongs to it.
        every_class: keep each class by itself even where the values above fold them into two.
        classes: names of the classes that the model has, in the order of the positions it predicts. A number among
            predictions or labels is such a position, unless a class is called by a number itself.
        positional: whether positions can be told; else a number is an error.
    """

    column: str = ""
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    every_class: bool = False
    classes: tuple[str, ...] = ()
    positional: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One file with its label column as text, None where it is empty."""

    path: Location
    frame: pd.DataFrame
    words: np.ndarray
    column: str


@dataclass(slots=True)
class _Said:
    """Notes on the way, each once."""

    notes: dict[str, None] = field(default_factory=dict)

    def add(self, *notes: str) -> None:
        self.notes.update(dict.fromkeys(notes))


def read_labelled(
    predictions: Sequence[Location],
    labels: Sequence[Location] = (),
    *,
    id_column: str | None = None,
    naming: Naming | None = None,
) -> LabelledPredictions:
    """Read predictions with their labels.

    Without label files, the predictions hold `y_true` in every row. With them, labels are found by id, or, with no
    id column, row by row in the order of the files. Several files are one after the other.

    Args:
        predictions: files with `y_pred`, perhaps `y_prob`, the id column, and any others.
        labels: files with the id column and `y_true`, or the column of `naming`.
        id_column: name of the id in both.
        naming: how labels are written.

    Raises:
        DataError: a column is missing ("columns"), a cell is no label, two rows contradict each other, or no
            prediction has a label ("labels"), or the numbers of rows differ ("rows").
    """
    naming, said = naming or Naming(), _Said()
    if not labels and id_column is not None:
        raise DataError(
            "columns", "an id column joins label files to predictions: name them by --labels FILE"
        )
    wanted = [id_column] if id_column is not None else [] if labels else ["y_true"]
    given = [_read(path, "y_pred", wanted, said) for path in predictions]
    if labels:
        if any("y_true" in part.frame.columns for part in given):
            said.add("the column y_true of the predictions is not used, since label files were given")
        truths = [_read(path, _label_column(path, naming, wanted), wanted, said) for path in labels]
    else:
        truths = [_Part(p.path, p.frame, series_categories(p.frame["y_true"]), "y_true") for p in given]
        _require_filled(truths)
    if naming.classes:
        _require_names(given, naming, said)
        given, truths = ([_named(part, naming, said) for part in parts] for parts in (given, truths))
    classes = _classes(given, truths, naming)
    if not classes and (together := _folded((*given, *truths), naming)):
        said.add(f"{some_names(together)} count as one class: --every-class measures each by itself")
    predicted = np.concatenate([_encoded(part, classes, naming) for part in given])
    truth = [_encoded(part, classes, naming, may_be_empty=True) for part in truths]
    probability = _probability(given, classes, said)
    columns = _columns([part.frame for part in given])
    if not labels:
        found, counts = np.concatenate(truth), JoinCounts(len(predicted), len(predicted))
    elif id_column is None:
        found, counts = _by_order(given, truths, truth, said)
    else:
        found, counts = _by_id(given, truths, truth, id_column, predicted, probability, classes)
    chosen = np.flatnonzero(found >= 0)
    counts = replace(counts, labelled=len(chosen))
    if not len(chosen):
        raise DataError(
            "labels", f"none of the {counts.predictions:,} predictions has a label{_hint(counts, id_column)}"
        )
    return LabelledPredictions(
        truth=found[chosen],
        predicted=predicted[chosen],
        probability=None if probability is None else probability[chosen],
        classes=classes,
        columns=columns.iloc[chosen].reset_index(drop=True),
        counts=counts,
        notes=tuple(said.notes),
    )


def _read(path: Location, column: str, wanted: Sequence[str], said: _Said) -> _Part:
    """A file with its column of labels; stray words and ids stay what they are."""
    frame = read_frame(path, categorical=(column, *wanted))
    if lacking := [name for name in (*wanted, column) if name not in frame.columns]:
        there = some_names([str(c) for c in frame.columns])
        raise DataError("columns", f"{path} lacks {some_names(lacking)}: it has {there}")
    said.add(*frame.attrs.get("notes", ()))
    return _Part(path, frame, series_categories(frame[column]), column)


def _label_column(path: Location, naming: Naming, wanted: Sequence[str]) -> str:
    from detectors.source import header_of

    header, configured = header_of(path), naming.column.strip()
    known = [name for name in ("y_true", configured) if name in header and name not in wanted]
    if not known:
        asked = some_names([name for name in dict.fromkeys(("y_true", configured)) if name])
        raise DataError("columns", f"{path} has no labels ({asked}): it has {some_names(header)}")
    return known[0]


def _require_filled(truths: Sequence[_Part]) -> None:
    for part in truths:
        empty = np.flatnonzero([word is None for word in part.words])
        if len(empty):
            raise DataError(
                "labels",
                f"{part.path}: column {part.column} is empty in line {empty[0] + 2} ({len(empty):,} such rows): "
                "labels that come later are given by --labels FILE",
            )


# --- classes ---


def _classes(given: Sequence[_Part], truths: Sequence[_Part], naming: Naming) -> tuple[str, ...]:
    """The names where each class counts by itself, empty where there are two classes or they are folded.

    Those that the model has come first, in its order, then what else is found.

    Labels that are named neither positive nor negative are classes of their own only where the model predicts
    such a class itself: otherwise they are slips.
    """
    names = {
        word.casefold(): word for part in (*given, *truths) for word in set(part.words) if word is not None
    }
    own = {written.casefold(): written for written in (category(name) or name for name in naming.classes)}
    said = {word.casefold() for part in given for word in set(part.words) if word is not None}
    true = {word.casefold() for part in truths for word in set(part.words) if word is not None}
    sides = {(category(word) or word).casefold() for word in (*naming.positive, *naming.negative)}
    if not sides:
        sides = {"0", "1", "true", "false"}
    folds = bool(naming.positive) != bool(naming.negative)
    strange = said - sides - {"0", "1", "true", "false"}
    several = len(names) > 2 and not folds and bool(strange)
    if not (naming.every_class or several):
        return ()
    if true and not true & said:
        raise DataError(
            "labels",
            f"labels and predictions have no class in common: labels are {some_names(sorted(names[w] for w in true))}, "
            f"predictions {some_names(sorted(names[w] for w in said))}",
        )
    return (*own.values(), *(names[word] for word in sorted(names.keys() - own.keys())))


def _require_names(given: Sequence[_Part], naming: Naming, said: _Said) -> None:
    """Where a class is called by a number, numbers are names; one that no class has must have been a position."""
    names = {(category(name) or name).casefold() for name in naming.classes}
    if not any(number(name) is not None for name in names):
        return
    for part in given:
        for line, word in enumerate(part.words.tolist(), 2):
            if word is not None and number(word) is not None and word.casefold() not in names:
                raise DataError(
                    "labels",
                    f"{part.path}: column {part.column} holds {word} in line {line}, which is none of the classes "
                    f"({some_names(list(naming.classes))}): since some are called by numbers, a number is a name here "
                    "and no position. Write the names of the classes",
                )
    said.add("some classes are called by numbers, so numbers are read as their names and not as positions")


def _named(part: _Part, naming: Naming, said: _Said) -> _Part:
    """Positions as the names of the classes: what a model that knows only numbers says."""
    classes = naming.classes
    if any(number(name) is not None for name in classes):
        return part
    names = {str(place): name for place, name in enumerate(classes)}
    numbers = [word is not None and number(word) is not None for word in part.words.tolist()]
    if not any(numbers):
        return part
    if not naming.positional:
        first = numbers.index(True)
        raise DataError(
            "labels",
            f"{part.path}: column {part.column} holds {part.words[first]} in line {first + 2}: "
            "versions of this model have their classes in different orders, so what a position means cannot be told: "
            "write the names of the classes",
        )
    if strange := [i for i, found in enumerate(numbers) if found and part.words[i] not in names]:
        raise DataError(
            "labels",
            f"{part.path}: column {part.column} holds {part.words[strange[0]]} in line {strange[0] + 2}: a number is "
            f"the position of a class, and these are 0 to {len(classes) - 1} ({some_names(list(classes))}): write the "
            "names, or put `classes` under [models.label] in the model's order",
        )
    read = some_names([f"{place} {name}" for place, name in enumerate(classes)])
    said.add(f"{part.path.name}: numbers in {part.column} are read as positions: {read}")
    return replace(part, words=np.array([names.get(word, word) for word in part.words], dtype=object))


def _folded(parts: Sequence[_Part], naming: Naming) -> list[str]:
    """Classes that are measured as one, being all on the side that has no names; empty if there is one."""
    plain = {"0", "1", "true", "false"}
    sides = {(category(word) or word).casefold() for word in (*naming.positive, *naming.negative)}
    words = {word.casefold(): word for part in parts for word in set(part.words) if word is not None}
    strange = sorted(words[word] for word in words.keys() - sides - plain)
    return strange if len(strange) > 1 else []


def _encoded(
    part: _Part, classes: Sequence[str], naming: Naming, *, may_be_empty: bool = False
) -> np.ndarray:
    """Labels as positions in `classes`, or as 0 and 1; -1 where there is none."""
    if not classes:
        column = part.frame[part.column]
        return binary_labels(part.path, column, naming.positive, naming.negative, may_be_empty=may_be_empty)
    places = {name.casefold(): i for i, name in enumerate(classes)}
    found = np.array([-1 if word is None else places[word.casefold()] for word in part.words], dtype=np.int64)
    if not may_be_empty and (found < 0).any():
        line = int(np.argmax(found < 0)) + 2
        raise DataError("labels", f"{part.path}: column {part.column} is empty in line {line}")
    return found


def _probability(given: Sequence[_Part], classes: Sequence[str], said: _Said) -> np.ndarray | None:
    having = [part for part in given if "y_prob" in part.frame.columns]
    if not having:
        return None
    if len(having) < len(given):
        lacking = next(part.path for part in given if "y_prob" not in part.frame.columns)
        raise DataError("columns", f'{lacking} lacks "y_prob", which {having[0].path} has')
    if classes:
        said.add(
            "the column y_prob is not used: with more than two classes it is the probability of none of them"
        )
        return None
    return np.concatenate([probabilities(part.path, part.frame["y_prob"]) for part in given])


def _columns(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


# --- joins ---


def _by_order(
    given: Sequence[_Part], truths: Sequence[_Part], truth: Sequence[np.ndarray], said: _Said
) -> tuple[np.ndarray, JoinCounts]:
    rows, labels = (sum(len(part.frame) for part in parts) for parts in (given, truths))
    if left_out := [note for note in said.notes if note.endswith(_LEFT_OUT)]:
        raise DataError(
            "malformed",
            f"{left_out[0]}, so rows cannot be matched by their order: mend the file or join by --id",
        )
    if rows != labels:
        raise DataError(
            "rows",
            f"{rows:,} predictions and {labels:,} labels cannot be matched by the order of rows: name the column "
            "that both have by --id COLUMN",
        )
    found = np.concatenate(truth)
    return found, JoinCounts(rows, rows, empty=int((found < 0).sum()))


def _by_id(
    given: Sequence[_Part],
    truths: Sequence[_Part],
    truth: Sequence[np.ndarray],
    column: str,
    predicted: np.ndarray,
    probability: np.ndarray | None,
    classes: Sequence[str],
) -> tuple[np.ndarray, JoinCounts]:
    """The label of each prediction, -1 where there is none, and -1 for one that only repeats another."""
    said = _table(given, column, predicted)
    once, repeated = _once(said.assign(y_prob=np.nan if probability is None else probability), column)
    labels = _table(truths, column, np.concatenate(truth))
    empty, nameless = labels["value"] < 0, labels["id"].isna()
    usable = labels[~empty & ~nameless]
    _require_agreement(usable, column, classes)
    known = usable.drop_duplicates("id")
    values = dict(zip(known["id"], known["value"], strict=True))
    mine = said["id"].where(once)
    found = np.array(
        [values.get(key, -1) if key is not None else -1 for key in mine.tolist()], dtype=np.int64
    )
    matched = usable["id"].isin(set(said["id"].dropna()))
    return found, JoinCounts(
        predictions=len(said) - repeated,
        labelled=0,
        unmatched=int((~matched).sum()),
        repeated=int((matched & usable["id"].duplicated()).sum()),
        empty=int(empty.sum()),
        no_id=int((nameless & ~empty).sum()),
        repeated_predictions=repeated,
        predictions_without_id=int(said["id"].isna().sum()),
    )


def _table(parts: Sequence[_Part], column: str, values: np.ndarray) -> pd.DataFrame:
    """Columns id (text or None), value, file and line."""
    import pandas as pd

    return pd.DataFrame(
        {
            "id": pd.Series(
                np.concatenate([series_categories(p.frame[column]) for p in parts]), dtype=object
            ),
            "value": values,
            "file": np.repeat([p.path.name for p in parts], [len(p.frame) for p in parts]),
            "line": np.concatenate([np.arange(len(p.frame)) + 2 for p in parts]),
        }
    )


def _once(said: pd.DataFrame, column: str) -> tuple[np.ndarray, int]:
    """Which predictions count, bool, shape (rows,), and how many only repeat another; DataError for contradictions."""
    named = said[said["id"].notna()]
    different = named.drop_duplicates(["id", "value", "y_prob"])
    if (clash := different[different["id"].duplicated(keep=False)]).size:
        ids = list(dict.fromkeys(clash["id"]))
        where = "; ".join(_places(clash[clash["id"] == key], key) for key in ids[:_SHOWN])
        raise DataError(
            "labels",
            f"{_counted(len(ids), 'id')} in column {column} with several different predictions: {where}{_more(ids)}",
        )
    again = said["id"].notna() & said["id"].duplicated()
    return np.asarray(~again), int(again.sum())


def _require_agreement(usable: pd.DataFrame, column: str, classes: Sequence[str]) -> None:
    different = usable.drop_duplicates(["id", "value"])
    clash = different[different["id"].duplicated(keep=False)]
    if not len(clash):
        return
    ids = list(dict.fromkeys(clash["id"]))
    names = classes or ("class 0", "class 1")
    where = "; ".join(_places(clash[clash["id"] == key], key, names) for key in ids[:_SHOWN])
    raise DataError(
        "labels",
        f"{_counted(len(ids), 'id')} in column {column} with conflicting labels: {where}{_more(ids)}: "
        "correct the label files",
    )


def _places(rows: pd.DataFrame, key: str, names: Sequence[str] = ()) -> str:
    found = zip(rows["value"].tolist(), rows["file"].tolist(), rows["line"].tolist(), strict=True)
    told = [f"{f'{names[value]} in ' if names else ''}{file} line {line}" for value, file, line in found]
    return f'"{key}" ({", ".join(told)})'


def _more(ids: Sequence[str]) -> str:
    return f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""


def _hint(counts: JoinCounts, column: str | None) -> str:
    said = "; ".join(counts.sentences[1:])
    return (f" ({said})" if said else "") + (
        "" if column is None else f": is {column} the same in both files?"
    )


def _counted(number: int, thing: str) -> str:
    if number == 1:
        return f"1 {thing}"
    first, *rest = thing.split(" ")
    return f"{number:,} {' '.join([f'{first}s', *rest])}"
