from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from state.store import Store
from trainers.base import DataFile
from trainers.judgement import Expectation, compare

ONE, TWO = DataFile("/a.csv", "aa" * 32, 10), DataFile("/b.csv", "bb" * 32, 20)


def made(gained: int = 7) -> Expectation:
    before = np.repeat([1, 0], [20, gained])
    return Expectation(compare("new", np.ones_like(before), before, np.ones_like(before)), 3, 100, 150, 61.5)


def test_an_expectation_is_kept_with_champion_and_files(store: Store, now: Any) -> None:
    store.keep_expectation("ids", 1, (ONE, TWO), made(), now)
    assert store.expectation("ids", 1, (TWO, ONE)) == made()  # the contents count, in whatever order
    assert store.expectation("ids", 1, (replace(ONE, path="/moved.csv"), TWO)) == made()
    assert store.expectation("ids", 1, (ONE,)) is None
    assert store.expectation("ids", 2, (ONE, TWO)) is None
    assert store.expectation("other", 1, (ONE, TWO)) is None


def test_a_newer_estimate_takes_its_place(store: Store, now: Any) -> None:
    for gained in (7, 9):
        store.keep_expectation("ids", 1, (ONE,), made(gained), now)
    assert store.expectation("ids", 1, (ONE,)) == made(9)
