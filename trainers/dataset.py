"""OLD + NEW labelled files as training rows and hold-outs that never mix, across files and retrains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from detectors.cells import some_names
from detectors.columns import series_categories
from detectors.digest import sha256_file
from detectors.feed import BROKEN_SHARE
from detectors.location import Location, location
from detectors.policy import Policy
from detectors.source import read_frame
from trainers.base import (
    SAMPLE_COLUMNS,
    WEIGHT,
    DataFile,
    LabelSpec,
    Progress,
    Schema,
    TrainingError,
    quiet,
)
from trainers.fingerprint import group_keys, kept_sides, on_holdout, row_keys
from trainers.labels import read_labels
from trainers.ledger import Finding, findings
from trainers.schema import learn_schema, typed_features

if TYPE_CHECKING:
    import pandas as pd

Side = Literal["old", "new"]
_CHANCE = (
    Policy().alpha
)  # how likely an empty column may be by chance, over all columns: the level of the verdict
_COPIED = 0.95  # share of the rows that come once which two files share where one is a copy of the other
_RARE_ROWS = 30  # fewer such rows tell nothing
_USUAL_SHARE = (0.2, 0.4)  # of the rows held out, from so many rows on
_SOME_ROWS = 200
_FEW_ROWS = 30  # a hold-out below this is used, and said to be small


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a model is trained and measured on.

    Attributes:
        train_x / train_y: rows of the training side of all files, in an order that depends on the rows alone.
        holdouts: "old" and, where new rows fell on that side, "new": features and labels.
        schema: the feature columns.
        files: every file used, old ones first, each content once.
        duplicates: rows of a file that an earlier file held already, in every column; they are dropped.
        conflicts: rows with the same features as a row with another label; they are kept. With new files
            only new rows are counted, else all.
        new_rows: training rows that come from the new files.
        periods: the period of each training row, where the specification names such a column.
        holdout_periods: the same for the rows of the hold-outs, one after the other.
        notes: what was read in a certain way on purpose, one sentence each.
        train_eras: the era of each training row, see `DataFile`: that of the file which held it first.
        holdout_eras: the same for each hold-out.
        ledger: where the duplicates and the conflicts are.
        train_keys: what decided the side of each training row: equal in equal rows, or in rows of one group.
        holdout_groups: the same for each hold-out where `group` is set, else empty: rows of a group are related.
        classes: names of the classes whose positions the labels are; empty where they are 0 and 1.
    """

    train_x: pd.DataFrame
    train_y: np.ndarray
    holdouts: Mapping[Side, tuple[pd.DataFrame, np.ndarray]]
    schema: Schema
    files: tuple[DataFile, ...]
    duplicates: int
    conflicts: int
    new_rows: int
    periods: pd.Series | None
    holdout_periods: pd.Series | None
    notes: tuple[str, ...]
    train_eras: np.ndarray
    holdout_eras: Mapping[Side, np.ndarray]
    train_keys: np.ndarray
    holdout_groups: Mapping[Side, np.ndarray]
    ledger: tuple[Finding, ...] = ()
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Table:
    """One file as read."""

    file: DataFile
    frame: pd.DataFrame
    labels: np.ndarray


