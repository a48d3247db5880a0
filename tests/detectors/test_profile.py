"""A profile is the same whatever way its rows came in, small, and right at its grid points."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.describe import describe
from detectors.errors import DataError
from detectors.profile import (
    MAX_GRID,
    FeatureProfile,
    Profile,
    categorical_profile,
    merge,
    numeric_profile,
)
from detectors.tally import Tally

numbers = st.one_of(
    st.floats(-1e6, 1e6), st.integers(-3, 3).map(float), st.sampled_from([math.nan, math.inf, -math.inf])
)
words = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d", "e"]))


def same(one: FeatureProfile, two: FeatureProfile) -> None:
    for name in (
        "rows",
        "missing",
        "invalid",
        "finite",
        "minimum",
        "maximum",
        "known",
        "unseen",
        "unseen_rows",
    ):
        assert getattr(one, name) == getattr(two, name), name
    for name in ("grid", "below", "at_most", "edges", "counts", "cells"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    assert one.mean == pytest.approx(two.mean, rel=1e-9, abs=1e-6)
    assert one.m2 == pytest.approx(two.m2, rel=1e-6, abs=1e-3)


def split(values: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    return np.split(values, sorted(min(c, len(values)) for c in cuts))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-5, 5).map(float) | st.floats(-1e3, 1e3), min_size=1, max_size=60),
    st.lists(numbers, max_size=80),
    st.lists(st.integers(0, 80), max_size=4),
    st.randoms(use_true_random=False),
)
def test_numeric_parts_merge_to_the_whole_in_any_order(reference, values, cuts, random):
    cells = numeric_profile("x", np.array(reference))
    batch = np.array(values, dtype=np.float64)
    parts = [cells.summarize(part) for part in split(batch, cuts)]
    random.shuffle(parts)
    whole = cells.empty()
    for part in parts:
        whole = whole.merge(part)
    same(whole, cells.summarize(batch))
    assert whole.cells.sum() == len(batch)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=20),
    st.lists(words, max_size=60),
    st.lists(st.integers(0, 60), max_size=4),
    st.randoms(use_true_random=False),
)
def test_categorical_parts_merge_to_the_whole_in_any_order(reference, values, cuts, random):
    cells = categorical_profile("x", np.array(reference, dtype=object))
    batch = np.array(values, dtype=object)
    parts = [Profile(len(p), {"x": cells.summarize(p)}) for p in split(batch, cuts)]
    random.shuffle(parts)
    whole = merge(parts)
    same(whole.features["x"], cells.summarize(batch))
    assert whole.rows == len(batch) == whole.features["x"].cells.sum()


def test_unseen_categories_are_bounded_and_still_order_free():
    cells = categorical_profile("x", np.array(["a"], dtype=object))
    batch = np.array([f"new {i % 3000}" for i in range(9000)], dtype=object)
    whole = cells.summarize(batch)
    parts = [cells.summarize(part) for part in np.split(batch, [100, 4000, 4500])]
    forward = parts[0].merge(parts[1]).merge(parts[2]).merge(parts[3])
    backward = parts[3].merge(parts[1].merge(parts[2])).merge(parts[0])
    same(forward, whole)
    same(backward, whole)
    assert len(whole.unseen) == 1000 and set(whole.unseen.values()) == {3} and whole.unseen_rows == 9000


def test_profiles_of_different_cells_do_not_merge():
    with pytest.raises(ValueError, match="same cells"):
        numeric_profile("x", np.arange(5.0)).merge(numeric_profile("x", np.arange(6.0)))


def test_deciles_are_cells_of_equal_mass():
    part = numeric_profile("x", np.random.default_rng(0).permutation(10_000).astype(float))
    assert part.cells.tolist() == [0, *[1000] * 10, 0, 0]


def test_up_to_twenty_values_get_a_cell_each():
    part = numeric_profile("x", np.repeat(np.arange(20.0), 3))
    assert part.cells.tolist() == [0, *[3] * 20, 0, 0]
    assert part.cell_labels[1:4] == ("0", "1", "2")


def test_a_heavy_value_stands_alone_where_deciles_collapse():
    rng = np.random.default_rng(1)
    values = np.concatenate(
        [np.zeros(6000), rng.exponential(1, 3000), np.full(1000, -5.0) - rng.random(1000)]
    )
    part = numeric_profile("x", values)
    cells = dict(zip(part.cell_labels, part.cells.tolist(), strict=True))
    assert cells["0"] == 6000
    assert len(cells) >= 6 and max(c for label, c in cells.items() if label != "0") <= 1300


def test_rows_outside_the_reference_have_their_own_cells():
    part = numeric_profile("x", np.arange(100.0))
    batch = part.summarize(np.array([-1, -np.inf, 5, 99, 100, np.inf, np.nan]))
    assert batch.out_of_range == (2, 2)
    assert batch.cells[0] == 2 and batch.cells[-2] == 2 and batch.cells[-1] == 1
    assert batch.finite == 4 and (batch.minimum, batch.maximum) == (-1, 100)


def test_moments_are_those_of_the_finite_values():
    values = np.array([1.0, 2, 4, np.inf, np.nan])
    part = numeric_profile("x", values)
    assert part.mean == pytest.approx(7 / 3)
    assert part.std == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert math.isnan(numeric_profile("x", np.array([1.0])).std)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=200), st.floats(0, 1))
def test_quantiles_are_exact_up_to_1024_distinct_values(values, q):
    part = numeric_profile("x", np.array(values))
    assert part.quantile(q) == np.quantile(np.array(values), q, method="inverted_cdf") or math.isclose(
        part.quantile(q), np.quantile(np.array(values), q, method="inverted_cdf"), rel_tol=1e-9
    )


def test_quantiles_of_a_large_sample_lie_within_the_grid_error():
    values = np.random.default_rng(2).normal(0, 1, 50_000)
    part = numeric_profile("x", values)
    assert len(part.grid) <= MAX_GRID and 0 < part.grid_error < 2 / MAX_GRID
    for q in (0.01, 0.25, 0.5, 0.9, 0.999):
        assert abs((values <= part.quantile(q)).mean() - q) <= part.grid_error + 1e-4


def test_atoms_are_grid_points():
    rng = np.random.default_rng(3)
    values = np.where(rng.random(20_000) < 0.01, 0.123456789, rng.normal(0, 1, 20_000))
    assert 0.123456789 in numeric_profile("x", values).grid


def test_bytes_round_trip_and_are_small():
    rng = np.random.default_rng(4)
    features = {f"f{i}": numeric_profile(f"f{i}", rng.normal(0, 1, 5000)) for i in range(20)}
    features["c"] = categorical_profile("c", np.array(["a", None, "ü"] * 50, dtype=object))
    features["c"] = features["c"].summarize(np.array(["a", "new", None], dtype=object))
    whole = Profile(5000, features, ("f0", "c"), ("gone",), ("more",), ("a note",), ("an error",))
    data = whole.to_bytes()
    again = Profile.from_bytes(data)
    for name, part in features.items():
        same(part, again.features[name])
    assert again.missing_columns == ("gone",) and again.notes == ("a note",) and again.rows == 5000
    assert len(data) / 21 < 10_000  # so that 500 features stay below 5 MB


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 nothing", json.dumps({"rows": 1}).encode()])
def test_damaged_bytes_are_refused(data):
    with pytest.raises(DataError) as caught:
        Profile.from_bytes(data)
    assert caught.value.kind == "unreadable"


def test_a_profile_cut_in_half_is_refused():
    data = Profile(3, {"x": numeric_profile("x", np.arange(3.0))}).to_bytes()
    with pytest.raises(DataError):
        Profile.from_bytes(data[: len(data) // 2])


def test_thirty_categories_have_a_cell_each_and_the_rest_share_one():
    words = np.array([f"w{i:02}" for i in range(40) for _ in range(40 - i)], dtype=object)
    part = categorical_profile("w", words)
    assert part.cell_labels[:3] + part.cell_labels[-4:] == (
        "w00",
        "w01",
        "w02",
        "w29",
        "other",
        "unseen",
        "missing",
    )
    assert part.cells.tolist()[-4:] == [11, sum(range(1, 11)), 0, 0]


def test_a_cell_of_one_value_is_an_interval_where_a_batch_has_values_in_between():
    reference = numeric_profile("port", np.repeat([53.0, 80.0, 874.0, 5222.0], [400, 300, 200, 100]))
    assert reference.cell_labels[1:-2] == ("53", "80", "874", "5222")
    batch = reference.summarize(np.repeat([53.0, 80.0, 874.0, 4444.0, 5222.0], [200, 100, 50, 140, 10]))
    assert batch.cell_labels[1:-2] == ("53", "80", "874", "874 – 5222")
    assert describe(reference, batch) == "share of 874 – 5222: 10 % → 30 %"


def test_a_median_known_only_roughly_is_one_number_where_both_ends_read_alike():
    rng = np.random.default_rng(0)
    rest = rng.uniform(1e6, 9e6, 3000)
    reference = numeric_profile("time", np.r_[np.zeros(100), np.full(100, 45.0), rest])
    batch = reference.summarize(np.r_[np.full(900, 20.0), rest[:100]])
    assert batch.quantile_range(0.5) == (0, 45)
    assert describe(reference, batch).endswith(" → 0")


@pytest.mark.parametrize(
    ("centre", "spread"),
    [(1.7e12, 6e4), (101_325, 0.01), (1, 1e-9), (0, 1e-50), (0, 1e-310), (0, 1e300), (5, 1)],
)
def test_grid_points_lie_as_close_as_the_values_allow(centre, spread):
    values = centre + spread * np.sort(np.random.default_rng(1).uniform(-1, 1, 20_000))
    reference = numeric_profile("x", values)
    assert reference.grid_error < 0.0025
    assert reference.grid[0] == values[0] and reference.grid[-1] == values[-1]
    assert reference.out_of_range == (0, 0)
    np.testing.assert_array_equal(reference.below, np.searchsorted(values, reference.grid, "left"))


def test_huge_values_have_the_spread_of_the_reference_in_blocks_too():
    values = 1e200 + np.random.default_rng(0).normal(size=1000) * 1e150
    reference = numeric_profile("x", values)
    tally = Tally.empty([reference.grid])
    for part in np.array_split(values, 4):
        tally.add(Tally.of([reference.grid], [part]))
    (fields,) = tally.fields()
    assert fields["finite"] == 1000 and not math.isnan(fields["m2"])
