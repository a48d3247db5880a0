from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.digest import sha256_file
from detectors.errors import DataError
from trainers.base import DataFile, LabelSpec, TrainingError
from trainers.dataset import _copies, build


def rows_of(frame: pd.DataFrame) -> set[tuple]:
    return set(frame.itertuples(index=False, name=None))


def recorded(path: Path, rows: int = 1) -> DataFile:
    return DataFile(str(path), sha256_file(path), rows)


def test_old_and_new_rows_are_trained_on_and_held_out_apart(flows, csv, spec):
    old = csv(flows(400), "old.csv")
    new = csv(flows(200, ("scan",), seed=1), "new.csv")
    data = build([old], [new], spec)
    assert data.schema.features == ("rate", "bytes", "proto", "service")
    assert set(data.holdouts) == {"old", "new"}
    held = {side: len(labels) for side, (_, labels) in data.holdouts.items()}
    assert len(data.train_y) + sum(held.values()) == 600
    assert data.new_rows + held["new"] == 200
    assert data.holdouts["new"][1].all()
    assert [Path(file.path).name for file in data.files] == ["old.csv", "new.csv"]
    assert [file.rows for file in data.files] == [400, 200]
    assert data.files[0] == recorded(old, 400)
    for features, _ in data.holdouts.values():
        assert not rows_of(features) & rows_of(data.train_x)


def test_a_labelled_file_given_again_under_other_names_changes_nothing(flows, csv, spec):
    old, new = flows(400), flows(200, ("scan", "BENIGN"), seed=1)
    files = [csv(new, "a.csv")]
    for seed, columns in ((2, list(new.columns)[::-1]), (3, sorted(new.columns))):
        files.append(csv(new.sample(frac=1, random_state=seed)[columns], f"again{seed}.csv"))
    base = csv(old, "old.csv")
    once, thrice = build([base], files[:1], spec), build([base], files, spec)
    assert thrice.duplicates == once.duplicates + 2 * len(new)
    pd.testing.assert_frame_equal(once.train_x, thrice.train_x)
    assert (once.train_y == thrice.train_y).all()
    for side in ("old", "new"):
        pd.testing.assert_frame_equal(once.holdouts[side][0], thrice.holdouts[side][0])


@pytest.mark.parametrize(("weights", "said"), [((2.0, 9.5), True), ((4.0, 4.0), False)])
def test_rows_that_were_drawn_with_unequal_chances_are_said_to_be(flows, csv, spec, weights, said):
    scans = flows(200, ("scan", "BENIGN"), seed=1)
    drawn = scans.assign(dc_row_id=[f"x-{n}" for n in range(200)], dc_weight=np.resize(weights, 200))
    data = build([csv(flows(300), "base.csv")], [csv(drawn, "drawn.csv")], spec)
    assert any("drawn.csv was drawn with unequal chances" in note for note in data.notes) == said
    assert not any(name.startswith("dc_") for name in data.train_x)


def regrouped(hosts: pd.Series, how: str) -> pd.Series:
    """The group column as somebody else wrote it."""
    if how == "renamed":
        return "srv-" + hosts
    return hosts.where(np.zeros(len(hosts), bool) if how == "blank" else np.arange(len(hosts)) % 2 == 0)


def held_rows(data) -> set[tuple]:
    return set().union(*(rows_of(features) for features, _ in data.holdouts.values()))


