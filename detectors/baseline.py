"""The baseline of a model version: summary and schema of its training features, small enough to go with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from detectors.cells import look_like_dates, some_names, unique_names
from detectors.clock import Clock, clock_of
from detectors.codes import CodedRows
from detectors.columns import series_categories, series_numbers
from detectors.errors import DataError
from detectors.location import Location, location, write_whole
from detectors.packing import pack_baseline, unpack_baseline
from detectors.profile import FeatureProfile, Profile, categorical_profile, numeric_profile
from detectors.sample import twins
from detectors.source import Progress, read_frame
from detectors.table import reference_rows
from detectors.track_record import TrackRecord

if TYPE_CHECKING:
    import pandas as pd

_MAX_CATEGORIES = 1000  # of a text column; above, it is an identifier and no feature
_MAX_FORCED = 10_000  # of a column that the caller calls categorical


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What the training features of one model version looked like.

    Attributes:
        profile: their summary; `profile.features` is the schema.
        model / version: whose baseline it is.
        created_at: when it was fitted, UTC.
        ignored: columns that are no features: label, period, identifiers, and what was left out.
        notes: what was left out and why, one sentence each.
        table: a random sample of the rows, coded; None in a baseline that an earlier release has written.
        record: how the model did on its hold-outs, where one was trained.
        clocks: columns of dates, which are no features, with the time that they span.
        twins: of some rows drawn at random, those that equal another one in all features, and their number.
    """

    profile: Profile
    model: str
    version: str
    created_at: datetime
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    table: CodedRows | None = None
    record: TrackRecord | None = None
    clocks: Mapping[str, Clock] = field(default_factory=dict)
    twins: tuple[int, int] | None = None

    @property
    def rows(self) -> int:
        return self.profile.rows

    @property
    def features(self) -> Mapping[str, FeatureProfile]:
        """Feature name -> its summary, in the order of the columns."""
        return self.profile.features

    @property
    def numeric(self) -> tuple[str, ...]:
        return tuple(name for name, part in self.features.items() if part.kind == "numeric")

    @property
    def categorical(self) -> tuple[str, ...]:
        return tuple(name for name, part in self.features.items() if part.kind == "categorical")

    @classmethod
    def fit(
        cls,
        data: pd.DataFrame | Location | str | Sequence[Location | str],
        *,
        label: str | None = None,
        ignore: Sequence[str] = (),
        categorical: Sequence[str] = (),
        period: str | None = None,
        model: str = "",
        version: str = "",
        progress: Progress | None = None,
    ) -> Baseline:
        """Learn cells, categories and schema from training data.

        Columns of text with more than 1,000 distinct values or mostly distinct ones (identifiers), dates, and
        columns without a finite value are left out; `notes` says so.

        Args:
            data: a frame, a file, or several files with the same columns.
            label: the target column; not a feature.
            ignore: other columns that are no features.
            categorical: columns that are categories even if they look like numbers.
            period: a column (date, day, number of a run ...) that orders the data in time. Drift then has to
                exceed the variation among the reference's own periods (`detectors.variation`). Never inferred
                from the order of rows.
            model / version: whose baseline this is.

        Raises:
            DataError: a file cannot be used, there are no rows or no features, or `period` does not exist.
        """
        if isinstance(ignore, str) or isinstance(categorical, str):
            raise TypeError('ignore and categorical are lists of names: ["a"], not "a"')
        # names as a header is read: " Label" is "Label", and column 1 of a frame is "1"
        label, period = (None if name is None else str(name).strip() for name in (label, period))
        ignore, categorical = ([str(name).strip() for name in some] for some in (ignore, categorical))
        frame = _frame(data, categorical, progress)
        names = list(frame.columns)
        if period is not None and period not in names:
            raise DataError(
                "columns", f'the period column "{period}" is not in the data: it has {some_names(names)}'
            )
        outside = [c for c in dict.fromkeys([label, *ignore, period]) if c is not None]
        chosen_outside = frozenset(outside)
        notes = list(frame.attrs.get("notes", []))
        if absent := [c for c in dict.fromkeys([*outside, *categorical]) if c not in names]:
            notes.append(f"not in the data, so of no effect: {some_names(absent)}")
        features: dict[str, FeatureProfile] = {}
        for name in (c for c in names if c not in outside):
            part, note = _learn(frame[name], str(name), name in categorical)
            if part is not None:
                features[str(name)] = part
            else:
                outside.append(name)
            if note:
                notes.append(note)
        if not features:
            raise DataError("columns", f"no column can be a feature: the data has {some_names(names)}")
        spans: list[np.ndarray] = []
        if period is not None:
            from detectors.variation import windows, with_variation

            features = with_variation(frame, period, features)
            spans = windows(frame[period])
        table = reference_rows(list(features.values()), frame, spans)
        profile = Profile(len(frame), features, columns=tuple(str(c) for c in names))
        clocks = {str(c): clock for c in outside if c not in chosen_outside and (clock := clock_of(frame[c]))}
        return cls(
            profile,
            model,
            version,
            datetime.now(UTC),
            tuple(str(c) for c in outside),
            tuple(notes),
            table,
            clocks=clocks,
            twins=twins(frame[list(features)]),
        )

    def with_version(self, version: str, model: str | None = None) -> Baseline:
        """The same baseline under another version (and model)."""
        return replace(self, version=version, model=self.model if model is None else model)

    def save(self, path: Location | str) -> None:
        """Write it to one file or object, at once or not at all."""
        path = location(path)
        extra = {
            "model": self.model,
            "version": self.version,
            "created_at": self.created_at.isoformat(),
            "ignored": self.ignored,
            "notes": self.notes,
            "clocks": {name: asdict(clock) for name, clock in self.clocks.items()},
            "twins": self.twins,
        }
        packed = pack_baseline(self.profile, extra, self.table, self.record)
        write_whole(path, packed)

    @classmethod
    def load(cls, path: Location | str) -> Baseline:
        """Read a saved baseline; DataError "unreadable" if there is none or it is damaged."""
        try:
            data = location(path).read_bytes()
        except OSError as error:
            raise DataError(
                "unreadable", f"baseline {path} cannot be read: {error.strerror or error}"
            ) from None
        try:
            profile, extra, table, record = unpack_baseline(data)
            return cls(
                profile=profile,
                model=extra["model"],
                version=extra["version"],
                created_at=datetime.fromisoformat(extra["created_at"]),
                ignored=tuple(extra["ignored"]),
                notes=tuple(extra["notes"]),
                table=table,
                record=record,
                clocks={name: Clock(**clock) for name, clock in extra.get("clocks", {}).items()},
                twins=tuple(extra["twins"]) if extra.get("twins") else None,
            )
        except DataError as error:
            raise DataError(error.kind, f"baseline {path}: {error.message}") from None
        except (KeyError, TypeError, ValueError):
            raise DataError("unreadable", f"{path} is a profile but not a baseline") from None


