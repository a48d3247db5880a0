"""The sampling benchmark itself, on a small made table: that it runs, says what it found, and cannot rot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks.sampling.command import TRIED, lines
from tests.benchmarks.sampling.regimes import LABEL, Regime
from tests.benchmarks.sampling.trial import mixes_of, trial
from trainers.sampling import STRATEGIES


def table(rows: int, seed: int, novel: bool) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(0, 1, (rows, 3)), columns=["a", "b", "c"])
    label = (frame["a"] + 0.5 * random.normal(0, 1, rows) > 0).astype(int)
    if novel:
        frame["b"] += 6.0
        label = 1 - label
    return frame.assign(**{LABEL: label})


@pytest.fixture(scope="module")
def outcomes():
    regime = Regime("made", table(6_000, 1, False), table(2_000, 2, True), 0.2, train=1_500, batch=1_500)
    return trial(regime, mixes_of(STRATEGIES), 0, labels=100)


def test_every_strategy_is_measured_on_the_same_batch(outcomes) -> None:
    assert [o.strategy for o in outcomes] == ["champion", *STRATEGIES]
    assert len({o.truth for o in outcomes[1:]}) == 1 and 0.5 < outcomes[1].truth < 0.9
    by = {o.strategy: o for o in outcomes}
    assert by["drift"].found > 1.5 * by["random"].found  # the new kind is what looks unlike the training data
    assert all(o.new > by["champion"].new for o in outcomes[1:])
    assert all(abs(o.weighted - o.truth) < 0.25 for o in outcomes[1:])


def test_the_table_holds_each_strategy_against_random(outcomes) -> None:
    said = [*lines("made", [*outcomes, *(replace(o, seed=1, new=o.new + 0.01) for o in outcomes)])]
    assert said[0].startswith("**made** (champion: new ")
    assert len(said) == 3 + len(STRATEGIES)
    assert sum(" to " in line for line in said[3:]) == len(STRATEGIES)


def test_what_was_tried_are_mixes() -> None:
    assert all(sum(mix.values()) == pytest.approx(1) for mix in TRIED.values())
