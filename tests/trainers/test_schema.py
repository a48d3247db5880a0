from __future__ import annotations

import numpy as np
import pandas as pd

from trainers.base import LabelSpec, Schema
from trainers.schema import learn_schema, typed_features


def base(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "rate": rng.normal(size=rows),
            "label": rng.choice(["a", "b"], rows),
            "proto": rng.choice([6, 17], rows),
            "flow": [f"10.0.0.{i}-x{i}" for i in range(rows)],
            "seen": pd.date_range("2017-07-03", periods=rows).strftime("%Y-%m-%d"),
            "empty": [None] * rows,
            "service": rng.choice(["http", "dns"], rows),
            "skip": 1,
        }
    )


def test_columns_are_sorted_into_kinds_and_what_is_left_out_is_said():
    schema, notes = learn_schema([base()], LabelSpec("label", ignore=("skip",), categorical=("proto",)))
    assert schema == Schema(numeric=("rate",), coded=("proto",), text=("service",))
    assert schema.features == ("rate", "proto", "service")
    assert [note.split('"')[1] for note in notes] == ["flow", "seen", "empty"]


def test_a_category_of_numbers_in_one_file_and_words_in_another_is_text():
    other = base().assign(proto="tcp")
    schema, _ = learn_schema([base(), other], LabelSpec("label", categorical=("proto",)))
    assert "proto" in schema.text


def test_cells_of_the_wrong_type_become_missing_with_a_note():
    schema = Schema(numeric=("rate",), coded=("proto",), text=("service",))
    frame = pd.DataFrame({"service": [6, 6.0, None], "proto": ["6", "tcp", "17"], "rate": ["1", "x", "inf"]})
    notes: list[str] = []
    typed = typed_features(frame, schema, "f.csv", notes)
    assert list(typed.columns) == ["rate", "proto", "service"]
    assert typed["rate"].tolist()[::2] == [1.0, np.inf]
    assert typed["proto"].isna().tolist() == [False, True, False]
    assert typed["service"].tolist()[:2] == ["6", "6"]
    assert pd.isna(typed["service"][2])
    assert notes == [
        'f.csv: column "rate": 1 cells are no numbers and were read as missing',
        'f.csv: column "proto": 1 cells are no numbers and were read as missing',
    ]
