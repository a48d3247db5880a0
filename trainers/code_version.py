"""Which code trained a model: driftcatcher's own, and the project's."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path


def code_version() -> str:
    """The git commit of this source tree, "+dirty" where tracked files differ; else "driftcatcher 1.2.3"."""
    here = Path(__file__).resolve()
    # An installed copy may lie inside somebody's repository without being part of it.
    if git(here.parent, "ls-files", "--error-unmatch", here.name) and (found := head(here.parent)):
        commit, dirty = found
        return commit + ("+dirty" if dirty else "")
    try:
        return f"driftcatcher {metadata.version('driftcatcher')}"
    except metadata.PackageNotFoundError:
        return "driftcatcher, not installed"


def head(folder: Path) -> tuple[str, bool] | None:
    """The git commit of a folder and whether tracked files of its repository differ; None outside of any."""
    commit = git(folder, "rev-parse", "HEAD")
    return (commit, bool(git(folder, "status", "--porcelain", "--untracked-files=no"))) if commit else None


def git(folder: Path, *command: str) -> str:
    """What git prints, empty where there is no git or no answer."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *command], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