@dataclass(frozen=True, slots=True)
class _Rows:
    """All rows of all files, duplicates gone; arrays of shape (rows,).

    `keys` are those of the rows, or of their groups; `held` is true on the hold-out side; `exact` hashes the features
    to the last bit; `new` is true for rows of new files; `eras` are those of the files that held the rows first.
    """

    features: pd.DataFrame
    labels: np.ndarray
    keys: np.ndarray
    held: np.ndarray
    exact: np.ndarray
    new: np.ndarray
    eras: np.ndarray
    periods: pd.Series | None
    duplicates: int
    conflicts: int
    ledger: tuple[Finding, ...]
    unit: str  # what is on one side as a whole: "row", or "group"

    def part(self, mask: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        return self.features.loc[mask].reset_index(drop=True), self.labels[mask]


def build(
    old: Sequence[Location | DataFile],
    new: Sequence[Location | DataFile],
    spec: LabelSpec,
    *,
    schema: Schema | None = None,
    owner: str = "",
    progress: Progress = quiet,
) -> TrainingData:
    """Read, label, de-duplicate and split.

    Args:
        old: the base files.
        new: the newly labelled files. In both, a `DataFile` must still have the content it had.
        spec: how the files are labelled.
        schema: the features of the champion; learned from the old files if None.
        owner: whose data the old files are, for messages ("flows version 3").
        progress: told which file is read.

    Raises:
        TrainingError: the data cannot be trained on; the message names file and column.
        DataError: a file cannot be read.
    """
    if not old:
        raise TrainingError("no base data was named: give at least one labelled file")
    olds = [_read(file, spec, f"{owner or 'the model'} was trained on it", progress) for file in old]
    era = 1 + max(table.file.era for table in olds)
    news = [_read(file, spec, "it was chosen", progress, era) for file in new]
    notes = [note for table in olds + news for note in table.frame.attrs.get("notes", ())]
    champion = schema is not None
    if schema is None:
        schema, said = learn_schema([table.frame for table in olds], spec)
        notes += said
    elif clash := [name for name in schema.features if name in spec.outside or name == spec.column]:
        raise TrainingError(
            f"{owner or 'the current model'} was trained on {_some(clash)}, which the configuration "
            "now ignores or uses as label: put it back, or start anew with `driftcatcher train`"
        )
    rows = _join(olds, news, schema, spec, notes, judged=news if champion else olds + news)
    return _split(rows, schema, olds, news, notes, spec.classes)


def _read(
    file: Location | DataFile, spec: LabelSpec, since: str, progress: Progress, era: int | None = None
) -> _Table:
    """One file; without an `era` it has the one it was recorded with."""
    path = location(file.path if isinstance(file, DataFile) else file).absolute()
    if isinstance(file, DataFile) and not path.exists():
        raise TrainingError(f"{path} is gone since {since}: put the file back")
    digest = sha256_file(path)
    if isinstance(file, DataFile) and digest != file.sha256:
        raise TrainingError(
            f"{path} has changed since {since} (SHA-256 {file.sha256[:12]}… then, "
            f"{digest[:12]}… now): put the original back and give the changed rows as a new file"
        )
    progress(f"reading {path.name}")
    frame = read_frame(path, categorical=_as_written(spec))
    unequal = WEIGHT in frame.columns and frame[WEIGHT].nunique() > 1
    frame = frame.drop(columns=[name for name in SAMPLE_COLUMNS if name in frame.columns])
    if (
        unequal
    ):  # the gate counts rows: what is true of those that were likelier to be drawn is not of the batch
        note = (
            f"{path.name} was drawn with unequal chances, which the hold-outs do not make up for: rates on them are "
            "those of its rows, not of the batch (`driftcatcher performance` weighs them)"
        )
        frame.attrs["notes"] = [*frame.attrs.get("notes", ()), note]
    if sha256_file(path) != digest:
        raise TrainingError(f"{path} was written to while it was read: try again when it is complete")
    if era is None:
        era = file.era if isinstance(file, DataFile) else 0
    return _Table(DataFile(str(path), digest, len(frame), era), frame, read_labels(frame, spec, str(path)))


def _join(
    olds: list[_Table],
    news: list[_Table],
    schema: Schema,
    spec: LabelSpec,
    notes: list[str],
    *,
    judged: list[_Table],
) -> _Rows:
    import pandas as pd

    tables = olds + news
    named = (*schema.features, spec.column, spec.group)
    others = [name for name in olds[0].frame.columns if name not in named]
    features, identities = [], []
    for table in tables:
        _check_columns(table, schema, others, spec, notes)
        typed = typed_features(table.frame, schema, table.file.path, notes)
        features.append(typed)
        identities.append(_identity(table, typed, others))
    joined = pd.concat(features, ignore_index=True)
    _refuse_broken(tables, features, schema, judged)
    labels = np.concatenate([table.labels for table in tables])
    origin = np.repeat(np.arange(len(tables)), [len(table.frame) for table in tables])
    exact = np.asarray(pd.util.hash_pandas_object(joined, index=False))
    identity = np.concatenate(identities)
    is_new = origin >= len(olds)
    counted = is_new if news else np.ones(len(joined), dtype=bool)
    groups = _groups(tables, spec)
    repeated = _repeated(identity, groups, exact, origin, counted, notes)
    keys = row_keys(joined, schema)
    own = group_keys(keys, groups)
    held = on_holdout(own)
    if (
        groups is not None
    ):  # of all rows, copies too: what a later file repeats must not change the sides before it
        held = kept_sides(held, keys, labels, origin)
        _say_kept(held != on_holdout(own), counted & ~repeated, notes)
    conflicting = _conflicting(exact, labels) & ~repeated & counted
    return _Rows(
        features=joined.loc[~repeated].reset_index(drop=True),
        labels=labels[~repeated],
        keys=own[~repeated],
        held=held[~repeated],
        exact=exact[~repeated],
        new=is_new[~repeated],
        eras=np.array([table.file.era for table in tables])[origin[~repeated]],
        periods=_periods(tables, spec, notes, ~repeated),
        duplicates=int((repeated & counted).sum()),
        conflicts=int(conflicting.sum()),
        ledger=findings(
            [location(table.file.path).name for table in tables],
            origin,
            identity,
            exact,
            labels,
            repeated & counted,
            conflicting,
        ),
        unit="row" if spec.group is None else "group",
    )


def _repeated(
    identity: np.ndarray,
    groups: np.ndarray | None,
    exact: np.ndarray,
    origin: np.ndarray,
    counted: np.ndarray,
    notes: list[str],
) -> np.ndarray:
    """True where an earlier file holds the row; also with another group, which was renamed or left out since."""
    import pandas as pd

    repeated = _held_before(identity, exact, origin)
    if groups is None:
        return repeated
    whole = pd.DataFrame({"row": identity, "group": pd.Series(groups, dtype=object)})
    alike = _held_before(np.asarray(pd.util.hash_pandas_object(whole, index=False)), exact, origin)
    if moved := int((repeated & ~alike & counted).sum()):
        notes.append(
            f"{moved:,} rows are in an earlier file with another group: they are copies, and the group named first "
            "counts"
        )
    return np.asarray(repeated | alike)


def _say_kept(moved: np.ndarray, counted: np.ndarray, notes: list[str]) -> None:
    if number := int((moved & counted).sum()):
        notes.append(
            f"{number:,} rows have the features of a row of an earlier file, and stay on its side though their own "
            "group is on the other"
        )


def _as_written(spec: LabelSpec) -> tuple[str, ...]:
    """The columns whose cells are names, even if they look like numbers."""
    return (*spec.categorical, spec.column, *([] if spec.group is None else [spec.group]))


def _groups(tables: list[_Table], spec: LabelSpec) -> np.ndarray | None:
    """The group of each row, None in a row without one."""
    if spec.group is None:
        return None
    for table in tables:
        if spec.group not in table.frame.columns:
            raise TrainingError(
                f'{table.file.path} has no column "{spec.group}", which is to keep related rows on one side: '
                "add it, or take `group` out of [models.label] and train anew"
            )
    return np.concatenate([series_categories(table.frame[spec.group]) for table in tables])


def _refuse_broken(
    tables: list[_Table], features: list[pd.DataFrame], schema: Schema, judged: list[_Table]
) -> None:
    """Refuse a file with a column of wrong cells, or without values where the others have them.

    "Missing" would tell the model which file a row is from, and so its label, and that would look like a gain on
    the hold-outs too. What a champion was trained on already is not judged again: nobody could mend it.
    """
    alpha = _CHANCE / max(1, len(schema.features))
    for table, own in zip(tables, features, strict=True):
        if not any(table is one for one in judged):
            continue
        for name in schema.features:
            empty = own[name].isna()
            if not empty.any():
                continue
            written = np.array([cell is not None for cell in series_categories(table.frame[name])])
            wrong = float((empty.to_numpy() & written).mean())
            if wrong >= BROKEN_SHARE:
                raise TrainingError(
                    f'{table.file.path}: {100 * wrong:.0f} % of the cells in column "{name}" are not numbers, on which '
                    "the model is trained: correct the column (a unit in the cells, a shifted column?)"
                )
            if not empty.all() or len(tables) == 1:
                continue
            others = [part[name].isna() for part in features if part is not own]
            missing, rows = sum(int(part.sum()) for part in others), sum(map(len, others))
            usual = missing < BROKEN_SHARE * rows  # a column that is mostly empty may be so in a whole file
            if usual and len(own) * math.log((missing + 1) / (rows + 1)) < math.log(alpha):
                raise TrainingError(
                    f'{table.file.path}: column "{name}", on which the model is trained, has no values at all: '
                    "fill it as in the other files, or train anew with it in `ignore`"
                )


def _check_columns(
    table: _Table, schema: Schema, others: list[str], spec: LabelSpec, notes: list[str]
) -> None:
    columns = list(table.frame.columns)
    if missing := [name for name in schema.features if name not in columns]:
        raise TrainingError(
            f"{table.file.path} lacks {_some(missing)}, on which the model is trained: "
            "old and new files need the same feature columns"
        )
    known = {*schema.features, *others, *spec.outside, spec.column}
    if extra := [name for name in columns if name not in known]:
        notes.append(f"{table.file.path}: {_some(extra)} is not in the old data and was ignored")


def _periods(tables: list[_Table], spec: LabelSpec, notes: list[str], kept: np.ndarray) -> pd.Series | None:
    """The period of each kept row; missing where its file has none."""
    import pandas as pd

    if spec.period is None:
        return None
    lacking = [table for table in tables if spec.period not in table.frame.columns]
    if len(lacking) == len(tables):
        raise TrainingError(
            f'no labelled file has the period column "{spec.period}": add it or take it out of the configuration'
        )
    notes.extend(f'{table.file.path} lacks the period column "{spec.period}"' for table in lacking)
    joined = pd.concat([table.frame.reindex(columns=[spec.period]) for table in tables], ignore_index=True)
    return joined[spec.period][kept].reset_index(drop=True)


def _identity(table: _Table, typed: pd.DataFrame, others: list[str]) -> np.ndarray:
    """A hash of each whole row (features, label, and the `others`: columns that are no features), shape (rows,)."""
    import pandas as pd

    columns: dict[str, object] = {f"feature {name}": typed[name].to_numpy() for name in typed.columns}
    for name in others:
        cells = series_categories(table.frame[name]) if name in table.frame.columns else [None] * len(typed)
        columns[f"other {name}"] = pd.Series(cells, dtype=object)
    columns["label"] = table.labels
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(columns), index=False))