@pytest.mark.parametrize("how", ["blank", "renamed", "half blank"])
def test_rows_given_again_with_another_group_never_change_sides(flows, csv, spec, how):
    base = flows(300).assign(host=[f"h{n % 40}" for n in range(300)])
    grouped = replace(spec, group="host")
    once = csv(base, "once.csv")
    first = build([once], [], grouped)
    again = base.assign(host=regrouped(base["host"], how))
    with pytest.raises(TrainingError, match="is in the old data already"):
        build([once], [csv(again, "again.csv")], grouped)
    more = pd.concat(
        [
            flows(200, seed=3).assign(host=[f"k{n % 40}" for n in range(200)]),
            again.sample(frac=1, random_state=0),
        ]
    )
    later = build([once], [csv(more, "more.csv")], grouped, schema=first.schema)
    assert later.duplicates == 300
    assert any("rows are in an earlier file with another group: they are copies" in n for n in later.notes)
    assert not held_rows(first) & rows_of(later.train_x)
    assert not rows_of(first.train_x) & held_rows(later)
    assert len(later.holdouts["old"][1]) == len(first.holdouts["old"][1])


@pytest.mark.parametrize("how", ["blank", "renamed", "half blank"])
def test_with_other_numbers_or_labels_they_are_no_copies_but_stay_on_their_side(flows, csv, spec, how):
    base = flows(300).assign(host=[f"h{n % 40}" for n in range(300)])
    grouped = replace(spec, group="host")
    once = csv(base, "once.csv")
    first = build([once], [], grouped)
    other = base.assign(host=regrouped(base["host"], how), id=range(300))
    other.loc[::3, "label"] = other.loc[::3, "label"].map({"BENIGN": "ddos", "ddos": "BENIGN"})
    files = [
        csv(pd.concat([other, other]), "other.csv"),
        csv(other.assign(id=range(900, 1200), host="x"), "x.csv"),
    ]
    later = build([once], files, grouped, schema=first.schema)
    assert later.duplicates == 0
    assert any("stay on its side though their own group is on the other" in note for note in later.notes)
    assert not held_rows(first) & rows_of(later.train_x)
    assert not rows_of(first.train_x) & held_rows(later)
    retrained = build(
        later.files,
        [csv(flows(90, seed=9).assign(host=[f"y{n % 40}" for n in range(90)]), "y.csv")],
        grouped,
        schema=first.schema,
    )
    assert not held_rows(first) & rows_of(retrained.train_x)


def test_new_groups_with_the_few_rows_there_are_train_and_measure_by_group(csv) -> None:
    rng = np.random.default_rng(0)

    def write(name: str, rows: int, hosts: str) -> Path:
        frame = pd.DataFrame({"a": rng.integers(0, 4, rows), "b": rng.integers(0, 4, rows)})
        frame["host"] = [f"{hosts}{n}" for n in rng.integers(0, 60, rows)]
        return csv(frame.assign(y=rng.integers(0, 2, rows)), name)

    spec = LabelSpec("y", positive=("1",), group="host")
    data = build([write("old.csv", 3000, "h")], [write("new.csv", 1500, "g")], spec)
    assert data.duplicates == 0
    held = len(data.holdouts["new"][1])
    assert held + data.new_rows == 1500
    assert 0.1 < held / 1500 < 0.5
    assert not any("stay on its side" in note for note in data.notes)


def test_a_row_belongs_to_the_era_of_the_file_that_first_held_it(flows, csv, spec):
    base, scans = csv(flows(300), "base.csv"), csv(flows(200, ("scan",), seed=1), "scans.csv")
    first = build([base], [scans], spec)
    assert [file.era for file in first.files] == [0, 1]
    assert set(first.train_eras) == {0, 1}
    assert {side: set(eras) for side, eras in first.holdout_eras.items()} == {"old": {0}, "new": {1}}
    # The third era brings the scans again, shuffled, under another name, and rows of its own.
    again = pd.concat([pd.read_csv(scans), flows(150, seed=7)]).sample(frac=1, random_state=2)
    second = build(first.files, [csv(again, "again.csv")], spec, schema=first.schema)
    assert [file.era for file in second.files] == [0, 1, 2]
    held = {side: np.bincount(eras, minlength=3).tolist() for side, eras in first.holdout_eras.items()}
    assert np.bincount(second.holdout_eras["old"]).tolist() == [held["old"][0], held["new"][1]]
    assert set(second.holdout_eras["new"]) == {2}
    assert (second.train_eras == 1).sum() == (first.train_eras == 1).sum()
    third = build(second.files, [scans, csv(flows(90, seed=9), "more.csv")], spec, schema=first.schema)
    assert [(Path(file.path).name, file.era) for file in third.files] == [
        ("base.csv", 0),
        ("scans.csv", 1),
        ("again.csv", 2),
        ("more.csv", 3),
    ]