def _frame(
    data: pd.DataFrame | Location | str | Sequence[Location | str],
    categorical: Sequence[str],
    progress: Progress | None,
) -> pd.DataFrame:
    import pandas as pd

    if not isinstance(data, pd.DataFrame):
        return read_frame(data, categorical=categorical, progress=progress)
    if not len(data):
        raise DataError("no_rows", "the frame has no rows: a baseline needs training data")
    names, notes = unique_names(str(c) for c in data.columns)
    frame = data.set_axis(list(names), axis=1)
    frame.attrs["notes"] = [*data.attrs.get("notes", []), *notes]
    return frame


def _learn(column: pd.Series, name: str, forced: bool) -> tuple[FeatureProfile | None, str]:
    """The summary of a column, or None and the reason to leave it out."""
    import pandas as pd

    kind = column.dtype
    number_like = pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
    if number_like and not forced:
        return _learn_numbers(name, *series_numbers(column))
    if pd.api.types.is_datetime64_any_dtype(kind) and not forced:
        return None, f'column "{name}" holds dates: left out'
    words = series_categories(column)
    distinct = {word for word in words.tolist() if word is not None}
    filled = int(sum(word is not None for word in words))
    if not filled:
        return None, f'column "{name}" has no values: left out'
    if not forced:
        if not pd.api.types.is_bool_dtype(kind):
            floats, bad = series_numbers(column)
            if bad <= 0.1 * filled:
                return _learn_numbers(name, floats, bad)
        if look_like_dates(sorted(distinct)[:200]):
            return None, f'column "{name}" holds dates: left out'
        if len(distinct) > _MAX_CATEGORIES or (len(distinct) > 50 and len(distinct) > 0.5 * filled):
            return (
                None,
                f'column "{name}" has {len(distinct):,} distinct texts, as an identifier has: left out',
            )
    if len(distinct) > _MAX_FORCED:
        return None, f'column "{name}" has more than {_MAX_FORCED:,} categories: left out'
    return categorical_profile(name, words), ""


def _learn_numbers(name: str, floats: np.ndarray, bad: int) -> tuple[FeatureProfile | None, str]:
    finite = floats[np.isfinite(floats)]
    if not len(finite):
        return None, f'column "{name}" has no finite values: left out'
    note = ""
    if (
        len(finite) == len(floats) > 50
        and (finite == np.floor(finite)).all()
        and (np.diff(finite) == 1).all()
    ):
        note = f'column "{name}" counts the rows: if it is no feature, name it among the ignored columns'
    return numeric_profile(name, floats, bad), note