def _held_before(identities: np.ndarray, exact: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """True where an earlier file holds the row, so that it is a copy and no new observation.

    Where an identifier tells rows apart, the same row is a copy. Without one, a row whose features come more than
    once within a file (a few categories, small counts) is another observation when it comes again, as it is
    within one file: dropping it would keep only what is new, and so change every share. But in a file that was
    exported again, whole or in part or with more rows, repeated rows are copies too: as many as the earlier held.
    """
    _, row_of = np.unique(identities, return_inverse=True)
    first_file = np.full(int(row_of.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first_file, row_of, origin)
    held = np.asarray(origin > first_file[row_of])
    if not _repeats(row_of, origin).any():
        return held
    _, features_of = np.unique(exact, return_inverse=True)
    held &= ~np.isin(features_of, features_of[_repeats(features_of, origin)])
    return _with_copies(held, row_of, origin)


_Counts = tuple[np.ndarray, np.ndarray]  # which rows a file holds, ascending, and how often


def _with_copies(held: np.ndarray, row_of: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """`held`, and in a file that copies earlier ones each row as often as those hold it."""
    held = held.copy()
    places = [np.flatnonzero(origin == file) for file in range(int(origin.max()) + 1)]
    counts: list[_Counts] = [np.unique(row_of[mine], return_counts=True) for mine in places]
    for file, mine in enumerate(places):
        copied = [
            place for before, place in enumerate(places[:file]) if _copies(counts[before], counts[file])
        ]
        if copied:
            kept = np.concatenate([place[~held[place]] for place in copied])
            earlier = np.bincount(row_of[kept], minlength=int(row_of.max()) + 1)
            held[mine] |= _occurrence(row_of[mine]) < earlier[row_of[mine]]
    return held


def _copies(one: _Counts, other: _Counts) -> bool:
    """Whether of two files one was exported from the other.

    Told by the rows that come at most once in either: of two independent samples only few come in both, unless
    the features have few values altogether; of a copy nearly all of one file do.
    """
    (rows, times), (other_rows, other_times) = one, other
    if np.array_equal(rows, other_rows) and np.array_equal(times, other_times):
        return True
    _, at, other_at = np.intersect1d(rows, other_rows, assume_unique=True, return_indices=True)
    once, other_once = times[at] == 1, other_times[other_at] == 1
    both = int((once & other_once).sum())
    # once in one of them, and not more often in the other
    alone = int((times == 1).sum()) - int((once & ~other_once).sum())
    other_alone = int((other_times == 1).sum()) - int((other_once & ~once).sum())
    return both >= _RARE_ROWS and both >= _COPIED * min(alone, other_alone)


def _occurrence(row_of: np.ndarray) -> np.ndarray:
    """For each row how often the same one came before it: 0, 1, ..."""
    order = np.argsort(row_of, kind="stable")
    ordered = row_of[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    lengths = np.diff(np.append(starts, len(ordered)))
    place = np.empty(len(ordered), dtype=np.int64)
    place[order] = np.arange(len(ordered)) - np.repeat(starts, lengths)
    return place


def _repeats(key: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """True where the key of a row comes more than once in its own file."""
    _, pair_of, times = np.unique(
        np.stack([key, origin], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    return np.asarray(times[pair_of.reshape(-1)] > 1)


def _conflicting(exact: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """True where a row with the same features, told by their hash, has another label."""
    different, row_of = np.unique(exact, return_inverse=True)
    least, most = np.full(len(different), np.iinfo(np.int64).max), np.full(len(different), -1)
    np.minimum.at(least, row_of, labels)
    np.maximum.at(most, row_of, labels)
    return np.asarray((least < most)[row_of])


def _split(
    rows: _Rows,
    schema: Schema,
    olds: list[_Table],
    news: list[_Table],
    notes: list[str],
    classes: tuple[str, ...],
) -> TrainingData:
    held = rows.held
    _guard(rows, held, olds, news, classes)
    train_x, train_y = rows.part(~held)
    if len(held) >= _SOME_ROWS and not _USUAL_SHARE[0] <= held.mean() <= _USUAL_SHARE[1]:
        different = len(np.unique(rows.keys))
        notes.append(
            f"{100 * held.mean():.0f} % of the rows are held out instead of 30 %: there are only "
            f"{_different(rows, different)}, and the same one is always on the same side"
        )
    # The model shall depend on which rows there are, not on how the files were sorted.
    order = np.lexsort((train_y, rows.exact[~held], rows.keys[~held]))
    sides: dict[Side, np.ndarray] = {"old": held & ~rows.new}
    if news:
        new_held = int((held & rows.new).sum())
        if new_held:
            sides["new"] = held & rows.new
        if new_held < _FEW_ROWS:
            notes.append(f"only {new_held} new rows are on the hold-out side: what they say is uncertain")
    return TrainingData(
        train_x=train_x.iloc[order].reset_index(drop=True),
        train_y=train_y[order],
        holdouts={side: rows.part(mask) for side, mask in sides.items()},
        schema=schema,
        files=_each_once(olds + news),
        duplicates=rows.duplicates,
        conflicts=rows.conflicts,
        new_rows=int((rows.new & ~held).sum()),
        periods=None if rows.periods is None else rows.periods[~held].iloc[order].reset_index(drop=True),
        holdout_periods=_held_periods(rows, held),
        notes=tuple(dict.fromkeys(notes)),
        train_eras=rows.eras[~held][order],
        train_keys=rows.keys[~held][order],
        holdout_eras={side: rows.eras[mask] for side, mask in sides.items()},
        holdout_groups={side: rows.keys[mask] for side, mask in sides.items() if rows.unit == "group"},
        ledger=rows.ledger,
        classes=classes,
    )


def _each_once(tables: list[_Table]) -> tuple[DataFile, ...]:
    """The files in the order in which they came, each content once, where and in the era it was first."""
    first: dict[str, DataFile] = {}
    for table in tables:
        first.setdefault(table.file.sha256, table.file)
    return tuple(first.values())


def _held_periods(rows: _Rows, held: np.ndarray) -> pd.Series | None:
    import pandas as pd

    if rows.periods is None:
        return None
    sides = [rows.periods[held & ~rows.new], rows.periods[held & rows.new]]
    joined: pd.Series = pd.concat(sides, ignore_index=True)
    return joined


def _different(rows: _Rows, number: int) -> str:
    return f"{number:,} different {rows.unit}{'s' * (number != 1)}"


def _guard(
    rows: _Rows, held: np.ndarray, olds: list[_Table], news: list[_Table], classes: Sequence[str]
) -> None:
    """Refuse what cannot be trained on or measured by."""
    if news and not rows.new.any():
        raise TrainingError(
            f"every row of {_files(news)} is in the old data already: there is nothing new to train on"
        )
    if news and not (rows.new & ~held).any():
        raise TrainingError(
            f"all {int(rows.new.sum())} rows of {_files(news)} are on the hold-out side, which is never "
            "trained on: label more rows"
        )
    sides = {"training side": ~held, "hold-out side of the old data": held & ~rows.new}
    named = [(1, "a positive label"), (0, "a negative label")]
    lacking = "both classes are needed"
    if classes:  # a class that is new has rows in the new data alone
        sides = {"training side": ~held, "hold-out side": held}
        named = [(place, f'the label "{name}"') for place, name in enumerate(classes)]
        lacking = "label some, or take it out of `classes` until there are"
    for label, name in named:
        has = rows.labels == label
        if not has.any():
            raise TrainingError(f"no row of {_files(olds + news)} has {name}: {lacking}")
        for side, mask in sides.items():
            if not (has & mask).any():
                different = len(np.unique(rows.keys[has]))
                raise TrainingError(
                    f"the {side} has no row with {name}: there are {int(has.sum()):,} in all, "
                    f"{_different(rows, different)}, and 30 % of the different ones are held out: "
                    f"label more different {rows.unit}s of that class, or add a feature that tells rows apart"
                )


def _files(tables: list[_Table]) -> str:
    return ", ".join(table.file.path for table in tables)


def _some(names: Sequence[str]) -> str:
    return f"column{'s' * (len(names) > 1)} {some_names(names)}"
