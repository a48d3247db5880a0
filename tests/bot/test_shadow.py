"""The shadow period without Slack: a challenger scores the next batches, whatever happens to it; read at a terminal."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bot import status
from bot.bootstrap import Application
from bot.config import FILE_NAME
from bot.shadow_text import labels_line
from bot.slack.rendering import Renderer
from bot.text_report import status_text
from detectors.metrics import Interval
from state.records import Batch, ByLabels, Retrain, Shadow
from tests.bot.test_scoring import CONFIGURATION, loans
from tests.versions_beside import of_two
from trainers import scoring
from trainers.base import DataFile, Gate, LabelSpec, ModelVersion, RetrainOutcome
from trainers.mlflow_registry import MlflowRegistry
from trainers.pipeline import train
from trainers.scoring import champion
from trainers.sklearn_trainers import LogisticRegression

SHADOWED = CONFIGURATION + 'shadow_batches = 3\ndetectors = { psi = {} }\nretrain_cooldown = "0h"\n'
PREVENTED = 'print([m for m in ("bot.shadowing", "trainers.scoring") if m in sys.modules])'


def paid(rows: int, seed: int) -> pd.DataFrame:
    """Everybody in the west pays back: version 2 knows, version 1 does not."""
    frame = loans(rows, seed)
    return frame.assign(label=np.where(frame["region"] == "west", 1, frame["label"]))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 is in use, version 2 is trained: with real MLflow, whose databases each test copies."""
    folder = tmp_path_factory.mktemp("loans")
    (folder / FILE_NAME).write_text(SHADOWED)
    loans(6000, 1).to_csv(folder / "base.csv", index=False)
    paid(6000, 2).to_csv(folder / "new.csv", index=False)
    app = Application.load(folder / FILE_NAME)
    now = datetime.now(UTC)
    for name in ("base.csv", "new.csv"):
        outcome = train(
            "loans", [folder / name], [], LabelSpec("label", negative=("0",)), LogisticRegression(),
            MlflowRegistry(app.config.home), app.config.home, gate=Gate(),
        )  # fmt: skip
        app.store.add_version(outcome.version, now)
    app.store.finish_promotion(app.store.begin_promotion("loans", 1, "train", "test", now).id, now)
    app.close()
    return folder


class Project:
    """A project in which a retrain may finish and batches come."""

    def __init__(self, made: Path, folder: Path, config: str = SHADOWED) -> None:
        (folder / "home").mkdir(parents=True)
        for name in ("state.db", "mlflow.db"):
            shutil.copy(made / "home" / name, folder / "home" / name)
        (folder / FILE_NAME).write_text(config)
        self.folder, self.new = folder, made / "new.csv"
        self.app = Application.load(folder / FILE_NAME)
        self.model, self.store = self.app.config.model(None), self.app.store

    def version(self, number: int) -> ModelVersion:
        return self.store.version("loans", number).record

    def retrained(self, version: ModelVersion | None = None) -> Retrain:
        """A retrain has made version 2 and waits for the decision."""
        file = DataFile(str(self.new), "d" * 64, 6000)
        retrain = self.app.retraining.approve(self.model, [file], "U0ANNA")
        assert self.store.start_retrain(retrain.id, datetime.now(UTC))
        outcome = RetrainOutcome((), (), version or self.version(2), "promote", ("it is better",))
        return self.app.retraining.finish(retrain, outcome)

    def check(self, frame: pd.DataFrame, name: str) -> Batch:
        path = self.folder / name
        frame.drop(columns="label").to_csv(path, index=False)
        return self.app.monitoring.check(self.model, path).batch

    def said(self) -> list[tuple[str, str]]:
        """Kind of each item that waits to be said, and all that it says as it would be now."""
        renderer, now = Renderer(self.app.config, self.store), datetime.now(UTC)
        kept = []
        while due := self.store.due(now, 100):
            for item in due:
                posts = [] if item.kind == "incident" else renderer.posts(item)
                kept.append((item.kind, "\n".join(f"{p.message.text}\n{p.message.blocks}" for p in posts)))
                self.store.delivered(item.id, now)
        return kept

    def shadow(self) -> Shadow:
        found = self.store.last_shadow("loans")
        assert found is not None
        return found


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Iterator[Project]:
    opened = Project(made, tmp_path / "project")
    yield opened
    opened.app.close()


