"""`driftcatcher demo --headless`: the README's first command, as a newcomer runs it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def play(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bot", "demo", *options]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLACK_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, env=environment)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("demo") / "here"
    return folder, play("--headless", "--folder", str(folder))


def test_the_whole_story_happens(played: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = played
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("  ok  ") == 9
    said = done.stdout
    assert "Every step happened." in said and str(folder) in said
    assert "netflow: significant drift, 23 of 27 features" in said
    assert "Version 2 was rolled back by @Anna Approver" in said
    assert "is promoted" not in said, "the alert shows the state after the roll-back"
    assert said.count("only visible to you") <= 2, "the channel is not flooded"
    assert "\n  DriftCatcher" in said and "<!date" not in said and "<@" not in said


def test_a_folder_is_played_in_once(played: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = played
    again = play("--headless", "--folder", str(folder))
    assert (again.returncode, again.stderr.splitlines()[-1]) == (
        2,
        f"error: {folder} is not empty: the story begins with a folder of its own, name a new one",
    )


def test_a_port_that_is_taken_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = play("--headless", "--port", str(port), "--folder", str(tmp_path / "new"))
    assert (done.returncode, f"port {port} is in use" in done.stderr) == (2, True)
    assert not (tmp_path / "new").exists()
