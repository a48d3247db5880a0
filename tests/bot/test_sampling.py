"""`driftcatcher sample`: a file to label with the model's columns, ids, reasons and weights."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from bot.demo.traffic import IDENTIFIERS, LABEL_COLUMN
from bot.sampling import sample_lines
from bot.slack.rendering import Renderer
from bot.slack.samples import hand_out
from bot.times import utc_now
from detectors.digest import sha256_file
from detectors.errors import DataError
from trainers.base import SAMPLE_COLUMNS


def read(path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_a_sample_has_the_models_columns_an_empty_label_and_why_each_row_is_there(
    trained, traffic, run, tmp_path
) -> None:
    out = tmp_path / "label_me.csv"
    ran = run(trained.folder, "sample", traffic.drifted, "--n", 200, "--out", out)
    assert (ran.code, ran.err) == (0, "")
    assert "200 of 1,200 rows of drifted.csv: " in ran.out and "at random" in ran.out
    assert "strategy hybrid, seed 0, version 1" in ran.out
    drawn, batch = read(out), read(traffic.drifted)
    assert list(drawn.columns) == [
        "dc_row_id",
        LABEL_COLUMN,
        *batch.columns,
        "dc_why",
        "dc_weight",
        "dc_sample",
    ]
    assert (drawn[LABEL_COLUMN] == "").all()
    prefix = sha256_file(traffic.drifted)[:12]
    number = [int(key.removeprefix(f"{prefix}-")) for key in drawn["dc_row_id"]]
    assert number == sorted(set(number)) and number[0] >= 1 and number[-1] <= 1200
    for name in batch.columns:  # the cells are those of the batch's row of that number
        mine, theirs = drawn[name].tolist(), batch[name].iloc[[n - 1 for n in number]].tolist()
        if name in IDENTIFIERS:
            assert mine == theirs
        else:
            assert [float(a) for a in mine] == [float(b) for b in theirs], name
    weights = drawn["dc_weight"].astype(float)
    assert weights.max() <= 2 * 1200 / 200 + 1e-9
    assert weights.sum() == pytest.approx(1200, rel=0.25)
    assert set(drawn["dc_why"].str.split(":").str[0]) == {
        "at random, spread over the rows", "the model is unsure", "unlike the training data",
    }  # fmt: skip


def test_the_same_draw_is_the_same_file_and_another_seed_another(trained, traffic, run, tmp_path) -> None:
    words = ("sample", traffic.drifted, "--n", 100, "--json")
    first = run(trained.folder, *words, "--out", tmp_path / "a.csv").json
    again = run(trained.folder, *words, "--out", tmp_path / "b.csv").json
    other = run(trained.folder, *words, "--seed", 1, "--out", tmp_path / "c.csv").json
    a, b, c = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b and first["name"] == again["name"] != other["name"]
    assert a != c and other["seed"] == 1
    assert first["arms"]["random"] + first["arms"]["uncertain"] + first["arms"]["drift"] == 100


@pytest.mark.parametrize("strategy", ["uncertain", "drift", "diverse", "time", "random"])
def test_each_strategy_draws_what_it_says(strategy, trained, traffic, run, tmp_path) -> None:
    out = tmp_path / "out.csv"
    said = run(
        trained.folder, "sample", traffic.drifted, "--n", 60, "--strategy", strategy, "--out", out, "--json"
    ).json
    drawn = read(out)
    assert said["rows"] == len(drawn) == 60
    weights = drawn["dc_weight"].astype(float)
    if strategy in ("time", "random"):
        assert said["arms"] == {"random": 60} and set(weights) == {20.0}
    else:
        assert said["arms"][strategy] > 40 and weights.nunique() > 2


def test_labels_are_not_overwritten_unless_forced(trained, traffic, run, tmp_path) -> None:
    out = tmp_path / "mine.csv"
    out.write_text("my labels")
    refused = run(trained.folder, "sample", traffic.drifted, "--out", out)
    assert refused.code == 3 and "is there already" in refused.err and out.read_text() == "my labels"
    assert run(trained.folder, "sample", traffic.drifted, "--out", out, "--force").code == 0
    assert len(read(out)) == 500
    assert run(trained.folder, "sample", traffic.drifted, "--out", out).code == 0  # the same bytes


def test_a_batch_without_the_models_columns_is_bad_input(trained, traffic, run, tmp_path) -> None:
    lacking = pd.read_csv(traffic.drifted).drop(columns="Protocol")
    lacking.to_csv(tmp_path / "less.csv", index=False)
    ran = run(trained.folder, "sample", tmp_path / "less.csv", "--out", tmp_path / "out.csv")
    assert ran.code == 2 and 'lacks "Protocol"' in ran.err and not (tmp_path / "out.csv").exists()


def test_without_a_model_file_the_hybrid_goes_on_and_uncertain_is_refused(watched, traffic) -> None:
    drawing = watched.app.sampling.draw(watched.model, traffic.drifted, rows=100)
    assert set(drawing.sample.arms) == {"random", "drift"}
    assert drawing.sample.notes == ("no row was drawn for being uncertain: version 1 has no model file",)
    with pytest.raises(DataError, match="uncertain cannot be followed"):
        watched.app.sampling.draw(watched.model, traffic.drifted, rows=100, strategy="uncertain")


def test_of_a_small_batch_all_rows_are_given_out_with_weight_one(watched, traffic, tmp_path) -> None:
    pd.read_csv(traffic.drifted).head(50).to_csv(tmp_path / "few.csv", index=False)
    drawing = watched.app.sampling.draw(watched.model, tmp_path / "few.csv")
    (tmp_path / "out.csv").write_bytes(drawing.file)
    drawn = read(tmp_path / "out.csv")
    assert len(drawn) == 50 and set(drawn["dc_weight"]) == {"1"}
    assert "the batch has only 50 rows: all of them are in the file" in drawing.sample.notes


def test_a_broken_feed_is_warned_of_and_one_that_was_not_checked_is_fine(watched, traffic, tmp_path) -> None:
    broken = pd.read_csv(traffic.stable)
    broken["Flow Duration"] = broken["Flow Duration"] / 1000
    broken.to_csv(tmp_path / "broken.csv", index=False)
    assert watched.app.sampling.draw(watched.model, tmp_path / "broken.csv", rows=50).warnings == ()
    checked = watched.app.monitoring.check(watched.model, tmp_path / "broken.csv")
    assert checked.batch.verdict == "broken_feed"
    (warning,) = watched.app.sampling.draw(watched.model, tmp_path / "broken.csv", rows=50).warnings
    assert "is a broken feed" in warning
    services: Any = SimpleNamespace(sampling=watched.app.sampling, store=watched.app.store, now=utc_now)
    assert hand_out(services, watched.model, tmp_path / "broken.csv", "U0ANNA", None, None)
    (item,) = (item for item in watched.app.store.due(utc_now()) if item.kind == "sample")
    (post,) = Renderer(watched.app.config, watched.app.store).sample(item)
    assert post.message.text.startswith("⚠️ broken.csv is a broken feed"), "in Slack it is said with the file"


def test_cells_that_a_spreadsheet_would_run_are_warned_of_and_stay_as_they_are(
    watched, traffic, tmp_path
) -> None:
    rows = pd.read_csv(traffic.drifted).head(20)
    rows["Src IP"] = ["-5", "+1.5e3", "-inf", "-", "", *["10.0.0.1"] * 15]
    rows.to_csv(tmp_path / "numbers.csv", index=False)
    assert watched.app.sampling.draw(watched.model, tmp_path / "numbers.csv").warnings == ()
    rows["Flow ID"] = ['=HYPERLINK("http://evil.example")', "@SUM(A1)", *rows["Flow ID"][2:]]
    rows.to_csv(tmp_path / "formulas.csv", index=False)
    drawing = watched.app.sampling.draw(watched.model, tmp_path / "formulas.csv")
    (warning,) = drawing.warnings
    assert warning.startswith('2 cells begin like a formula (with =, +, - or @), in "Flow ID": ')
    assert f"warning: {warning}" in sample_lines(drawing)
    assert watched.app.sampling.draw(watched.model, tmp_path / "formulas.csv") == drawing
    (tmp_path / "out.csv").write_bytes(drawing.file)
    assert read(tmp_path / "out.csv")["Flow ID"][0] == '=HYPERLINK("http://evil.example")'


def test_the_draw_is_kept_with_who_asked_for_it(watched, traffic) -> None:
    drawing = watched.app.sampling.draw(
        watched.model, traffic.drifted, rows=30, strategy="time", by="cli:ana"
    )
    store = watched.app.store
    assert store.sample(drawing.sample.name) == drawing.sample == store.samples("netflow")[0]
    assert store.sample_file(drawing.sample.name) == drawing.file
    said = store.decisions("netflow", 5)[0]
    assert (said.who, said.what, said.subject) == ("cli:ana", "sample", f"sample {drawing.sample.name}")
    assert json.loads(json.dumps(dict(drawing.sample.arms))) == {"random": 30}
    assert set(SAMPLE_COLUMNS) <= set(drawing.file.decode().splitlines()[0].split(","))
