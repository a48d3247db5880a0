"""The sample of a batch's rows: uniform, whole rows, the same in any grouping."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from detectors.sample import RowSample, RowSampler


def drawn(parts: list[int], most: int, seed: int = 0) -> RowSample:
    sampler, start = RowSampler(most, seed), 0
    for rows in parts:
        numbers = np.arange(start, start + rows, dtype=float)
        words = np.array([f"w{int(n)}" for n in numbers], dtype=object)
        sampler.add(rows, {"n": numbers}, {"w": words})
        start += rows
    found = sampler.sample()
    assert found is not None
    return found


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_rows_stay_whole_are_never_drawn_twice_and_as_many_as_asked(parts, most):
    sample = drawn(parts, most)
    assert sample.rows == min(most, sum(parts))
    numbers = sample.column("n").astype(int).tolist()
    assert len(set(numbers)) == len(numbers)
    assert [f"w{n}" for n in numbers] == sample.column("w").tolist()
    assert (np.diff(sample.keys) >= 0).all()


def test_a_small_table_is_kept_whole():
    assert sorted(drawn([30, 12], 100).column("n").tolist()) == list(map(float, range(42)))


def test_every_row_has_the_same_chance_wherever_it_stands():
    # 400 samples of 25 among 100 rows in uneven parts: each row is drawn 100 times on average.
    times = np.zeros(100)
    for seed in range(400):
        times[drawn([1, 9, 40, 50], 25, seed).column("n").astype(int)] += 1
    # negative hypergeometric draws: the variance of a count is 400 * 0.25 * 0.75, a little less for their sum
    statistic = ((times - 100) ** 2 / (400 * 0.25 * 0.75)).sum()
    assert 0.0001 < stats.chi2(99).sf(statistic) < 0.9999


def test_a_sample_of_the_parts_samples_is_a_sample_of_the_whole():
    first, second = drawn([80], 20, seed=1), drawn([70], 20, seed=2)
    both = first.merge(second, 20)
    keys = np.sort(np.concatenate([first.keys, second.keys]))[:20]
    assert np.array_equal(both.keys, keys)
    assert both.head(5).rows == 5 and np.array_equal(both.head(5).keys, keys[:5])


def test_nothing_added_is_no_sample():
    assert RowSampler().sample() is None
