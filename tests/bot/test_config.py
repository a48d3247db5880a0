"""The configuration: what is right is read, everything that is wrong is said at once with its key."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.config import Config, ConfigError, load
from bot.template import TEMPLATE, write
from detectors.correlation import Correlation
from detectors.domain_classifier import DomainClassifier
from detectors.ks import KS
from detectors.psi import PSI

MINIMAL = """
[[models]]
name = "fraud"
label = { column = "y", negative = ["0"] }
"""
CLASSES = MINIMAL.replace('negative = ["0"]', 'classes = ["a", "b", "c"]')


def config(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "driftcatcher.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, text)
    return caught.value.problems


def test_defaults_are_those_of_the_mission(tmp_path: Path) -> None:
    model = config(tmp_path, MINIMAL).models[0]
    assert (model.inbox, model.labeled) == (tmp_path / "inbox/fraud", tmp_path / "labeled/fraud")
    assert (model.alert_cooldown, model.retrain_cooldown) == (timedelta(hours=6), timedelta(hours=24))
    assert model.load_detectors() == (PSI(moderate=0.1, significant=0.2), DomainClassifier(), Correlation())
    thresholds = model.thresholds()
    assert (thresholds.min_accuracy, thresholds.min_precision, thresholds.min_recall) == (0.90, 0.85, 0.85)
    assert (thresholds.max_fpr, thresholds.max_fnr) == (0.10, 0.05)
    assert model.schedule == "1h"
    assert model.load_trainer().name == "hist_gradient_boosting"


def test_the_template_is_a_valid_configuration(tmp_path: Path) -> None:
    made = load(write(tmp_path / "new"))
    assert [m.name for m in made.models] == ["my-model"]
    assert (tmp_path / "new/inbox/my-model").is_dir()
    assert (tmp_path / "new/labeled/my-model").is_dir()
    with pytest.raises(FileExistsError, match="--force"):
        write(tmp_path / "new")


def test_every_option_that_the_template_comments_out_is_valid_too(tmp_path: Path) -> None:
    lines = []
    for line in TEMPLATE.splitlines():
        code = line.removeprefix("# ")
        lines.append(code if line.startswith("# ") and ("= " in code or code.startswith("[")) else line)
    lines = [line for line in lines if not line.startswith("DriftCatcher")]
    made = config(tmp_path, "\n".join(line for line in lines if not line.startswith("classes = ")))
    instead = ("positive = ", "negative = ")  # the one form or the other
    several = config(tmp_path, "\n".join(line for line in lines if not line.startswith(instead)))
    assert several.models[0].label.classes == ("a", "b", "c")
    assert made.mlflow.tracking_uri == "http://127.0.0.1:5000"
    assert made.history.roll_up_after == timedelta(days=365)
    assert KS() in made.models[0].load_detectors()
    assert made.models[0].features["Dst Port"].significant == 0.4


def test_all_errors_come_at_once_each_with_its_key(tmp_path: Path) -> None:
    text = """
[slack]
chanel = "x"
mode = "smoke"

[[models]]
name = "a b"
schedule = "often"
alert_cooldown = "6 parsecs"
label = { column = "y" }
[models.detectors.psy]
[models.trainer]
use = "random_forest"
n_estimator = 5

