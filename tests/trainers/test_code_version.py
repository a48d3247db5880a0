from __future__ import annotations

import importlib.util
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

import trainers.code_version

PACKAGE = f"driftcatcher {version('driftcatcher')}"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The module inside a fresh repository, not yet added."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return Path(shutil.copy(trainers.code_version.__file__, tmp_path / "copied.py"))


def told(file: Path) -> str:
    spec = importlib.util.spec_from_file_location("copied", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.code_version()


def git(folder: Path, *command: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *who, *command], check=True, capture_output=True, text=True
    ).stdout


def test_it_is_the_commit_and_says_when_files_differ(copied):
    git(copied.parent, "add", "copied.py")
    git(copied.parent, "commit", "-qm", "first")
    commit = git(copied.parent, "rev-parse", "HEAD").strip()
    assert told(copied) == commit
    with copied.open("a") as file:
        file.write("# changed\n")
    assert told(copied) == commit + "+dirty"


def test_a_repository_that_the_code_is_not_part_of_says_nothing_about_it(copied):
    assert told(copied) == PACKAGE


def test_without_git_it_is_the_version_of_the_package(copied, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert told(copied) == PACKAGE
