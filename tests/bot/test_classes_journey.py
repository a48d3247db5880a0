"""Several classes at the terminal, with real MLflow: from the first version to one that knows a class more."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from bot.bootstrap import Application
from bot.config import FILE_NAME
from bot.demo.traffic import IDENTIFIERS, LABEL_COLUMN, mix
from state.store import Store
from tests.bot.conftest import Ran
from trainers.schema import typed_features
from trainers.scoring import champion

BASE = {"benign": 0.5, "ddos": 0.3, "portscan": 0.2}
NEW = {"benign": 0.5, "slowloris": 0.5}
THREE = ["BENIGN", "DDoS", "PortScan"]
FOUR = ["BENIGN", "Slowloris", "DDoS", "PortScan"]  # the new one stands between the others
THREE_NAMES, FOUR_NAMES = np.array(THREE, dtype=object), np.array(FOUR, dtype=object)


class Site:
    """A folder with a model of several classes, and its command line in this process."""

    def __init__(self, folder: Path, run: Callable[..., Ran]) -> None:
        self.folder, self._run = folder, run
        self.configure(THREE)
        for name in ("inbox", "labeled"):
            (folder / name).mkdir()

    def configure(self, classes: list[str], label: str = "") -> None:
        label = label or f"classes = {json.dumps(classes)}"
        (self.folder / FILE_NAME).write_text(
            f'home = "home"\nsettle_seconds = 0\n[[models]]\nname = "flows"\ninbox = "inbox"\nlabeled = "labeled"\n'
            f'ignore = {json.dumps(list(IDENTIFIERS))}\ncategorical = ["Protocol"]\nretrain_cooldown = "0s"\n'
            "shadow_batches = 1\n"
            f'label = {{ column = "{LABEL_COLUMN}", {label} }}\n[models.trainer]\nmax_iter = 30\n',
            encoding="utf-8",
        )

    def run(self, *words: object) -> Ran:
        return self._run(self.folder, *words)

    def write(self, frame: pd.DataFrame, name: str) -> Path:
        path = self.folder / name
        frame.to_csv(path, index=False)
        return path

    def said(self, frame: pd.DataFrame, version: int | None = None) -> np.ndarray:
        """What the champion, or a version, predicts of rows: positions."""
        store = Store(self.folder / "home" / "state.db")
        try:
            trained = store.champion("flows") if version is None else store.version("flows", version)
            record = trained.record
            return champion(record)(typed_features(frame, record.schema, "it", []))[0]
        finally:
            store.close()


@pytest.fixture
def site(tmp_path: Path, run: Callable[..., Ran]) -> Site:
    return Site(tmp_path, run)


def test_from_the_first_version_to_one_that_knows_a_class_more(site: Site) -> None:
    base = site.write(mix(BASE, 2500, 1), "base.csv")
    made = site.run("train", "--base-data", base)
    assert made.code == 0, made.err
    assert "macro_recall" in made.out
    assert "recall of BENIGN " in made.out

    batch = mix(BASE, 1200, 2, day=7)
    features = site.write(batch.drop(columns=LABEL_COLUMN), "monday.csv")
    checked = site.run("check", features, "--json")
    assert (checked.code, checked.json["verdict"]) == (0, "stable")
    assert "(predicted class)" in {f["feature"] for f in checked.json["features"]}
    assert checked.json["estimate"]["precision"] is None

    flows = [f"f{i}" for i in range(len(batch))]
    labels = site.write(pd.DataFrame({"flow": flows, LABEL_COLUMN: batch[LABEL_COLUMN]}), "labels.csv")
    guesses = site.write(pd.DataFrame({"flow": flows, "y_pred": site.said(batch)}), "predictions.csv")
    asked = ("performance", guesses, "--labels", labels, "--id", "flow", "--batch", features)
    good = site.run(*asked, "--json")
    assert good.code == 0, good.err
    assert good.json["case"] == "neither"
    assert good.json["classes"]["classes"] == THREE, "every class by itself, without an option"
    assert good.json["degradation"]["reference_rows"] > 500
    truth = batch[LABEL_COLUMN].to_numpy()
    right = np.array(THREE)[site.said(batch)] == truth
    assert good.json["metrics"]["accuracy"] == pytest.approx(right.mean())
    blind = site.said(batch)
    blind[blind == 2] = 0
    site.write(pd.DataFrame({"flow": flows, "y_pred": blind}), "predictions.csv")
    bad = site.run(*asked)
    assert bad.code == 1
    assert 'recall of "PortScan" fell from ' in bad.out
    assert "most often taken for BENIGN" in bad.out

    new = mix(NEW, 900, 3, day=8)
    newer = site.write(new, "new.csv")
    refused = site.run("retrain", "--new-labeled-data", newer)
    assert refused.code == 2
    assert '"Slowloris" in ' in refused.err
    assert "add the class to `classes` under [models.label]" in refused.err
    site.configure(FOUR)
    assert "Expected on new data: accuracy " in site.run("expect", "--new-labeled-data", newer).out
    shown = site.run("retrain", "--new-labeled-data", newer)
    assert shown.code == 0, shown.err
    assert "Recommendation: promote." in shown.out
    assert "class that lost most" in shown.out
    assert 'version 1 does not know "Slowloris": it has every such row wrong' in shown.out
    (line,) = [line for line in shown.out.splitlines() if line.strip().startswith("Slowloris ")]
    assert line.split()[1:4] == ["0.0", "%", "→"]
    shadowed(site)
    assert site.run("promote", 2).code == 0

    positions = site.said(new)
    assert (np.array(FOUR)[positions] == new[LABEL_COLUMN]).mean() > 0.95, "positions are of the new order"
    site.write(pd.DataFrame({"flow": flows, "y_pred": site.said(batch)}), "predictions.csv")
    unsure = site.run(*asked)
    assert (unsure.code, "their classes in different orders" in unsure.err) == (2, True), unsure.err
    site.run("check", features)
    sure = site.run(*asked, "--json")
    assert (sure.code, sure.json["classes"]["classes"]) == (0, FOUR), sure.err
    again = site.run("reproduce", 2)
    assert again.code == 0, again.out
    lineage = site.run("lineage", 2, "--json").json
    assert lineage["lineage"]["configuration"]["label"]["classes"] == FOUR
    mlflow.set_tracking_uri(f"sqlite:///{site.folder / 'home' / 'mlflow.db'}")
    run = mlflow.MlflowClient().get_run(lineage["run_id"])
    assert run.data.params["label.classes"] == ", ".join(FOUR)
    assert {f"new_holdout.{who}.recall/Slowloris" for who in ("champion", "challenger")} <= set(
        run.data.metrics
    )
    assert "new_holdout.gain.macro_recall" in run.data.metrics

    site.configure(THREE)
    gone = site.run("retrain", "--new-labeled-data", site.write(mix(BASE, 300, 9), "other.csv"))
    assert (gone.code, 'knows "Slowloris", which `classes`' in gone.err) == (2, True)
    site.configure([], 'negative = ["BENIGN"]')
    two = site.run("retrain", "--new-labeled-data", site.folder / "other.csv")
    assert (two.code, "start anew with `driftcatcher train`" in two.err) == (2, True)


def shadowed(site: Site) -> None:
    """A batch comes while the decision waits: which class became which, and whom labels speak for."""
    batch = mix({"benign": 0.6, "ddos": 0.2, "slowloris": 0.2}, 1000, 5, day=9)
    features = site.write(batch.drop(columns=LABEL_COLUMN), "friday.csv")
    assert site.run("check", features).code in (0, 1)
    ours, theirs = (names[site.said(batch, number)] for number, names in ((1, THREE_NAMES), (2, FOUR_NAMES)))
    found = site.run("shadow", "--json").json["shadow"]["together"]
    pairs = pd.Series(list(zip(ours, theirs, strict=True))).value_counts()
    assert {(one["champion"], one["challenger"]): one["rows"] for one in found["said"]} == pairs.to_dict()
    assert found["differing"] == (ours != theirs).sum() > 100
    assert " to version 1 and Slowloris to version 2" in site.run("shadow").out

    assert site.run("sample", features, "--n", 100, "--out", site.folder / "friday_label.csv").code == 0
    given = pd.read_csv(site.folder / "friday_label.csv", dtype=str, keep_default_na=False)
    places = [int(key.rpartition("-")[2]) - 1 for key in given["dc_row_id"]]
    truth = batch[LABEL_COLUMN].to_numpy()[places]
    site.write(given.assign(**{LABEL_COLUMN: truth}), "friday_label.csv")
    told = site.run("performance", site.folder / "friday_label.csv", "--json")
    assert told.code in (0, 1), told.err
    one, other = ours[places] == truth, theirs[places] == truth
    (kept,) = site.run("shadow", "--json").json["shadow"]["batches"]
    labels, differ = kept["labels"], ours[places] != theirs[places]
    assert {name: labels[name] for name in ("rows", "champion", "challenger", "neither")} == {
        "rows": 100, "champion": (one & ~other).sum(), "challenger": (other & ~one).sum(),
        "neither": (differ & ~one & ~other).sum(),
    }  # fmt: skip
    weight = given["dc_weight"].to_numpy(float)
    assert labels["gain"] == pytest.approx(np.average(other.astype(int) - one, weights=weight), abs=1e-6)
    real = (theirs == batch[LABEL_COLUMN]).mean() - (ours == batch[LABEL_COLUMN]).mean()
    assert labels["interval"]["low"] < real < labels["interval"]["high"]


def test_samples_and_drills_of_several_classes(site: Site) -> None:
    assert site.run("train", "--base-data", site.write(mix(BASE, 2000, 1), "base.csv")).code == 0
    batch = mix({"benign": 0.5, "ddos": 0.2, "portscan": 0.3}, 1500, 4, day=9)
    features = site.write(batch.drop(columns=LABEL_COLUMN), "batch.csv")
    drawn = site.run("sample", features, "--n", 120, "--out", site.folder / "label.csv")
    assert drawn.code == 0, drawn.err
    given = pd.read_csv(site.folder / "label.csv", dtype=str, keep_default_na=False)
    places = [int(key.rpartition("-")[2]) - 1 for key in given["dc_row_id"]]
    truth = batch[LABEL_COLUMN].to_numpy()[places]
    site.write(given.assign(**{LABEL_COLUMN: np.where(np.arange(120) == 5, "PortScam", truth)}), "label.csv")
    slip = site.run("accept", site.folder / "label.csv")
    assert (slip.code, 'row 6: the label "PortScam" is none of' in slip.out + slip.err) == (2, True)
    site.write(given.assign(**{LABEL_COLUMN: truth}), "label.csv")
    assert site.run("accept", site.folder / "label.csv").code == 0
    found = site.run("performance", site.folder / "labeled" / "label.csv", "--json")
    assert found.code in (0, 1), found.err
    assert set(found.json["intervals"]) == {"accuracy"}
    assert any("only accuracy has an interval" in note for note in found.json["notes"])
    right = np.array(THREE)[site.said(batch)] == batch[LABEL_COLUMN].to_numpy()
    interval = found.json["intervals"]["accuracy"]
    assert interval["low"] <= right.mean() <= interval["high"]
    site.configure([*THREE, "Slowloris"])  # named since, and not in the champion's data
    drill = site.run("drill", "--rows", 200, "--repeats", 2)
    assert drill.code == 0, drill.err
    assert "Not tried: prior, since of several classes none is the positive one." in drill.out


def test_who_serves_is_told_what_the_positions_mean(site: Site) -> None:
    config = site.folder / FILE_NAME
    config.write_text(config.read_text() + '[models.serving]\nfolder = "serving"\n')
    assert site.run("train", "--base-data", site.write(mix(BASE, 800, 1), "base.csv")).code == 0
    app: Any = Application.load(config)
    try:
        app.retraining.tie_loose_ends()
    finally:
        app.close()
    assert json.loads((site.folder / "serving" / "champion.json").read_text())["classes"] == THREE
