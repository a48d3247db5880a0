from __future__ import annotations

import hashlib
import struct

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.base import Schema
from trainers.fingerprint import kept_sides, on_holdout, row_keys, side_keys

SCHEMA = Schema(numeric=("b", "a"), coded=("code",), text=("word",))
numbers = st.floats(width=32) | st.integers(-1000, 1000).map(float)
rows = st.lists(st.tuples(numbers, numbers, st.sampled_from([6.0, 17.0]), st.text(max_size=3)), min_size=1)


def table(cells: list[tuple[float, float, float, str]]) -> pd.DataFrame:
    return pd.DataFrame(cells, columns=["a", "b", "code", "word"])


def test_the_key_is_blake2b_over_the_features_in_order_of_their_names():
    # Written down here by hand: a side once given must never change, or hold-out rows would be trained on.
    frame = pd.DataFrame({"b": [2.0], "a": [1.5], "code": [6.0], "word": ["tcp"]})
    digest = hashlib.blake2b(struct.pack("<fff", 1.5, 2.0, 6.0) + b"\x1ftcp", digest_size=8).digest()
    assert row_keys(frame, SCHEMA)[0] == int.from_bytes(digest, "little")


@given(rows, st.randoms())
def test_keys_do_not_depend_on_the_order_of_rows_and_columns(cells, random):
    frame = table(cells)
    keys = row_keys(frame, SCHEMA)
    order = list(range(len(frame)))
    random.shuffle(order)
    moved = frame.iloc[order][["word", "b", "code", "a"]].reset_index(drop=True)
    other = Schema(numeric=("a", "b"), coded=("code",), text=("word",))
    assert list(row_keys(moved, other)) == [keys[i] for i in order]


@given(st.lists(st.integers(-(2**24), 2**24), min_size=1))
def test_keys_do_not_depend_on_the_type_of_a_number(values):
    schema = Schema(numeric=("a",))
    expected = row_keys(pd.DataFrame({"a": np.array(values, dtype="int64")}), schema)
    for dtype in ("float64", "float32", "int32", "Int64"):
        assert list(row_keys(pd.DataFrame({"a": pd.array(values, dtype=dtype)}), schema)) == list(expected)


@pytest.mark.parametrize(
    ("one", "other"), [(0.0, -0.0), (np.nan, np.inf), (np.nan, -np.inf), (0.1, 0.1 + 1e-17)]
)
def test_noise_of_writing_a_number_changes_no_key(one, other):
    schema = Schema(numeric=("a",))
    assert row_keys(pd.DataFrame({"a": [one]}), schema) == row_keys(pd.DataFrame({"a": [other]}), schema)


def word_key(*cells: str | None) -> int:
    frame = pd.DataFrame([cells], columns=["u", "v"], dtype=object)
    return int(row_keys(frame, Schema(text=("u", "v")))[0])


def test_different_texts_have_different_keys():
    assert word_key("x", None) != word_key(None, "x")
    assert word_key("a", "b") != word_key("ab", None)
    assert word_key("a", "b") != word_key("b", "a")


def test_an_empty_text_is_a_missing_one():
    assert word_key("", "x") == word_key(None, "x")


def test_three_in_ten_rows_are_held_out():
    keys = row_keys(pd.DataFrame({"a": np.arange(20_000.0)}), Schema(numeric=("a",)))
    # 0.30 +- 4 standard deviations of a binomial share
    assert on_holdout(keys).mean() == pytest.approx(0.30, abs=4 * (0.3 * 0.7 / 20_000) ** 0.5)


def test_a_group_decides_by_its_name_alone() -> None:
    schema = Schema(numeric=("a",))
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
    keys = side_keys(frame, schema, np.array(["10.0.0.1", None, "10.0.0.1"], dtype=object))
    expected = int.from_bytes(hashlib.blake2b(b"\x1d10.0.0.1", digest_size=8).digest(), "little")
    assert keys[0] == keys[2] == expected
    assert keys[1] == row_keys(frame, schema)[1]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3), st.booleans()), min_size=1))
def test_a_row_stays_on_the_side_of_the_same_row_in_an_earlier_file(cells):
    cells.sort(key=lambda cell: cell[2])
    rows, labels, origin, own = (np.array(part) for part in zip(*cells, strict=True))
    sides = kept_sides(own, rows, labels, origin)
    first = origin == origin[0]
    assert (sides[first] == own[first]).all()  # the first file has nothing before it
    for file in np.unique(origin):
        before, mine = origin < file, origin == file
        assert (
            kept_sides(own[before | mine], rows[before | mine], labels[before | mine], origin[before | mine])
            == sides[before | mine]
        ).all()  # later files change nothing
        for row in np.unique(rows[before]):
            there = set(sides[before & (rows == row)].tolist())
            if len(there) == 1:
                assert set(sides[mine & (rows == row)].tolist()) <= there
            for label in (False, True):
                alike = (rows == row) & (labels == label)
                there = set(sides[before & alike].tolist())
                if len(there) == 1:
                    assert set(sides[mine & alike].tolist()) <= there
