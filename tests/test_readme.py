"""What README says is tried: its Python, its configuration, its detector, its commands."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import click
import pytest

from bot.cli import cli
from bot.config import load
from bot.demo.traffic import BASE_MIX, NEW_MIX, mix
from bot.plugins import PluginError
from bot.trainer_options import load_trainer
from detectors import Baseline, check, objects
from detectors.checks import check_detector
from trainers.checks import check_trainer

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def page(name: str) -> str:
    """The module of the README whose first line is its file name."""
    (source,) = [b for b in blocks("python") if b.startswith(f"# {name}.py\n")]
    return source


@pytest.fixture
def third_party() -> Any:
    """The detector of the README as the importable module it names."""
    module = types.ModuleType("my_detectors")
    sys.modules["my_detectors"] = module  # dataclasses look their module up
    exec(page("my_detectors"), module.__dict__)
    yield module
    del sys.modules["my_detectors"]


def test_the_third_party_trainer_keeps_the_contract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "my_trainers.py").write_text(page("my_trainers"))
    monkeypatch.syspath_prepend(tmp_path)
    check_trainer(load_trainer("my_trainers:Careful", {"cost": 20.0}))
    check_trainer(
        load_trainer("my_trainers:Careful", {"n_estimators": 20, "calibrate": "sigmoid", "seed": 2})
    )
    with pytest.raises(PluginError, match=r"has no parameter costs .* did you mean cost"):
        load_trainer("my_trainers:Careful", {"costs": 20.0})


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    mix(BASE_MIX, 2000, 1).to_csv(tmp_path / "labelled_2025.csv", index=False)
    mix(NEW_MIX, 1000, 2, labelled=False).to_csv(tmp_path / "today.csv", index=False)
    monkeypatch.chdir(tmp_path)
    (source,) = [b for b in blocks("python") if "Baseline.fit" in b]
    exec(source, {})
    assert capsys.readouterr().out.startswith("drift label\n")


def test_the_third_party_detector_keeps_the_contract_and_is_configured_as_told(
    third_party: Any, tmp_path: Path
) -> None:
    detector = third_party.GapShare()
    check_detector(detector)
    path = tmp_path / "driftcatcher.toml"
    path.write_text(
        '[[models]]\nname = "m"\nlabel = { column = "Label", negative = ["BENIGN"] }\n'
        '[models.detectors.gap_share]\nuse = "my_detectors:GapShare"\nmoderate = 0.03\n'
    )
    (loaded,) = load(path).models[0].load_detectors()
    assert loaded.moderate == 0.03
    frame = mix(BASE_MIX, 1000, 3).drop(columns="Label")
    holes = frame.copy()
    holes.loc[:400, "Flow Duration"] = None
    report = check(Baseline.fit(frame), holes, detectors=[detector])
    found = {f.feature: f.detail for f in report.drifted}
    assert found == {"Flow Duration": "missing 0% → 40%"}


def test_the_configurations_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "find_spec", lambda package: package)  # one reads from a store
    path = tmp_path / "driftcatcher.toml"
    whole = [block for block in blocks("toml") if "[[models]]" in block]
    assert len(whole) == 2
    for block in whole:
        path.write_text(block)
        assert load(path).models[0].name == "netflow"


def test_every_command_is_in_the_readme_and_every_command_in_the_readme_exists() -> None:
    named = set(re.findall(r"driftcatcher (?:--config \S+ )?([a-z]+)\b", README))
    assert named - {"file", "is"} == set(cli.commands)


def test_every_command_and_option_has_help() -> None:
    for name, command in cli.commands.items():
        assert command.help, name
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help, (name, option.name)


def test_pictures_exist() -> None:
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (Path(__file__).parents[1] / picture).is_file(), picture