[[models]]
label = { column = "y", negative = ["0"] }
alpha = 3
"""
    found = problems(tmp_path, text)
    text_of = "\n".join(found)
    assert len(found) == 10
    assert 'slack.chanel: unknown key; did you mean "channel"?' in found
    for key in (
        "slack.mode", "models[0].name", "models[0].schedule", "models[0].alert_cooldown", "models[0].label",
        "models[0].detectors", "models[0].trainer", "models[1].name: is required", "models[1].alpha",
    ):  # fmt: skip
        assert key in text_of
    assert "did you mean psi?" in text_of
    assert 'such as "30m", "6h" or "7d"' in text_of
    assert "n_estimators" in text_of  # what the trainer takes


@pytest.mark.parametrize(("text", "said"), [
    ("", "models: is required"),
    ("models = []", "at least one [[models]] block"),
    (MINIMAL + MINIMAL, "more than once: fraud"),
    ("[[models]", "is not valid TOML"),
    (MINIMAL.replace('negative = ["0"]', 'positive = ["1"], negative = ["1"]'), "both positive and negative"),
    (MINIMAL + 'ignore = ["y"]', "take it out of ignore"),
    (CLASSES.replace("classes", 'positive = ["a"], classes'), "name one or the other"),
    (CLASSES.replace('"b"', '"B", "b "'), "classes: "),
    (CLASSES.replace(', "b", "c"', ""), "classes: name 2 to 255 classes, not 1"),
    (CLASSES.replace('["a", "b", "c"]', "[]"), "name the values of at least one class"),
    (CLASSES.replace('"b"', '"NaN"'), "classes: 'NaN' is what an empty cell is read from"),
    (CLASSES + "[models.gate]\nmax_fpr = 0.1", "gate.max_fpr: several classes have no such rate: take it out"),
    (MINIMAL + 'schedule = "61 * * * *"', "schedule"),
    (MINIMAL + "shadow_batches = -1", "a whole number from 0 (none) to 1,000 (got -1)"),
    (MINIMAL + "shadow_batches = true", "models[0].shadow_batches: is the number of next batches which a retrained"),
    (MINIMAL + 'shadow_batches = "5"', "a whole number from 0 (none) to 1,000 (got '5')"),
    (MINIMAL + '[history]\nroll_up_after = "1h"', "history.roll_up_after"),
    (MINIMAL + "[training]\nside_by_side = 0", "training.side_by_side: input should be greater than or equal to 1"),
    (
        MINIMAL + 'retrain_limit = "10m"\n[models.trainer.search]\nparams = { max_iter = [50] }\n',
        "trainer.search: its budget (0:10:00) leaves no time of retrain_limit (0:10:00)",
    ),
    (MINIMAL + '[history]\nkeep = "1d"', "history.keep: unknown key; known here: roll_up_after"),
    (MINIMAL + "[models.features.x]\nmoderate = -1", "models[0].features.x.moderate"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in "\n".join(problems(tmp_path, text))


def test_classes_are_named_in_the_order_of_their_positions(tmp_path: Path) -> None:
    section = config(tmp_path, CLASSES.replace('"b"', "2")).models[0]
    assert section.label_spec().classes == ("a", "2", "c")
    assert (section.label_spec().positive, section.label_spec().negative) == ((), ())


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="driftcatcher init"):
        load(tmp_path / "none.toml")


def test_the_policy_digest_follows_what_decides_a_verdict(tmp_path: Path) -> None:
    def digest(more: str) -> str:
        return config(tmp_path, MINIMAL + more).models[0].policy_sha

    same = {digest(""), digest('channel = "elsewhere"'), digest('retrain_cooldown = "1h"')}
    other = [digest(t) for t in ("alpha = 0.01", 'policy = "classic"', "[models.detectors.ks]")]
    assert len(same) == 1
    assert len({*same, *other}) == 4


@pytest.mark.parametrize("name", [None, "fraud"])
def test_a_model_is_found_by_name_or_as_the_only_one(tmp_path: Path, name: str | None) -> None:
    assert config(tmp_path, MINIMAL).model(name).name == "fraud"


def test_among_several_models_one_must_be_named(tmp_path: Path) -> None:
    both = config(tmp_path, MINIMAL + MINIMAL.replace("fraud", "churn"))
    with pytest.raises(LookupError, match="fraud, churn"):
        both.model(None)
    with pytest.raises(LookupError, match='"spam"'):
        both.model("spam")


def test_approvers_are_ids_and_not_names(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, MINIMAL + 'approvers = ["@anna"]')
    assert found.startswith('models[0].approvers: "@anna" is no id')
    assert config(tmp_path, MINIMAL + 'approvers = ["U012AB", "S0TEAM"]').models[0].approvers


def test_what_asks_no_plugin_does_not_load_any(tmp_path: Path) -> None:
    path = tmp_path / "driftcatcher.toml"
    path.write_text(MINIMAL + "\n[models.detectors.psy]\n")
    with pytest.raises(ConfigError, match="did you mean psi"):
        load(path)
    assert load(path, plugins=False).model("fraud").detector_specs() == (("psy", {}),)
