"""Third-party detectors and trainers: loaded by name, refused with a reason, and never able to stop a check."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.config import ConfigError, load
from bot.plugins import DETECTORS, TRAINERS, PluginError, describe, known, load_detector
from bot.trainer_options import load_trainer
from detectors.ks import KS

SHIFT = '''
"""A detector of somebody else."""
from dataclasses import dataclass

from detectors.base import Score


@dataclass(frozen=True)
class MeanShift:
    """Distance of the means in reference standard deviations."""

    moderate: float = 0.5
    significant: float = 1.0
    name: str = "mean_shift"

    def score(self, reference, current):
        if reference.kind != "numeric" or not reference.std:
            return None
        return Score(abs(current.mean - reference.mean) / reference.std)


@dataclass(frozen=True)
class Moody(MeanShift):
    """Fails on one feature."""

    name: str = "moody"

    def score(self, reference, current):
        if reference.name == "Flow Duration":
            raise RuntimeError("not in the mood")
        return super().score(reference, current)


class NoDetector:
    def hello(self):
        return "hello"


def function():
    return MeanShift()
'''

SHIFT += """

class Needy(MeanShift):
    def __init__(self, what: int):
        if what % 2:
            raise ValueError("what must be even")
"""

LAZY = '''
class Lazy:
    """A trainer that trains nothing."""

    name = "lazy"

    def __init__(self, patience: int = 3) -> None:
        if patience < 0:
            raise ValueError("patience cannot be negative")
        self.patience = patience

    def params(self):
        return {"patience": self.patience}

    def fit(self, features, labels, categorical):
        raise RuntimeError("too lazy")
'''


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an importable package with somebody else's classes."""
    package = tmp_path / "site" / "others_plugins"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "shift.py").write_text(SHIFT)
    (package / "lazy.py").write_text(LAZY)
    (package / "broken.py").write_text("import there_is_no_such_module\n")
    monkeypatch.syspath_prepend(package.parent)
    yield package.name
    for name in [n for n in sys.modules if n.partition(".")[0] == package.name]:
        del sys.modules[name]


def test_a_detector_of_somebody_else_takes_part_in_the_check(watch, traffic, others) -> None:
    watched = watch(f'[models.detectors.shift]\nuse = "{others}.shift:MeanShift"\nmoderate = 0.3\n')
    (detector,) = watched.model.load_detectors()
    assert (detector.name, detector.moderate, detector.significant) == ("mean_shift", 0.3, 1.0)
    report = watched.app.monitoring.check(watched.model, traffic.drifted).batch.report
    assert {f.detector for f in report.features} == {"mean_shift"}
    assert any(f.drifted for f in report.features)
    assert report.overall_psi > 0.2, "the overall PSI is measured under any detectors"
    assert report.errors == ()


def test_a_detector_that_raises_is_named_and_the_check_lives(watch, traffic, others) -> None:
    watched = watch(f'[models.detectors.psi]\n[models.detectors.moody]\nuse = "{others}.shift:Moody"\n')
    checked = watched.app.monitoring.check(watched.model, traffic.drifted).batch
    assert (checked.state, checked.verdict) == ("checked", "drift")
    (error,) = checked.report.errors
    assert error == 'detector moody failed on 1 feature ("Flow Duration"): RuntimeError: not in the mood'
    measured = {(f.detector, f.feature) for f in checked.report.features}
    assert ("psi", "Flow Duration") in measured
    assert ("moody", "Flow Duration") not in measured
    assert ("moody", "Dst Port") in measured


def test_features_that_no_detector_could_measure_are_never_called_stable(watch, traffic, others, run) -> None:
    watched = watch(f'[models.detectors.moody]\nuse = "{others}.shift:Moody"\n')
    monitoring = watched.app.monitoring
    checked = monitoring.check(watched.model, traffic.stable).batch
    report = checked.report
    assert (report.verdict, report.recommendation) == ("insufficient_data", "investigate")
    assert report.unmeasured == ("Flow Duration",)
    assert report.errors[-1] == "1 of 27 features were not measured: there is no verdict"
    assert monitoring.notify(watched.model, checked).action == "alert"
    assert watched.said() == [("unmeasured", {"batch_id": checked.id})]
    shown = run(watched.folder, "check", traffic.stable)
    assert (shown.code, "error: 1 features could not be measured" in shown.err) == (2, True)


def test_the_error_of_a_detector_is_printed(watch, traffic, others, run) -> None:
    watched = watch(f'[models.detectors.psi]\n[models.detectors.moody]\nuse = "{others}.shift:Moody"\n')
    shown = run(watched.folder, "check", traffic.drifted)
    assert shown.code == 1
    assert "  error: detector moody failed on 1 feature" in shown.out
    assert run(watched.folder, "check", traffic.drifted, "--json").json["errors"]


