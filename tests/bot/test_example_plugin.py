"""The example package is built, installed offline, found by its entry points, and used in a real check."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "example_plugin"
ALONE = "detectors = { psi = {} }\n"  # what a watched model is looked at with, see conftest
USED = """
[models.detectors.psi]
[models.detectors.median_shift]
moderate = 0.12
[models.detectors.rank_correlation]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this environment has no pip")
    target = tmp_path_factory.mktemp("site")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", target, PACKAGE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def test_an_installed_package_takes_part_in_a_check(installed, watch, traffic, shell) -> None:
    here = {"PYTHONPATH": str(installed)}
    listed = shell(installed, "detectors", **here)
    assert "median_shift: Share of rows above the reference's median" in listed.out
    assert "    parameters: moderate=0.15, significant=0.3" in listed.out
    folder = watch().folder
    config = folder / "driftcatcher.toml"
    config.write_text(config.read_text().replace(ALONE, "") + USED)
    done = shell(folder, "check", traffic.drifted, "--json", **here)
    assert (done.code, done.json["verdict"], done.json["errors"]) == (1, "drift", [])
    found = {name: [f for f in done.json["features"] if f["detector"] == name] for name in USED_NAMES}
    assert any(f["drifted"] and f["p_value"] < 1e-6 for f in found["median_shift"])
    (together,) = found["rank_correlation"]
    assert together["feature"] == "(all features together)"
    assert together["detail"].startswith("correlation of ")


USED_NAMES = ("median_shift", "rank_correlation")


def test_a_wrong_parameter_of_it_names_the_key(installed, watch, traffic, shell) -> None:
    folder = watch().folder
    config = folder / "driftcatcher.toml"
    config.write_text(config.read_text().replace(ALONE, "") + USED.replace("0.12", '"high"'))
    done = shell(folder, "check", traffic.stable, PYTHONPATH=str(installed))
    assert (done.code, done.out) == (2, "")
    assert (
        "models[0].detectors: \"median_shift\": parameter moderate = 'high' will not do: "
        "input should be a valid number" in done.err
    )


def test_without_it_the_configuration_says_that_it_is_unknown(watch, traffic, shell) -> None:
    folder = watch().folder
    config = folder / "driftcatcher.toml"
    config.write_text(config.read_text().replace(ALONE, "") + USED)
    done = shell(folder, "check", traffic.stable, PYTHONPATH="")
    assert (done.code, 'no plug-in is called "median_shift"' in done.err) == (2, True)
