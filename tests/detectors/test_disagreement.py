"""Two versions on the same rows: the table against scikit-learn's, and the place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from detectors.baseline import Baseline
from detectors.disagreement import Disagreement, Place, disagreement, together
from detectors.table import coded_frame
from tests.versions_beside import of_two

COUNTS = st.integers(0, 5000)


def flows(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "duration": rng.lognormal(3, 1, rows),
            "port": rng.choice([22, 53, 80, 443, 8080], rows, p=[0.1, 0.1, 0.2, 0.5, 0.1]),
            "protocol": rng.choice(["tcp", "udp", "icmp"], rows, p=[0.8, 0.1, 0.1]),
            "bytes": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(0, 1, rows)),
        }
    )


@pytest.fixture(scope="module")
def parts() -> list:
    baseline = Baseline.fit(flows(5000, 0).assign(label=0), label="label")
    return list(baseline.features.values())


def compared(parts: list, frame: pd.DataFrame, differ: np.ndarray) -> Disagreement:
    """The second version says the contrary on these rows."""
    ours = (np.arange(len(frame)) % 3 == 0).astype(int)
    theirs = np.where(differ, 1 - ours, ours)
    return disagreement((ours, ours * 0.8), (theirs, theirs * 0.6), parts, coded_frame(parts, frame))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_the_table_is_that_of_both_labels(parts: list, pairs: list[tuple[bool, bool]]) -> None:
    ours, theirs = np.array(pairs, dtype=np.int64).T
    frame = flows(len(ours), 1)
    found = disagreement((ours, ours / 2), (theirs, theirs / 4), parts, coded_frame(parts, frame))
    table = [[found.positive(champion=a, challenger=b) for b in (False, True)] for a in (False, True)]
    assert table == confusion_matrix(ours, theirs, labels=[0, 1]).tolist()
    assert (found.rows, found.differing) == (len(ours), int((ours != theirs).sum()))
    assert found.champion_mean == pytest.approx(ours.mean() / 2)
    assert found.challenger_mean == pytest.approx(theirs.mean() / 4)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_of_several_classes_it_is_told_which_became_which(parts: list, pairs: list[tuple[int, int]]) -> None:
    names = ("benign", "flood", "scan")
    ours, theirs = np.array(pairs, dtype=np.int64).T
    coded = coded_frame(parts, flows(len(ours), 1))
    found = disagreement((ours, ours / 4), (theirs, theirs / 8), parts, coded, names)
    table = confusion_matrix(ours, theirs, labels=[0, 1, 2])
    assert {(one.champion, one.challenger): one.rows for one in found.said} == {
        (a, b): int(table[i, j]) for i, a in enumerate(names) for j, b in enumerate(names) if table[i, j]
    }
    assert found.differing == table.sum() - np.trace(table) == sum(one.rows for one in found.turned)
    counts = [one.rows for one in found.turned]
    assert (counts, found.several) == (sorted(counts, reverse=True), True)


@pytest.mark.parametrize(
    ("inside", "name"),
    [
        (lambda f: f["protocol"] == "udp", 'protocol = "udp"'),
        (lambda f: f["duration"] > f["duration"].quantile(0.75), "duration above "),
        (lambda f: f["bytes"].isna(), "bytes missing"),
    ],
)
def test_where_they_differ_is_named(parts: list, inside, name: str) -> None:
    frame = flows(3000, 2)
    random = np.random.default_rng(3).random(len(frame))
    differ = np.where(inside(frame), random < 0.2, random < 0.005)
    place = compared(parts, frame, differ).places[0]
    assert place.name.startswith(name)
    assert place.differing > 0.7 * differ.sum() and place.rows < 0.3 * len(frame)


def test_no_place_is_named_where_they_differ_anywhere(parts: list) -> None:
    named = 0
    for seed in range(300):
        frame = flows(400, 100 + seed)
        differ = np.random.default_rng(seed).random(400) < [0.005, 0.02, 0.2][seed % 3]
        named += bool(compared(parts, frame, differ).places)
    assert named <= 8  # at 1 %, with a chance of 99.6 %


def test_a_place_needs_rows_that_differ(parts: list) -> None:
    frame = flows(500, 4)
    assert compared(parts, frame, np.zeros(500, dtype=bool)).places == ()
    one = compared(parts, frame, np.arange(500) == 7)
    assert (one.differing, one.places) == (1, ())


@st.composite
def found(draw: st.DrawFn) -> Disagreement:
    counts = [draw(COUNTS) for _ in range(4)]
    means = draw(st.floats(0, 1)), draw(st.floats(0, 1))
    return of_two(*counts, *means)


@given(st.lists(found(), min_size=1, max_size=5))
def test_batches_together_are_as_one(each: list[Disagreement]) -> None:
    whole = together(each)
    rows = sum(one.rows for one in each)
    if not rows:
        assert whole is None
        return
    assert whole is not None
    assert (whole.rows, whole.differing) == (rows, sum(one.differing for one in each))
    assert whole.champion_mean == pytest.approx(sum(one.champion_mean * one.rows for one in each) / rows)
    assert together(reversed(each)).said == whole.said


def test_a_place_of_one_batch_must_hold_most_of_all_of_them() -> None:
    dns, web = Place("port = 53", 100, 9, 1000, 10), Place("port = 80", 200, 8, 1000, 10)
    one = of_two(900, 5, 5, 90, 0.1, 0.1, (dns, web))
    both = together([one, one]).places
    assert both == (Place("port = 53", 200, 18, 2000, 20, 2), Place("port = 80", 400, 16, 2000, 20, 2))
    elsewhere = of_two(900, 10, 10, 80, 0.1, 0.1)
    assert together([one, elsewhere]).places == ()
    assert together([]) is None


def test_the_shares_of_a_place_are_of_batches_in_which_its_rows_are_known(parts: list) -> None:
    """Every row of the last batch lies in it, and the versions agree there: it stands out in the first two alone."""
    frames = [flows(3000, seed) for seed in (2, 3, 4)]
    frames[2] = frames[2].assign(protocol="udp")
    inside = [(frame["protocol"] == "udp").to_numpy() for frame in frames]
    random = np.random.default_rng(3)
    differs = [here & (random.random(3000) < 0.5) for here in inside[:2]] + [np.zeros(3000, dtype=bool)]
    found = [compared(parts, frame, differ) for frame, differ in zip(frames, differs, strict=True)]
    place = together(found).places[0]
    assert (place.name, place.batches, place.among) == ('protocol = "udp"', 2, 6000)
    assert place.rows == inside[0].sum() + inside[1].sum()
    assert place.differing == place.among_differing == sum(differ.sum() for differ in differs)
