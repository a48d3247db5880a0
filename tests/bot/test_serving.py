"""Whoever serves the champion gets it: the folder whole, the webhook signed, both also after they were away."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bot.bootstrap import Application
from bot.config import Config, ServingSection, load
from bot.retraining import IN_HAND, PAUSE, Retraining
from bot.serving import SECRET, NotHandedOver, hand_over
from bot.status import read
from detectors.digest import sha256_file
from state.records import StateError
from trainers.base import ModelVersion
from trainers.model_file import load as load_model


class Hook:
    """A webhook that can be out of order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Message, bytes]] = []
        self.status = 200
        self.moved = ""  # where a redirect leads
        self.meanwhile = lambda: None
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                meanwhile, hook.meanwhile = hook.meanwhile, lambda: None
                meanwhile()
                hook.calls.append((self.headers, body))
                self.send_response(hook.status)
                if hook.moved:
                    self.send_header("Location", hook.moved)
                self.end_headers()

            def do_GET(self) -> None:  # where a followed redirect arrives
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def versions(self) -> list[int]:
        return [json.loads(body)["version"] for _, body in self.calls]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


@pytest.fixture
def version(watched, tmp_path: Path) -> ModelVersion:
    """The champion, with a model file of some bytes."""
    record: ModelVersion = watched.app.store.champion("netflow").record
    return with_file(record, tmp_path / "model.skops")


def with_file(record: ModelVersion, file: Path) -> ModelVersion:
    file.write_bytes(b"a model")
    return replace(record, model_path=str(file), model_sha256=sha256_file(file))


class Registry:
    """Aliases in memory."""

    def __init__(self) -> None:
        self.aliases: dict[str, int] = {}

    def set_alias(self, model: str, alias: str, version: int) -> None:
        self.aliases[alias] = version

    def alias(self, model: str, alias: str) -> int | None:
        return self.aliases.get(alias)


def test_the_folder_names_a_model_that_is_there_and_loads(trained, tmp_path: Path) -> None:
    folder, app = tmp_path / "serving" / "flows", Application.load(trained.config)
    version = app.store.champion("my-model").record
    app.close()
    for _ in range(2):
        hand_over("folder", ServingSection(folder=folder), version)
    said = json.loads((folder / "champion.json").read_text())
    assert (said["model"], said["version"]) == ("my-model", 1)
    assert said["sha256"] == sha256_file(folder / said["file"]) == version.model_sha256
    assert list(load_model(folder / said["file"]).classes_) == [0, 1]
    assert sorted(file.name for file in folder.iterdir()) == ["champion.json", "my-model-v1.skops"]


def test_a_model_file_that_was_changed_is_not_handed_over(version, tmp_path: Path) -> None:
    serving = ServingSection(folder=tmp_path / "serving")
    with pytest.raises(NotHandedOver, match="no model file was kept with it"):
        hand_over("folder", serving, replace(version, model_path=""))
    Path(version.model_path).write_bytes(b"something else")
    with pytest.raises(NotHandedOver, match="is not the file that was made with it"):
        hand_over("folder", serving, version)
    assert not (tmp_path / "serving" / "champion.json").exists()


def test_a_half_written_model_is_replaced(version, tmp_path: Path) -> None:
    (tmp_path / "netflow-v1.skops").write_bytes(b"half")
    hand_over("folder", ServingSection(folder=tmp_path), version)
    assert sha256_file(tmp_path / "netflow-v1.skops") == version.model_sha256


def test_the_webhook_can_tell_who_calls(version, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, "open sesame")
    hand_over("webhook", ServingSection(webhook=hook.url), version)
    ((headers, body),) = hook.calls
    expected = hmac.new(b"open sesame", body, hashlib.sha256).hexdigest()
    assert headers["X-DriftCatcher-Signature"] == f"sha256={expected}"
    assert json.loads(body)["model_uri"] == version.model_uri


@pytest.mark.parametrize("status", [500, 404, 302])
def test_a_webhook_that_refuses_is_told_again(version, hook: Hook, status: int) -> None:
    hook.status = status
    with pytest.raises(NotHandedOver, match=f"the serving webhook does not have version 1 yet: .*{status}"):
        hand_over("webhook", ServingSection(webhook=hook.url), version)


def test_a_redirect_is_no_answer(version, hook: Hook) -> None:
    """Followed, it would be a GET without the facts, and count as told."""
    hook.status, hook.moved = 301, hook.url
    with pytest.raises(NotHandedOver, match="301"):
        hand_over("webhook", ServingSection(webhook=hook.url), version)