def test_no_row_ever_changes_sides_across_retrains_types_and_columns(flows, csv, spec, tmp_path):
    old, new = flows(300), flows(300, ("scan",), seed=1)
    first = build([csv(old, "old.csv")], [csv(new, "new.csv")], spec)
    held = rows_of(first.holdouts["old"][0]) | rows_of(first.holdouts["new"][0])
    # The same rows come back later as Parquet, with other identifiers, types and order, as old and as new data.
    again = pd.concat([old, new]).sample(frac=1, random_state=0)
    again = again.assign(id=0, bytes=again["bytes"].astype("float32"), proto=again["proto"].astype("float64"))
    again[sorted(again.columns)].to_parquet(tmp_path / "again.parquet")
    later = build([tmp_path / "again.parquet"], [csv(flows(50, seed=5), "c.csv")], spec, schema=first.schema)
    assert not held & rows_of(later.train_x)
    assert held == rows_of(later.holdouts["old"][0])


def test_the_training_rows_depend_on_the_rows_and_not_on_their_order(flows, csv, spec):
    frame = flows(300)
    one = build([csv(frame, "one.csv")], [], spec)
    other = build([csv(frame.sample(frac=1, random_state=9), "other.csv")], [], spec)
    pd.testing.assert_frame_equal(one.train_x, other.train_x)
    assert (one.train_y == other.train_y).all()


def test_repeated_rows_within_a_file_stay_and_those_of_an_earlier_file_go(flows, csv, spec):
    old = flows(300)
    repeated = pd.concat([old.head(5), flows(100, seed=1), flows(100, seed=1).head(10)])
    data = build([csv(old, "old.csv")], [csv(repeated, "new.csv")], spec)
    assert data.duplicates == 5
    assert data.new_rows + len(data.holdouts["new"][1]) == 110


def test_another_identifier_makes_another_row(flows, csv, spec):
    old = flows(300)
    again = old.head(100).assign(id=range(100))
    data = build([csv(old, "old.csv")], [csv(again, "new.csv")], spec)
    assert data.duplicates == 0


def test_rows_with_two_labels_are_counted_and_kept(flows, csv, spec):
    old = flows(300)
    turned = old.head(20).assign(label="BENIGN")
    data = build([csv(old, "old.csv")], [csv(pd.concat([turned, flows(100, seed=1)]), "new.csv")], spec)
    were_attacks = int((old.head(20)["label"] != "BENIGN").sum())
    assert were_attacks > 0
    assert data.conflicts == were_attacks
    assert data.duplicates == 20 - were_attacks


def test_missing_feature_columns_are_listed(flows, csv, spec):
    new = csv(flows(50, seed=1).drop(columns=["rate", "bytes"]), "new.csv")
    with pytest.raises(
        TrainingError, match=r'new.csv lacks columns "rate", "bytes", on which the model is trained'
    ):
        build([csv(flows(), "old.csv")], [new], spec)


def test_extra_columns_are_ignored_with_a_note(flows, csv, spec):
    new = csv(flows(100, seed=1).assign(extra=1), "new.csv")
    data = build([csv(flows(), "old.csv")], [new], spec)
    assert "extra" not in data.train_x
    assert [note for note in data.notes if 'new.csv: column "extra" is not in the old data' in note]


def test_old_data_that_changed_is_refused_by_name(flows, csv, spec):
    old = csv(flows(), "old.csv")
    known = recorded(old)
    csv(flows(seed=4), "old.csv")
    with pytest.raises(TrainingError, match=r"old.csv has changed since flows version 3 was trained on it"):
        build([known], [csv(flows(seed=1), "new.csv")], spec, owner="flows version 3")