WRONG = {
    "an unknown name": ("psy", {}, 'no plug-in is called "psy"; did you mean psi? Known: chi_square, '),
    "an unknown module": ("nowhere.at_all:X", {}, "could not be loaded: ModuleNotFoundError"),
    "a broken import": ("{others}.broken:X", {}, "No module named 'there_is_no_such_module'"),
    "an unknown class": ("{others}.shift:Missing", {}, "has no attribute 'Missing'"),
    "no class": ("{others}.shift:function", {}, "is not a class"),
    "no detector": ("{others}.shift:NoDetector", {}, "is no detector: it needs name, moderate"),
    "a wrong parameter": ("psi", {"moderat": 1}, "no parameter moderat (= 1); did you mean moderate? It takes"),
    "a truth for a number": ("ks", {"moderate": True}, "moderate = True will not do: input should be a valid number"),
    "a missing parameter": ("{others}.shift:Needy", {}, "needs the parameter what; it takes: what"),
    "a value that the class refuses": (
        "{others}.shift:Needy", {"what": 3}, "refuses its parameters (what = 3): what must be even (it takes: what)"
    ),
    "a threshold below zero": ("psi", {"moderate": -1}, "moderate (-1) and significant (0.2) must be numbers"),
    "a threshold in words": ("ks", {"significant": "much"}, "significant = 'much' will not do: input should be"),
    "thresholds in the wrong order": ("psi", {"moderate": 0.3}, "the second not below the first"),
    "an empty name": ("", {}, 'no plug-in is called ""'),
}  # fmt: skip


@pytest.mark.parametrize(("name", "params", "said"), WRONG.values(), ids=list(WRONG))
def test_a_detector_that_cannot_be_used_says_why(
    others, name: str, params: dict[str, object], said: str
) -> None:
    with pytest.raises(PluginError) as refused:
        load_detector(name.replace("{others}", others), params)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_configuration_names_the_key_of_a_bad_plug_in(watch, others, run) -> None:
    watched = watch("[models.detectors.psi]\n")
    path = watched.folder / "other.toml"
    text = (watched.folder / "driftcatcher.toml").read_text()
    path.write_text(f'{text}[models.detectors.x]\nuse = "{others}.broken:X"\n')
    with pytest.raises(ConfigError, match=r"models\[0\]\.detectors: .*there_is_no_such_module"):
        load(path)
    done = run(watched.folder, "--config", path, "check", "batch.csv")
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert (
        run(watched.folder, "--config", path, "status").code == 0
    )  # what has been found can be seen all the same


def test_a_trainer_of_somebody_else(others) -> None:
    trainer = load_trainer(f"{others}.lazy:Lazy", {"patience": 5})
    assert (trainer.name, trainer.params()) == ("lazy", {"patience": 5})
    with pytest.raises(PluginError, match="patience cannot be negative"):
        load_trainer(f"{others}.lazy:Lazy", {"patience": -1})
    with pytest.raises(PluginError, match=r"is no trainer: it needs name, params\(\) and fit"):
        load_trainer(f"{others}.shift:MeanShift", {})


def test_a_trainer_that_fails_is_one_line_and_no_version(watch, traffic, others, run) -> None:
    watched = watch(f'[models.trainer]\nuse = "{others}.lazy:Lazy"\n')
    done = run(watched.folder, "train", "--force", "--base-data", traffic.base)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1] == "error: the trainer lazy failed: RuntimeError: too lazy"
    assert [v.record.version for v in watched.app.store.versions("netflow")] == [1]


def test_what_is_installed_is_listed() -> None:
    assert list(known(DETECTORS)) == [
        *(
            "chi_square",
            "correlation",
            "domain_classifier",
            "jensen_shannon",
            "ks",
            "missing_share",
            "out_of_range",
        ),
        *("psi", "unseen_category", "wasserstein"),
    ]
    assert list(known(TRAINERS)) == ["hist_gradient_boosting", "logistic_regression", "random_forest"]
    listed = {name: (parameters, summary) for name, parameters, summary in describe(DETECTORS)}
    assert listed["ks"][0] == f"moderate={KS().moderate}, significant={KS().significant}"
    assert listed["psi"][1].startswith("Population stability index")


def test_every_installed_detector_loads_with_its_own_thresholds() -> None:
    for name in known(DETECTORS):
        detector = load_detector(name, {"moderate": 0.25, "significant": 0.5})
        assert (detector.name, detector.moderate, detector.significant) == (name, 0.25, 0.5)
