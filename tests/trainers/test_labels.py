from __future__ import annotations

import pandas as pd
import pytest

from trainers.base import LabelSpec, TrainingError
from trainers.labels import read_labels


@pytest.mark.parametrize(
    ("values", "spec", "expected"),
    [
        (["BENIGN", "DDoS", "benign ", "Scan"], LabelSpec("y", negative=("BENIGN",)), [0, 1, 0, 1]),
        (["ok", "bad", "odd"], LabelSpec("y", positive=("bad",)), [0, 1, 0]),
        (["ok", "bad"], LabelSpec("y", positive=("bad",), negative=("ok",)), [0, 1]),
        ([0, 1, 1], LabelSpec("y"), [0, 1, 1]),
        ([0.0, 1.0], LabelSpec("y"), [0, 1]),
        (["0", "1"], LabelSpec("y"), [0, 1]),
        ([True, False], LabelSpec("y"), [1, 0]),
        ([2, 3, 2], LabelSpec("y", positive=("3",), negative=("2.0",)), [0, 1, 0]),
    ],
)
def test_labels_are_read(values, spec, expected):
    labels = read_labels(pd.DataFrame({"y": values}), spec, "f.csv")
    assert labels.tolist() == expected
    assert labels.dtype == "int64"


def test_unknown_labels_are_listed_with_their_rows():
    frame = pd.DataFrame({"y": ["ok", "bad", "odd", "ok", "odd"]})
    with pytest.raises(TrainingError) as raised:
        read_labels(frame, LabelSpec("y", positive=("bad",), negative=("ok",)), "f.csv")
    assert str(raised.value) == (
        'f.csv: column "y" holds labels that are neither positive nor negative: "odd" in 2 rows (counted after the '
        'header: 3, 5); positive are "bad", negative are "ok": correct the file or the configuration'
    )


def test_text_labels_without_a_specification_are_refused():
    with pytest.raises(TrainingError, match=r'"BENIGN" in row 1 .*positive are "1", "true"'):
        read_labels(pd.DataFrame({"y": ["BENIGN"]}), LabelSpec("y"), "f.csv")


def test_missing_labels_are_counted_and_located():
    frame = pd.DataFrame({"y": ["ok", None, "bad", "", None, None, None, None]})
    with pytest.raises(
        TrainingError, match=r"f.csv: column \"y\" holds no readable label in 6 rows .*2, 4, 5, 6, 7, …"
    ):
        read_labels(frame, LabelSpec("y", positive=("bad",)), "f.csv")


def test_a_missing_label_column_is_named_with_those_there_are():
    frame = pd.DataFrame({name: [1] for name in "abcdefg"})
    with pytest.raises(TrainingError, match='no label column "y"; it has "a", "b", "c", "d", "e" and 2 more'):
        read_labels(frame, LabelSpec("y"), "f.csv")