def test_old_data_that_is_gone_is_refused_by_name(flows, csv, spec):
    old = csv(flows(), "old.csv")
    known = recorded(old)
    old.unlink()
    with pytest.raises(TrainingError, match=r"old.csv is gone since flows version 3 was trained on it"):
        build([known], [csv(flows(seed=1), "new.csv")], spec, owner="flows version 3")


def test_a_new_file_that_changed_since_it_was_chosen_is_refused(flows, csv, spec):
    chosen = recorded(csv(flows(100, seed=1), "new.csv"))
    assert build([csv(flows(), "old.csv")], [chosen], spec).new_rows > 0
    csv(flows(100, seed=2), "new.csv")
    with pytest.raises(TrainingError, match=r"new.csv has changed since it was chosen"):
        build([csv(flows(), "old.csv")], [chosen], spec)


def test_the_period_goes_with_its_row_and_is_no_feature(flows, csv, spec):
    # The period repeats the rate, so each training row shows whether it got its own.
    frame = flows(300).assign(day=lambda table: table["rate"])
    dated = replace(spec, period="day")
    data = build([csv(frame, "old.csv")], [csv(flows(100, seed=1), "new.csv")], dated)
    assert "day" not in data.train_x
    has = data.periods.notna()
    assert int(has.sum()) == len(data.train_y) - data.new_rows
    assert (data.periods[has] == data.train_x["rate"][has]).all()
    assert [note for note in data.notes if 'new.csv lacks the period column "day"' in note]
    with pytest.raises(TrainingError, match='no labelled file has the period column "week"'):
        build([csv(frame, "old.csv")], [], replace(spec, period="week"))


def test_a_feature_that_the_configuration_now_ignores_is_refused(flows, csv, spec):
    old = csv(flows(), "old.csv")
    schema = build([old], [], spec).schema
    narrower = LabelSpec("label", negative=("BENIGN",), ignore=("id", "bytes"))
    with pytest.raises(
        TrainingError, match='was trained on column "bytes", which the configuration now ignores'
    ):
        build([old], [], narrower, schema=schema)


def test_a_file_of_nothing_new_is_refused(flows, csv, spec):
    old = flows()
    with pytest.raises(TrainingError, match=r"every row of .*new.csv is in the old data already"):
        build([csv(old, "old.csv")], [csv(old.head(50), "new.csv")], spec)


def test_one_class_in_all_is_refused(flows, csv, spec):
    with pytest.raises(
        TrainingError, match=r"no row of .*old.csv has a positive label: both classes are needed"
    ):
        build([csv(flows(kinds=("BENIGN",)), "old.csv")], [], spec)


def test_a_class_that_is_missing_on_one_side_is_refused(flows, csv, spec):
    frame = pd.concat([flows(200, ("BENIGN",)), flows(1, ("ddos",))])
    with pytest.raises(
        TrainingError, match=r"side .*no row with a positive label: there are 1 in all, 1 different row, and"
    ):
        build([csv(frame, "old.csv")], [], spec)


def test_new_rows_that_are_all_held_out_are_refused_and_those_all_trained_on_are_noted(flows, csv, spec):
    old, new = csv(flows(), "old.csv"), flows(60, ("scan",), seed=1)
    both = build([old], [csv(new, "new.csv")], spec)
    held = new["rate"].isin(both.holdouts["new"][0]["rate"])
    with pytest.raises(TrainingError, match=r"all \d+ rows of .*held.csv are on the hold-out side"):
        build([old], [csv(new[held], "held.csv")], spec)
    data = build([old], [csv(new[~held], "trained.csv")], spec)
    assert "new" not in data.holdouts
    assert "only 0 new rows are on the hold-out side: what they say is uncertain" in data.notes


