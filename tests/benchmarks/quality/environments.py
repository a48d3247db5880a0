"""Environments of their own for what is only compared with, under .cache/peers: made once, kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ENVIRONMENTS = Path(__file__).parents[3] / ".cache" / "peers"
_MARKER = "pins.txt"  # in an environment that is complete: what it was made of
_INSTALL_SECONDS = 1_800


class Unavailable(Exception):
    """What is compared with cannot be installed or started; the message says why."""


def installed(folder: str, pins: Sequence[str]) -> Path | None:
    """The interpreter of the environment with these packages; None where it has not been made."""
    home = ENVIRONMENTS / folder
    marker = home / _MARKER
    there = marker.is_file() and marker.read_text() == _content(pins)
    return home / "bin" / "python" if there else None


def install(folder: str, pins: Sequence[str]) -> Path:
    """The interpreter of the environment with these packages, made where it is not there yet."""
    if there := installed(folder, pins):
        return there
    home = ENVIRONMENTS / folder
    python = home / "bin" / "python"
    home.parent.mkdir(parents=True, exist_ok=True)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(python), "-m", "pip", "install", "-q", *pins],
    ):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"could not be installed: {error}") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise Unavailable(
                f"could not be installed on Python {sys.version_info[0]}.{sys.version_info[1]}: {last}"
            )
    (home / _MARKER).write_text(_content(pins))
    return python


def _content(pins: Sequence[str]) -> str:
    return "\n".join([f"Python {sys.version_info[0]}.{sys.version_info[1]}", *pins])


def packages(python: Path) -> Path:
    """The folder in which an environment's packages lie."""
    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
