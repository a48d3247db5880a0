"""Hands the champion to those who do not load it from the registry: a folder that they read, a webhook that is told.

Both get the same few facts. A reader of the folder looks at champion.json alone, which is replaced as a whole after the
model file that it names is there.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from bot.config import ServingSection
from detectors.digest import sha256_file
from detectors.location import Location, write_whole
from trainers.base import ModelVersion

NAMED = "champion.json"
SECRET = "DRIFTCATCHER_WEBHOOK_SECRET"  # noqa: S105  the name of the variable
PATIENCE = 10.0  # seconds for an answer


class NotHandedOver(Exception):
    """The serving side does not have the champion yet; the message says why."""


def facts(version: ModelVersion) -> dict[str, Any]:
    """What the serving side is told, plain JSON types; of several classes what each predicted position means."""
    return {
        "model": version.model,
        "version": version.version,
        "file": f"{version.model}-v{version.version}.skops",
        "sha256": version.model_sha256,
        "model_uri": version.model_uri,
        "run_url": version.run_url,
        **({"classes": list(version.classes)} if version.classes else {}),
    }


def place(kind: str, serving: ServingSection) -> str:
    """A digest that tells one folder or webhook from another: a URL may hold what is not for the state file."""
    where = str(serving.folder or "") if kind == "folder" else serving.webhook
    return hashlib.sha256(where.encode()).hexdigest()[:16]


def hand_over(kind: str, serving: ServingSection, version: ModelVersion) -> None:
    """Put the champion into the folder, or tell the webhook; the same one again does no harm.

    Args:
        kind: "folder" or "webhook"; one that is not configured any more is left out.

    Raises:
        NotHandedOver: try again later.
    """
    try:
        if kind == "folder" and serving.folder is not None:
            _put(serving.folder, version)
        elif kind == "webhook" and serving.webhook:
            _tell(serving.webhook, version)
    except (OSError, ValueError, HTTPException) as error:  # DataError is a ValueError; URLError is an OSError
        raise NotHandedOver(
            f"the serving {kind} does not have version {version.version} yet: {error}"
        ) from error


def _put(folder: Location, version: ModelVersion) -> None:
    said, model = facts(version), Path(version.model_path)
    if not version.model_path:
        raise OSError("no model file was kept with it; retrain, or load it from the registry")
    if sha256_file(model) != version.model_sha256:
        raise OSError(f"{model} is not the file that was made with it")
    if isinstance(folder, Path):
        folder.mkdir(parents=True, exist_ok=True)
    there = folder / str(said["file"])
    if not there.is_file() or sha256_file(there) != version.model_sha256:
        write_whole(there, model.read_bytes())
    write_whole(folder / NAMED, json.dumps(said, indent=2).encode())


def _tell(url: str, version: ModelVersion) -> None:
    """POST the facts; signed where a secret is set: HMAC-SHA256 of the body (RFC 2104), in hexadecimal."""
    body = json.dumps(facts(version)).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "DriftCatcher"}
    if secret := os.environ.get(SECRET):
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers["X-DriftCatcher-Signature"] = f"sha256={signature}"
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310  http or https, by configuration
    with urllib.request.build_opener(_Stay).open(request, timeout=PATIENCE):
        pass  # whatever is not 2xx is an HTTPError


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect is no answer: followed, the POST would become a GET without the facts, signed for somebody else."""

    def redirect_request(self, *_: Any) -> None:
        return None