def test_an_empty_file_is_a_data_error(csv, spec, tmp_path):
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError) as raised:
        build([tmp_path / "empty.csv"], [], spec)
    assert raised.value.kind == "empty_file"


def test_infinite_missing_and_odd_cells_are_read(flows, csv, spec):
    frame = flows(300).astype({"rate": object})
    frame.loc[:3, "rate"] = ["Infinity", "NaN", "", "oops"]
    data = build([csv(frame, "old.csv")], [], spec)
    everything = pd.concat([data.train_x, data.holdouts["old"][0]])["rate"]
    assert np.isinf(everything).sum() == 1
    assert everything.isna().sum() == 3
    assert any('"rate"' in note and "missing" in note for note in data.notes)


def test_progress_names_the_files(flows, csv, spec):
    told: list[str] = []
    build([csv(flows(), "old.csv")], [csv(flows(100, seed=1), "new.csv")], spec, progress=told.append)
    assert told == ["reading old.csv", "reading new.csv"]


def test_base_data_is_needed(spec):
    with pytest.raises(TrainingError, match="no base data was named"):
        build([], [], spec)


def test_codes_with_leading_zeros_are_the_same_category_in_training_and_in_a_batch(tmp_path: Path) -> None:
    from detectors import Baseline, check

    rng = np.random.default_rng(5)

    def write(name: str, rows: int) -> Path:
        codes = rng.choice(["01234", "20095", "80331"], rows)
        frame = pd.DataFrame({"postcode": codes, "x": rng.normal(size=rows), "y": rng.integers(0, 2, rows)})
        frame.to_csv(tmp_path / name, index=False)
        return tmp_path / name

    base, batch = write("base.csv", 2000), write("batch.csv", 1000)
    data = build([base], [], LabelSpec("y", positive=("1",), categorical=("postcode",)))
    assert set(data.train_x["postcode"]) == {"01234", "20095", "80331"}
    baseline = Baseline.fit(data.train_x, categorical=("postcode",))
    assert check(baseline, batch).verdict == "stable"
    assert check(Baseline.fit(base, label="y", categorical=("postcode",)), batch).verdict == "stable"


def test_new_observations_of_few_combinations_are_no_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)

    def write(name: str, rows: int, positive: float) -> Path:
        frame = pd.DataFrame({"a": rng.integers(0, 8, rows), "b": rng.integers(0, 8, rows)})
        frame["y"] = (rng.random(rows) < positive).astype(int)
        frame.to_csv(tmp_path / name, index=False)
        return tmp_path / name

    old, new = write("old.csv", 2000, 0.05), write("new.csv", 1000, 0.48)
    data = build([old], [new], LabelSpec("y", positive=("1",)))
    shares = [labels.mean() for side, (_, labels) in data.holdouts.items() if side == "new"]
    assert data.duplicates == 0
    assert shares[0] == pytest.approx(0.48, abs=0.1)


def test_an_identifier_tells_copies_from_observations(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"id": range(1000), "a": rng.integers(0, 5, 1000), "y": rng.integers(0, 2, 1000)})
    frame.to_csv(tmp_path / "old.csv", index=False)
    frame.sample(300, random_state=1).to_csv(tmp_path / "again.csv", index=False)
    frame.assign(id=frame["id"] + 5000).to_csv(tmp_path / "new.csv", index=False)
    spec = LabelSpec("y", positive=("1",), ignore=("id",))
    data = build([tmp_path / "old.csv"], [tmp_path / "again.csv", tmp_path / "new.csv"], spec)
    assert data.duplicates == 300


def repeated(rows: int, seed: int) -> pd.DataFrame:
    """Rows without an identifier, a quarter of them all zeros, so that many come more than once."""
    rng = np.random.default_rng(seed)
    columns = {name: np.where(rng.random(rows) < 0.5, 0, rng.normal(size=rows).round(4)) for name in "ab"}
    return pd.DataFrame(columns).assign(y=lambda f: (f.a + f.b + rng.normal(size=rows) * 0.1 > 0).astype(int))