def test_an_answer_that_is_no_http_is_none(version) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def garble() -> None:
            caller, _ = server.accept()
            with caller:
                caller.recv(100_000)
                caller.sendall(b"220 mail.example.org\r\n\r\n")

        threading.Thread(target=garble, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(NotHandedOver, match="the serving webhook does not have version 1 yet"):
            hand_over("webhook", ServingSection(webhook=url), version)


def test_a_password_in_the_url_is_refused_when_it_is_configured() -> None:
    """It would not be sent, and would stand in the log."""
    with pytest.raises(ValidationError):
        ServingSection(webhook="https://ana:secret@deploy.example.org/hook")
    assert ServingSection(webhook="https://deploy.example.org/hook?to=a@b").webhook


def test_whoever_was_overtaken_tells_it_again(watched, hook: Hook, tmp_path: Path) -> None:
    """Version 3 comes into use while the call about version 2 is under way, and arrives before it."""
    text = watched.app.config.folder / "driftcatcher.toml"
    with text.open("a") as file:
        file.write(f'\n[models.serving]\nwebhook = "{hook.url}"\n')
    config, store, now = load(text), watched.app.store, datetime.now(UTC)
    registry = Registry()
    retraining = Retraining(config, store, lambda: registry, lambda: now)
    first = store.champion("netflow").record
    for number in (2, 3):
        store.add_version(with_file(replace(first, version=number), tmp_path / f"{number}.skops"), now)
    hook.meanwhile = lambda: retraining._move("netflow", 3, "promote", "U0ANNA", "")
    retraining._move("netflow", 2, "promote", "U0ANNA", "")
    assert (hook.versions(), store.champion("netflow").record.version) == ([3, 2], 3)
    Retraining(config, store, lambda: registry, lambda: now + IN_HAND).tie_loose_ends()
    assert hook.versions() == [3, 2, 3]
    assert store.to_hand_over("netflow") == ()


def test_a_promotion_is_handed_over_at_once_or_later(watched, hook: Hook, tmp_path: Path) -> None:
    """The promotion stands though nobody answers, the status says who waits, and the newest champion is told."""
    text = watched.app.config.folder / "driftcatcher.toml"
    with text.open("a") as file:
        file.write(f'\n[models.serving]\nfolder = "out"\nwebhook = "{hook.url}"\n')
    config, store, now = load(text), watched.app.store, datetime.now(UTC)
    registry = Registry()
    retraining = Retraining(config, store, lambda: registry, lambda: now)
    model, first = config.model("netflow"), store.champion("netflow").record
    for number in (2, 3):
        store.add_version(with_file(replace(first, version=number), tmp_path / f"{number}.skops"), now)
    hook.status = 503
    retraining._move("netflow", 2, "promote", "U0ANNA", "")
    assert store.champion("netflow").record.version == 2
    assert json.loads((text.parent / "out" / "champion.json").read_text())["version"] == 2
    assert read(model, store, now).to_hand_over == ("webhook",)
    hook.status = 200
    retraining.tie_loose_ends()
    assert hook.versions() == [2], "not before a pause"
    retraining._move("netflow", 3, "promote", "U0ANNA", "")
    assert hook.versions() == [2, 3]
    assert read(model, store, now).to_hand_over == ()
    later = Retraining(config, store, lambda: registry, lambda: now + PAUSE)
    later.tie_loose_ends()
    assert hook.versions() == [2, 3], "once is enough"
    assert json.loads((text.parent / "out" / "champion.json").read_text())["version"] == 3


def test_a_webhook_that_is_added_later_is_told_when_the_bot_starts(
    watched, hook: Hook, tmp_path: Path
) -> None:
    """Once; at another address, once more; and what was handed over by a move is not told again."""
    text, store, now = watched.app.config.folder / "driftcatcher.toml", watched.app.store, datetime.now(UTC)
    registry = Registry()

    def start(config: Config) -> Retraining:
        retraining = Retraining(config, store, lambda: registry, lambda: now)
        retraining.hand_over_to_new()
        return retraining

    without = text.read_text()
    start(watched.app.config).tie_loose_ends()
    assert hook.versions() == []
    text.write_text(f'{without}\n[models.serving]\nwebhook = "{hook.url}"\n')
    start(config := load(text))
    assert read(config.model("netflow"), store, now).to_hand_over == ("webhook",)
    start(config).tie_loose_ends()
    assert hook.versions() == [1]
    start(config).tie_loose_ends()
    assert hook.versions() == [1]
    text.write_text(f'{without}\n[models.serving]\nwebhook = "{hook.url}?to=another"\n')
    start(config := load(text)).tie_loose_ends()
    assert hook.versions() == [1, 1]
    store.add_version(
        with_file(replace(store.champion("netflow").record, version=2), tmp_path / "2.skops"), now
    )
    start(config)._move("netflow", 2, "promote", "U0ANNA", "")
    start(config).tie_loose_ends()
    assert hook.versions() == [1, 1, 2]


def test_the_status_says_since_when_a_version_is_in_use(watched, tmp_path: Path) -> None:
    """It was trained before that, and may have been in use before."""
    store, now = watched.app.store, datetime.now(UTC)
    retraining = Retraining(watched.app.config, store, Registry, lambda: now + IN_HAND)
    store.add_version(
        with_file(replace(store.champion("netflow").record, version=2), tmp_path / "2.skops"), now
    )
    retraining._move("netflow", 2, "promote", "U0ANNA", "")
    assert read(watched.model, store, now).champion_since == now + IN_HAND
    later = replace(retraining, now=lambda: now + 2 * IN_HAND)
    later._move("netflow", 1, "roll_back", "U0ANNA", "")
    assert read(watched.model, store, now).champion_since == now + 2 * IN_HAND


def test_a_promotion_that_is_refused_hands_nothing_over(watched, hook: Hook) -> None:
    retraining = Retraining(watched.app.config, watched.app.store, Registry)
    with pytest.raises(StateError):
        retraining._move("netflow", 7, "promote", "U0ANNA", "")
    assert (hook.calls, watched.app.store.to_hand_over("netflow")) == ([], ())
