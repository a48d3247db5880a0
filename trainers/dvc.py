"""The DVC revision of a file, read from its `.dvc` file or `dvc.lock`; DVC itself need not be installed.

Formats: https://dvc.org/doc/user-guide/project-structure. A `.dvc` file lists `outs` with `path` (relative to its
folder, or to `wdir`) and `md5`; a `dvc.lock` has such lists for each stage, relative to the `wdir` of that stage in
`dvc.yaml`. An entry of DVC 3 says `hash: md5`: the plain MD5 of the bytes. DVC 2 reads line ends of text its own way
first.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainers.code_version import git
from trainers.lineage import DvcRevision

log = logging.getLogger(__name__)


def dvc_revision(file: Path) -> DvcRevision | None:
    """What DVC says of a file or folder, or of the nearest folder above that it tracks; None where it says nothing.

    A pointer that cannot be read counts as none: a training must not fail for it.
    """
    file = _absolute(file)
    root = next((folder for folder in file.parents if (folder / ".dvc").is_dir()), None)
    if root is None:
        return None
    for folder in file.parents:
        for pointer in (*sorted(folder.glob("*.dvc")), folder / "dvc.lock"):
            if pointer.is_file():
                for out in _outs(pointer):
                    if file == out["where"] or file.is_relative_to(out["where"]):
                        return _revision(pointer, out, file)
        if folder == root:
            break
    return None


def _absolute(path: Path) -> Path:
    """Without following links: DVC may put a link into its cache where the file belongs."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _outs(pointer: Path) -> Iterator[dict[str, Any]]:
    """Each output with an MD5, and where it lies."""
    content = _read(pointer)
    for out in _entries(content.get("outs")):
        yield {**out, "where": _place(pointer.parent, content.get("wdir"), out)}
    stages = content.get("stages")
    if isinstance(stages, Mapping):
        written = _read(pointer.with_name("dvc.yaml")).get("stages")
        for name, stage in stages.items():
            of_stage = written.get(str(name).partition("@")[0]) if isinstance(written, Mapping) else None
            wdir = of_stage.get("wdir") if isinstance(of_stage, Mapping) else None
            for out in _entries(stage.get("outs") if isinstance(stage, Mapping) else None):
                yield {**out, "where": _place(pointer.parent, wdir, out)}


def _entries(outs: Any) -> Iterator[dict[str, Any]]:
    for out in outs if isinstance(outs, list) else ():
        if isinstance(out, Mapping) and out.get("md5") and out.get("path"):
            yield dict(out)


def _place(folder: Path, wdir: Any, out: Mapping[str, Any]) -> Path:
    return _absolute(folder / str(wdir or ".") / str(out["path"]))


def _read(pointer: Path) -> Mapping[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(pointer.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        if pointer.exists():
            log.warning("%s says nothing of its data: %s", pointer, error)
        return {}
    return content if isinstance(content, Mapping) else {}


def _revision(pointer: Path, out: Mapping[str, Any], file: Path) -> DvcRevision:
    md5, folder = str(out["md5"]), pointer.parent
    known = git(folder, "ls-files", "--error-unmatch", pointer.name)
    changed = git(folder, "status", "--porcelain", "--", pointer.name)
    commit = git(folder, "log", "-1", "--format=%H", "--", pointer.name) if known and not changed else ""
    matches = None
    if out.get("hash") == "md5" and file == out["where"] and file.is_file():
        with file.open("rb") as opened:
            matches = hashlib.file_digest(opened, _md5).hexdigest() == md5
    return DvcRevision(str(pointer), md5, commit, matches)


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)  # DVC's name for the content, no protection