def both(project: Project, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """What versions 1 and 2 say of these, asked by themselves."""
    asked = [champion(project.version(number)) for number in (1, 2)]
    return tuple(ask(frame.drop(columns="label"))[0] for ask in asked if ask)  # type: ignore[return-value]


def test_the_next_batches_are_scored_by_both_until_the_period_is_complete(project, run) -> None:
    retrain = project.retrained()
    assert retrain.shadow_batches == 3
    result = dict(project.said())["retrain_finished"]
    assert "*Shadow period:* version 2 scores the next 3 batches too" in result
    frames = [paid(1000, 10 + number) for number in range(4)]
    for number, frame in enumerate(frames[:2]):
        assert project.check(frame, f"day{number}.csv").report.errors == ()
    assert [kind for kind, _ in project.said()] == ["shadow", "shadow"]
    shadow = project.shadow()
    for one, frame in zip(shadow.batches, frames, strict=False):
        ours, theirs = both(project, frame)
        table = [[one.found.positive(champion=a, challenger=b) for b in (False, True)] for a in (False, True)]
        assert table == np.bincount(2 * ours + theirs, minlength=4).reshape(2, 2).tolist()
    assert shadow.found.positive(champion=False, challenger=True) > 200
    assert shadow.found.places[0].name == 'region = "west"'
    line = status_text(status.read(project.model, project.store, datetime.now(UTC)))
    assert "  shadow: version 2 beside version 1, 2 of 3 batches, " in line

    project.check(frames[2], "day2.csv")
    ((kind, text),) = project.said()
    assert kind == "shadow_complete"
    assert "*The shadow period is complete:* 3 batches." in text
    assert "*Next step: promote version 2 or keep version 1;*" in text
    assert 'Most of it where `region = "west"`' in text
    project.check(frames[3], "day3.csv")
    assert (project.said(), len(project.shadow().batches)) == ([], 3)

    shown = run(project.folder, "shadow")
    assert shown.code == 0
    assert shown.out.startswith(
        "loans: shadow of version 2 beside version 1, all 3 batches, the decision is waiting\n"
    )
    assert "day1.csv  1,000" in shown.out and "day3.csv" not in shown.out
    data = run(project.folder, "shadow", "--json").json["shadow"]
    assert (data["complete"], data["running"], data["together"]["rows"]) == (True, False, 3000)
    assert run(project.folder, "status", "--json").json["models"][0]["shadow"]["wanted"] == 3


def test_what_is_counted_and_logged(project) -> None:
    project.retrained()
    project.said()
    first = paid(600, 20)
    project.check(first, "first.csv")
    project.check(first, "copy.csv")  # the same bytes
    broken = paid(600, 21).rename(columns={"income": "Income EUR"})
    assert project.check(broken, "broken.csv").verdict == "broken_feed"
    assert project.check(paid(20, 19), "few.csv").verdict == "insufficient_data"
    assert [one.path.rpartition("/")[2] for one in project.shadow().batches] == ["first.csv"]
    entries = project.store.to_log(datetime.now(UTC), 100)
    steps = [entry.payload["steps"] for entry in entries if entry.kind == "check"]
    assert steps[0]["shadow/v2.differs"] == project.shadow().found.share
    assert not any(name.startswith("shadow") for name in steps[1])
    for number in (22, 23):
        project.check(paid(600, number), f"{number}.csv")
    assert project.app.flusher().flush().error == ""
    tags = project.app.registry.session("loans")
    with tags as (client, _):
        (said,) = (client.get_model_version("loans", "2").tags["driftcatcher.shadow"],)
    assert said.startswith("all 3 batches beside version 1: differs on ")


def test_a_challenger_that_is_gone_costs_the_check_nothing_and_is_told(project, tmp_path) -> None:
    lost = replace(project.version(2), version=3, model_path=str(tmp_path / "gone.skops"))
    project.retrained(lost)
    project.said()
    batch = project.check(paid(500, 30), "first.csv")
    assert (batch.state, batch.report.errors) == ("checked", ())
    assert batch.report.estimate is not None, "the champion's own score is there"
    shadow = project.shadow()
    assert shadow.found is None and "no model file" in shadow.troubles[0]
    ((kind, text),) = project.said()
    assert kind == "shadow"
    assert "1 batch could not be scored by both: version 3 of loans has no model file" in text
    for number in (31, 32):
        project.check(paid(500, number), f"{number}.csv")
    assert [kind for kind, _ in project.said()] == ["shadow", "shadow_complete"], "it ends all the same"


@pytest.mark.parametrize(
    ("does", "said"), [("raises", "MemoryError: too large"), ("NaN", "that are no numbers")]
)
def test_a_challenger_that_misbehaves_costs_the_check_nothing(project, monkeypatch, does, said) -> None:
    project.retrained()
    asked = scoring.sampled

    def sampled(version: ModelVersion, sample: Any) -> Any:
        labels, chance = asked(version, sample)
        if version.version == 2 and does == "raises":
            raise MemoryError("too large")
        return labels, chance * (np.nan if version.version == 2 else 1)

    monkeypatch.setattr(scoring, "sampled", sampled)
    assert project.check(paid(500, 35), "first.csv").state == "checked"
    monkeypatch.undo()
    assert project.check(paid(500, 36), "second.csv").state == "checked"
    first, second = project.shadow().batches
    assert said in first.trouble and second.found.rows == 500


def test_a_period_that_is_complete_again_is_edited_and_not_announced_again(project) -> None:
    project.retrained()
    batches = [project.check(paid(300, number), f"{number}.csv") for number in (90, 91, 92)]
    project.said()
    project.store.quarantine_batch(batches[0].id, "/aside/90.csv", "U0ANNA", "", datetime.now(UTC))
    assert not project.shadow().complete
    project.check(paid(300, 93), "93.csv")
    assert project.shadow().complete
    assert [kind for kind, _ in project.said()] == ["shadow"]


@pytest.mark.parametrize("how", ["keep", "promote", "roll on"])
def test_the_decision_ends_it_and_the_thread_says_so(project, how) -> None:
    retrain = project.retrained()
    project.check(paid(500, 40), "first.csv")
    project.said()
    if how == "keep":
        project.app.retraining.keep(retrain, "U0ANNA")
    elif how == "promote":
        project.app.retraining.promote(retrain, "U0ANNA")
    else:  # somebody trains another version, which comes into use
        project.store.add_version(replace(project.version(2), version=4), datetime.now(UTC))
        moved = project.store.begin_promotion("loans", 4, "train", "cli", datetime.now(UTC))
        project.app.retraining._finish_move(moved)
    told = project.said()
    ended = [text for kind, text in told if kind == "shadow"]
    assert len(ended) == 1 and "*Shadow, ended after 1 of 3 batches:*" in ended[0]
    project.check(paid(500, 41), "second.csv")
    assert not [kind for kind, _ in project.said() if kind.startswith("shadow")]
    assert len(project.shadow().batches) == 1
    assert status.read(project.model, project.store, datetime.now(UTC)).shadow is None


def test_labels_of_a_shadowed_batch_say_who_was_right(project, run) -> None:
    project.retrained()
    batch = paid(1500, 50)
    project.check(batch, "batch.csv")
    project.said()
    drawing = project.app.sampling.draw(
        project.model, project.folder / "batch.csv", rows=400, strategy="uncertain"
    )
    given = pd.read_csv(BytesIO(drawing.file), dtype=str, keep_default_na=False)
    places = [int(key.rpartition("-")[2]) - 1 for key in given["dc_row_id"]]
    given.assign(label=batch["label"].to_numpy()[places]).to_csv(project.folder / "back.csv", index=False)
    shown = run(project.folder, "performance", "back.csv")
    assert shown.code in (0, 1), shown.err
    ours, theirs = both(project, batch.iloc[places])
    truth = batch["label"].to_numpy()[places]
    differ = ours != theirs
    right = int((theirs == truth)[differ].sum())
    wrong = int(differ.sum()) - right
    ((_, labels),) = project.shadow().labelled
    assert (labels.rows, labels.champion, labels.challenger) == (len(places), wrong, right)
    weight = given["dc_weight"].to_numpy(float)
    gains = (theirs == truth).astype(int) - (ours == truth)
    assert labels.gain == pytest.approx(np.average(gains, weights=weight), abs=1e-6)
    everywhere, known = both(project, batch), batch["label"].to_numpy()
    real = (everywhere[1] == known).mean() - (everywhere[0] == known).mean()
    assert 0 < labels.interval.low < real < labels.interval.high
    sentence = labels_line(1, 2, labels)
    assert sentence.startswith(
        "by 400 labelled rows, weighted to stand for the batch, version 2 is right on "
    )
    assert sentence.endswith(
        f"they differ on {differ.sum()} of these: only version 2 is right on {right}, only version 1 on {wrong}"
    )
    assert f"note: shadow period: {sentence}" in shown.out
    assert f"\n  batch.csv: {sentence}\n" in run(project.folder, "shadow").out
    (stored,) = run(project.folder, "shadow", "--json").json["shadow"]["batches"]
    assert (stored["labels"]["gain"], stored["labels"]["challenger"]) == (labels.gain, right)
    (text,) = (text for kind, text in project.said() if kind == "shadow")
    assert f"*By labels:* `batch.csv`: {sentence}" in text


def test_the_period_is_that_of_the_time_when_the_retrain_finished(made, project, tmp_path, run) -> None:
    project.retrained()
    off = SHADOWED.replace("shadow_batches = 3\n", "")
    (project.folder / FILE_NAME).write_text(off)
    paid(500, 60).drop(columns="label").to_csv(project.folder / "later.csv", index=False)
    assert run(project.folder, "check", "later.csv").code in (0, 1)
    assert len(project.shadow().batches) == 1
    without = Project(made, tmp_path / "without", off)
    assert without.retrained().shadow_batches == 0
    assert "Shadow" not in dict(without.said())["retrain_finished"]
    assert run(without.folder, "shadow").out.startswith("loans: no retrain has had a shadow period")
    assert run(without.folder, "shadow", "--json").json == {"model": "loans", "shadow": None}
    without.app.close()


def test_at_a_terminal_alone(made, tmp_path, run) -> None:
    project = Project(made, tmp_path / "terminal", SHADOWED + 'trainer = { use = "logistic_regression" }\n')
    project.app.close()
    folder = project.folder
    done = run(folder, "retrain", "--new-labeled-data", project.new)
    assert done.code == 0, done.err
    assert "The next 3 batches are scored by both versions: see `driftcatcher shadow`\n" in done.out
    assert run(folder, "shadow").out == (
        "loans: shadow of version 3 beside version 1, 0 of 3 batches\n  no batch has come since\n"
    )
    paid(500, 80).drop(columns="label").to_csv(folder / "batch.csv", index=False)
    assert run(folder, "check", "batch.csv").code in (0, 1)
    assert "  shadow: version 3 beside version 1, 1 of 3 batches, " in run(folder, "status").out
    assert run(folder, "promote", 3).code == 0
    assert run(folder, "shadow").out.startswith(
        "loans: shadow of version 3 beside version 1, ended after 1 of 3 batches\n"
    )
    assert "shadow:" not in run(folder, "status").out


def test_a_check_without_a_period_loads_nothing_of_it(made, tmp_path) -> None:
    project = Project(made, tmp_path / "off", SHADOWED.replace("shadow_batches = 3", "scoring = false"))
    project.retrained()
    project.app.close()
    paid(500, 70).drop(columns="label").to_csv(project.folder / "batch.csv", index=False)
    script = (
        "import sys; from pathlib import Path; from bot.bootstrap import Application;"
        f"a = Application.load(Path({FILE_NAME!r})); a.monitoring.check(a.config.model(None), Path('batch.csv'));"
        + PREVENTED
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project.folder, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_the_words_never_hide_a_difference(make_shadow: Callable[..., Any]) -> None:
    from bot.shadow_text import agreement, share, ways

    assert [share(part, 10_000) for part in (0, 1, 4, 5, 120, 9_999, 10_000)] == [
        "0 %", "under 0.1 %", "under 0.1 %", "0.1 %", "1.2 %", "over 99.9 %", "100 %",
    ]  # fmt: skip
    shadow = make_shadow()
    one = of_two(9000, 1, 0, 999, 0.1, 0.1)
    assert agreement(shadow, one) == "Versions 1 and 2 say the same on over 99.9 % of 10,000 rows"
    assert ways(shadow, one) == "under 0.1 % only version 1 calls positive, 0 % only version 2"
    alike = of_two(9000, 0, 0, 1000, 0.1, 0.1)
    assert ways(shadow, alike) == ""


def test_points_are_no_artefacts_of_the_arithmetic() -> None:
    even = labels_line(1, 2, ByLabels(80, 3, 3, -1e-17, Interval(-0.0421, 0.0, "MOVER")))
    assert (
        "no significant difference: version 1 is right on 0.0 points more of it (95 % interval 0.0 to 4.2)"
        in even
    )
    small = labels_line(1, 2, ByLabels(9000, 1, 4, 0.0003, Interval(-0.0002, 0.0011, "MOVER")))
    assert (
        "version 2 is right on 0.03 points more of it (95 % interval −0.02 to 0.1); they differ on 5 of"
        in small
    )
    whole = labels_line(1, 2, ByLabels(30, 1, 1, 0.0, Interval(0.0, 0.0, "MOVER")))
    assert whole.startswith(
        "by all 30 rows of the batch, versions 1 and 2 are right on as many; they differ on 2"
    )


@pytest.fixture
def make_shadow() -> Callable[..., Shadow]:
    def make(**changes: Any) -> Shadow:
        return replace(Shadow(1, "loans", None, 1, 2, 3, True), **changes)

    return make
