"""A labelled sample comes back: every fault is listed, nothing half accepted; what is whole is used by its weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bot import labelling
from bot.demo.traffic import LABEL_COLUMN, NEW_MIX, mix
from bot.samples import SampleRefused, read_returned
from trainers.base import SAMPLE_COLUMNS

TRUE = mix(NEW_MIX, 1800, 3, day=8)[600:][LABEL_COLUMN].tolist()  # of the rows of traffic.drifted
Table = pd.DataFrame


def read(path: Path) -> Table:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def labelled(frame: Table) -> Table:
    """What a person makes of it."""
    places = [int(key.rpartition("-")[2]) - 1 for key in frame["dc_row_id"]]
    return frame.assign(**{LABEL_COLUMN: [TRUE[place] for place in places]})


@pytest.fixture
def given(watched, traffic) -> Table:
    """A sample of 40 rows that the watched model has given out, with the right labels."""
    drawing = watched.app.sampling.draw(watched.model, traffic.drifted, rows=40, strategy="drift")
    path = watched.folder / "given.csv"
    path.write_bytes(drawing.file)
    return labelled(read(path))


def refused(watched, frame: Table) -> tuple[str, ...]:
    path = watched.folder / "back.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(SampleRefused) as error:
        read_returned(watched.app.store, watched.model, path)
    return error.value.faults or (str(error.value),)


def test_what_comes_back_whole_has_the_weights_that_were_given_out(watched, given) -> None:
    shuffled = given.sample(frac=1, random_state=1)[[*reversed(given.columns)]].drop(columns="dc_weight")
    shuffled.iloc[:30].assign(comment="seen").to_csv(watched.folder / "back.csv", index=False, sep=";")
    back = read_returned(watched.app.store, watched.model, watched.folder / "back.csv")
    assert back.missing == 10 and back.sample.rows == 40
    wanted = given.set_index("dc_row_id")["dc_weight"].astype(float)
    assert back.weight.tolist() == wanted[shuffled["dc_row_id"].iloc[:30]].tolist()


def test_a_spreadsheet_may_round_at_the_fifteenth_digit_and_write_true_large(watched, given) -> None:
    def as_saved(cell: str) -> str:
        try:
            return f"{float(cell):.15g}"
        except ValueError:
            return cell.upper() if cell in ("True", "False") else cell

    features = [n for n in given.columns if n not in (*SAMPLE_COLUMNS, LABEL_COLUMN)]
    saved = given.assign(**{name: given[name].map(as_saved) for name in features})
    saved.to_csv(watched.folder / "back.csv", index=False)
    assert len(read_returned(watched.app.store, watched.model, watched.folder / "back.csv").frame) == 40


def test_every_fault_is_listed_with_its_row(watched, given) -> None:
    bad = given.copy()
    bad.loc[1, "dc_row_id"] = ""
    bad.loc[3, "dc_row_id"] = bad.loc[2, "dc_row_id"]
    bad.loc[5, "dc_row_id"] = "0123456789ab-7"
    bad.loc[7, LABEL_COLUMN] = ""
    bad.loc[9, LABEL_COLUMN] = "BENGIN"
    bad.loc[11, "Flow Duration"] = "1,5"
    bad.loc[13, "Protocol"] = ""
    bad.loc[15, "dc_sample"] = "another"
    faults = refused(watched, bad)
    told = {fault.partition(":")[0]: fault for fault in faults}
    assert list(told) == [f"row {row}" for row in (2, 4, 6, 8, 10, 12, 14, 16)]
    assert told["row 2"] == "row 2: dc_row_id is empty"
    assert any("is in row 3 already" in fault for fault in faults if fault.startswith("row 4:"))
    assert any(
        "changed" in fault for fault in faults if fault.startswith("row 4:")
    )  # the cells of another row
    assert told["row 6"] == 'row 6: dc_row_id "0123456789ab-7" was not given out'
    assert told["row 8"] == f'row 8: no label in "{LABEL_COLUMN}": label the row, or take it out'
    assert told["row 10"].startswith('row 10: the label "BENGIN" looks like a slip of "BENIGN"')
    assert '"Flow Duration" was ' in told["row 12"] and told["row 12"].endswith("and is 1,5")
    assert told["row 14"].startswith('row 14: changed: "Protocol" was ') and told["row 14"].endswith(
        "is empty"
    )
    assert 'of sample "another"' in told["row 16"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns=LABEL_COLUMN), f'there is no label column "{LABEL_COLUMN}"'),
        (lambda f: f.drop(columns=["Protocol"]), '"Protocol" that it was given out with is gone'),
        (lambda f: f.assign(**{LABEL_COLUMN: ""}), f'no row has a label in "{LABEL_COLUMN}" yet'),
        (lambda f: f.drop(columns="dc_sample"), "lacks the column dc_sample"),
        (lambda f: f.assign(dc_sample="nowhere"), 'nothing was given out here as sample "nowhere"'),
    ],
)
def test_what_is_wrong_with_the_whole_file_is_said_once(watched, given, change: Callable, said: str) -> None:
    (fault,) = refused(watched, change(given))
    assert said in fault


def test_a_label_that_is_neither_of_two_named_sides_is_a_fault(watch, traffic) -> None:
    watched = watch()
    both = watched.model.model_copy(
        update={"label": watched.model.label.model_copy(update={"positive": ("DDoS", "PortScan")})}
    )
    drawing = watched.app.sampling.draw(both, traffic.drifted, rows=10, strategy="random")
    (watched.folder / "given.csv").write_bytes(drawing.file)
    back = read(watched.folder / "given.csv").assign(**{LABEL_COLUMN: ["BENIGN", "Bot", *["DDoS"] * 8]})
    back.to_csv(watched.folder / "back.csv", index=False)
    with pytest.raises(SampleRefused) as error:
        read_returned(watched.app.store, both, watched.folder / "back.csv")
    assert error.value.faults == ('row 2: the label "Bot" is none of "DDoS", "PortScan", "BENIGN"',)


def test_in_the_labelled_folder_a_faulty_sample_does_not_wait_and_says_why(watched, given) -> None:
    bad = given.copy()
    bad.loc[4, LABEL_COLUMN] = ""
    bad.to_csv(watched.model.labeled / "bad.csv", index=False)
    given.to_csv(watched.model.labeled / "good.csv", index=False)
    (waits,) = labelling.waiting(watched.model, watched.app.store)
    assert (waits.path.name, waits.rows) == ("good.csv", 40)
    (said,) = labelling.unusable(watched.model)
    assert (
        said.path.name == "bad.csv"
        and "row 5: no label" in said.error
        and "nothing of it is used" in said.error
    )


def test_the_round_trip_at_a_terminal(trained, traffic, run, tmp_path) -> None:
    out = tmp_path / "label_me.csv"
    folder = trained.folder
    assert run(folder, "sample", traffic.drifted, "--n", 400, "--out", out).code == 0

    empty = run(folder, "accept", out)
    assert empty.code == 2 and "no row has a label" in empty.err
    bad = labelled(read(out))
    bad.loc[bad.index % 40 == 0, LABEL_COLUMN] = ""
    bad.to_csv(tmp_path / "bad.csv", index=False)
    for words in (("accept",), ("retrain", "--new-labeled-data"), ("performance",)):
        ran = run(folder, *words, tmp_path / "bad.csv")
        assert ran.code == 2 and ran.out == ""
        assert [line for line in ran.err.splitlines() if "no label" in line] == [
            f'row {row}: no label in "{LABEL_COLUMN}": label the row, or take it out'
            for row in range(1, 401, 40)
        ]
        assert ran.err.splitlines()[-1] == "error: 10 faults, nothing of it is used"

    labelled(read(out)).to_csv(out, index=False)
    accepted = run(folder, "accept", out, "--json").json
    there = Path(accepted["file"])
    assert (accepted["rows"], accepted["missing"]) == (400, 0) and there.read_bytes() == out.read_bytes()
    assert run(folder, "accept", out).code == 0  # once more the same
    (tmp_path / "x").mkdir()
    labelled(read(out)).head(390).to_csv(tmp_path / "x" / out.name, index=False)
    other = run(folder, "accept", tmp_path / "x" / out.name)
    assert other.code == 2 and "is another file of that name" in other.err and len(read(there)) == 400

    assert run(folder, "check", traffic.drifted).code == 1
    found = run(folder, "performance", there, "--json")
    said = found.json
    assert said["sample"] == accepted["sample"]["name"] and said["batch"]["verdict"] == "drift"
    truth = accuracy_on_the_whole_batch(folder, traffic)
    interval = said["intervals"]["accuracy"]
    assert interval["method"] == "Korn-Graubard" and interval["low"] <= truth <= interval["high"]
    assert abs(said["metrics"]["accuracy"] - truth) < 0.05
    assert said["metrics"]["rows"] == 400 and any("weighted: 400 rows of sample" in s for s in said["said"])
    assert "confusion matrix (rows as labelled, without weights)" in run(folder, "performance", there).out

    done = run(folder, "retrain", "--new-labeled-data", there, "--json")
    assert done.code == 0
    assert not any("dc_" in note for note in done.json["notes"])
    features = [*done.json["version"]["schema"]["numeric"], *done.json["version"]["schema"]["text"]]
    assert features and not set(SAMPLE_COLUMNS) & set(features)


def accuracy_on_the_whole_batch(folder: Path, traffic) -> float:
    from bot.bootstrap import Application
    from trainers.schema import typed_features
    from trainers.scoring import champion

    app = Application.load(folder / "driftcatcher.toml")
    record = app.store.champion(app.config.models[0].name).record
    app.close()
    predict = champion(record)
    assert predict is not None
    said, _ = predict(typed_features(pd.read_csv(traffic.drifted), record.schema, "batch", []))
    return float((said == np.array([label != "BENIGN" for label in TRUE])).mean())


def test_a_sample_is_no_base_for_segments(trained, traffic, run, tmp_path) -> None:
    out = tmp_path / "out.csv"
    run(trained.folder, "sample", traffic.drifted, "--n", 50, "--out", out)
    labelled(read(out)).to_csv(out, index=False)
    ran = run(trained.folder, "performance", out, "--segment", "Protocol")
    assert ran.code == 2 and "segments are not compared" in ran.err
    assert math.isfinite(run(trained.folder, "performance", out, "--json").json["metrics"]["accuracy"])
