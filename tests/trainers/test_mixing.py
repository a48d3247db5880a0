from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.mixing import Mix, draw, told

ERAS = np.repeat([0, 1, 2], [800, 100, 100])
LABELS = np.r_[np.repeat([0, 1], [700, 100]), np.tile([0, 1], 100)]


def counts(places: np.ndarray) -> list[int]:
    return np.bincount(ERAS[places], minlength=3).tolist()


def test_by_default_every_row_is_used_once() -> None:
    assert (draw(Mix(), ERAS, LABELS) == np.arange(1000)).all()
    assert told(Mix(), np.arange(1000), ERAS) == ""


def test_balanced_has_as_many_rows_of_each_class() -> None:
    places = draw(Mix("balanced"), ERAS, LABELS)
    assert np.bincount(LABELS[places]).tolist() == [500, 500]
    times = np.bincount(places, minlength=1000)
    assert set(times[LABELS == 1]) == {2, 3}  # 200 rows of the rare class, each as often as any other
    assert set(times[LABELS == 0]) == {0, 1}


def test_recent_halves_with_each_half_life() -> None:
    assert counts(draw(Mix("recent", half_life=1), ERAS, LABELS)) == [200, 50, 100]
    assert counts(draw(Mix("recent", half_life=2), ERAS, LABELS)) == [
        400,
        72,
        100,
    ]  # 0.5 ** 0.5 of 100, by class


@pytest.mark.parametrize(("most", "expected"), [(3, [268, 34, 100]), (100, [800, 100, 100])])
def test_capped_takes_old_rows_for_each_new_one(most: float, expected: list[int]) -> None:
    places = draw(Mix("capped", old_per_new=most), ERAS, LABELS)
    assert counts(places) == expected
    assert sum(expected[:2]) <= most * 100 + 4  # rounded up in each class of each era


def test_what_was_drawn_is_said() -> None:
    mix = Mix("recent", half_life=1)
    assert told(mix, draw(mix, ERAS, LABELS), ERAS) == (
        'mix = "recent": trained on 350 of 1,000 rows: 200 of 800 of era 0, 50 of 100 of era 1, 100 of 100 of era 2'
    )
    assert mix.params() == {"mix": "recent", "mix.half_life": 1}


@given(
    st.sampled_from([Mix("balanced"), Mix("recent", half_life=0.1), Mix("capped", old_per_new=0.001)]),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=50),
)
def test_no_class_is_ever_lost_and_the_draw_is_the_same_again(mix: Mix, rows: list[tuple[int, int]]) -> None:
    eras, labels = np.array(rows).T
    places = draw(mix, eras, labels)
    assert set(labels[places]) == set(labels)
    assert (np.diff(places) >= 0).all()
    assert (places == draw(mix, eras, labels)).all()
