"""Which columns of the labelled files are features, and of what kind; and tables read by that schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from detectors.baseline import Baseline
from detectors.cells import survives_as_number
from detectors.columns import series_categories, series_numbers
from trainers.base import LabelSpec, Schema

if TYPE_CHECKING:
    import pandas as pd


def learn_schema(frames: Sequence[pd.DataFrame], spec: LabelSpec) -> tuple[Schema, list[str]]:
    """The features in the base data, and notes on columns that were left out.

    The rules are those of `Baseline.fit`, so that what a model is trained on is what is watched: identifiers,
    dates and empty columns are left out, with a note.

    Raises:
        DataError: no feature is left.
    """
    import pandas as pd

    columns = list(frames[0].columns)
    base = pd.concat([frame.reindex(columns=columns) for frame in frames], ignore_index=True)
    learned = Baseline.fit(base, label=spec.column, ignore=spec.outside, categorical=spec.categorical)
    coded = tuple(name for name in learned.categorical if _is_coded(base[name]))
    text = tuple(name for name in learned.categorical if name not in coded)
    return Schema(learned.numeric, coded, text), list(learned.notes)


def _is_coded(column: pd.Series) -> bool:
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dtype):  # CSV has True and False as words
        return False
    return all(survives_as_number(word) for word in set(series_categories(column)) - {None})


def typed_features(frame: pd.DataFrame, schema: Schema, file: str, notes: list[str]) -> pd.DataFrame:
    """The features of a table as the model gets them: float64 and text, in the order of the schema.

    Cells that are no numbers in a column of numbers become missing, with a note.
    """
    import pandas as pd

    columns: dict[str, pd.Series] = {}
    for name in schema.numeric + schema.coded:
        values, bad = series_numbers(frame[name])
        columns[name] = pd.Series(values)
        if bad:
            notes.append(f'{file}: column "{name}": {bad:,} cells are no numbers and were read as missing')
    for name in schema.text:
        columns[name] = pd.Series(series_categories(frame[name]), dtype="str")
    return pd.DataFrame(columns)