def test_a_file_that_was_exported_again_is_no_new_data_though_its_rows_repeat(tmp_path: Path, csv) -> None:
    spec, base = LabelSpec("y", positive=("1",)), repeated(2000, 0)
    old = csv(base, "old.csv")
    for part in (base, base.head(900)):
        with pytest.raises(TrainingError, match="is in the old data already"):
            build([old], [csv(part.sample(frac=1, random_state=1), "again.csv")], spec)
    fresh = repeated(300, 1)
    cumulative = build([old], [csv(pd.concat([fresh, base]), "cumulative.csv")], spec)
    assert cumulative.duplicates == 2000
    assert cumulative.new_rows + len(cumulative.holdouts["new"][1]) == 300


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 5), st.floats(0, 2), st.floats(1, 4), st.floats(1, 4))
def test_independent_samples_of_few_values_are_never_taken_for_copies(seed, kinds, slope, one, other) -> None:
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, int(10**kinds) + 1) ** slope
    weights /= weights.sum()
    drawn = [rng.choice(len(weights), int(10**rows), p=weights) for rows in (one, other)]
    first, second = (np.unique(rows, return_counts=True) for rows in drawn)
    assert _copies(first, first)
    assert np.array_equal(first, second) or not _copies(first, second)


@pytest.mark.parametrize("broken", [lambda v: f"{v} ms", lambda _: None, lambda _: "", lambda _: "n/a"])
def test_a_column_that_is_broken_in_one_file_alone_is_refused(flows, csv, spec, broken) -> None:
    """Trained on, "missing" would mean the labels of that file, and the hold-outs would praise it."""
    new = flows(60, ("scan",), seed=1)
    new["rate"] = [broken(v) for v in new["rate"]]
    with pytest.raises(TrainingError, match=r'bad.csv: .*column "rate"'):
        build([csv(flows(), "old.csv")], [csv(new, "bad.csv")], spec)


def test_what_the_champion_was_trained_on_is_not_judged_again(flows, csv, spec) -> None:
    half = flows(200, seed=2).assign(bytes=None)
    old = [csv(flows(), "old.csv"), csv(half, "half.csv")]
    with pytest.raises(TrainingError, match=r'half.csv: column "bytes".* or train anew with it in `ignore`'):
        build(old, [], spec)
    schema = build(old[:1], [], spec).schema
    assert build(old, [csv(flows(60, ("scan",), seed=1), "new.csv")], spec, schema=schema).new_rows > 0


def test_a_column_that_is_often_empty_may_be_empty_in_a_small_file(flows, csv, spec) -> None:
    old = flows(400)
    old.loc[old.index % 10 != 0, "bytes"] = None
    new = flows(30, ("scan",), seed=1).assign(bytes=None)
    assert build([csv(old, "old.csv")], [csv(new, "new.csv")], spec).new_rows > 0


def test_a_label_that_is_a_word_among_numbers_is_a_label(flows, csv) -> None:
    frame = flows(200)
    frame["label"] = np.where(frame["label"] == "ddos", "worm", "0")
    frame.loc[frame.index % 20 > 0, "label"] = frame["label"].replace("worm", "1")
    assert (frame["label"] == "worm").mean() < 0.05
    data = build([csv(frame, "old.csv")], [], LabelSpec("label", negative=("0",), ignore=("id",)))
    positive = data.train_y.sum() + data.holdouts["old"][1].sum()
    assert positive == (frame["label"] != "0").sum()


def test_rows_that_are_mostly_the_same_are_noted(csv) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(0, 3, 4000), "b": rng.integers(0, 4, 4000)})
    frame["y"] = rng.integers(0, 2, 4000)
    data = build([csv(frame, "g.csv")], [], LabelSpec("y", positive=("1",)))
    assert any("there are only 12 different rows" in note for note in data.notes)
