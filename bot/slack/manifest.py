"""The app manifest to paste into Slack when the app is created; made from what the code really uses."""

from __future__ import annotations

import json
import re
from typing import Any

from bot.slack.status_blocks import HELP

# Each scope and what it is for: nothing is asked for that is not used.
BOT_SCOPES = {
    "app_mentions:read": "answers @mentions, also in threads",
    "channels:history": "finds a message whose delivery was cut off, so that it is not posted twice",
    "channels:read": "finds the channel that the configuration names",
    "chat:write": "posts and edits alerts and replies",
    "commands": "the slash command",
    "files:read": "sees whether the plots are in the thread, so that they are not posted twice",
    "files:write": "uploads the distribution plots, and rows to label",
    "groups:history": "as channels:history, where the channel is private",
    "groups:read": "as channels:read, where the channel is private",
    "usergroups:read": "approvers may be user groups",
}
BOT_EVENTS = ("app_home_opened", "app_mention")
DESCRIPTION = "Model drift, handled in one thread: found, explained, approved, retrained, promoted."
LONG_DESCRIPTION = (
    "DriftCatcher watches the data that deployed models get. When it drifts, one message says which model,"
    " how strongly and what to do. An approver starts a retrain on old and new labelled data, sees both"
    " versions side by side on the same hold-outs, promotes the new one, and can roll back, in one thread."
)


def manifest(
    name: str = "DriftCatcher",
    command: str = "/drift",
    socket_mode: bool = True,
    request_url: str | None = None,
) -> dict[str, Any]:
    """The manifest as JSON types (schema version 1, docs.slack.dev/reference/app-manifest).

    Args:
        name: of the app and its bot user, at most 35 characters.
        command: the slash command.
        socket_mode: True needs no public address; False needs `request_url`.
        request_url: where Slack sends events, actions and commands in HTTP mode, e.g. https://host/slack/events.

    Raises:
        ValueError: a name, command or address that Slack would refuse.
    """
    _check(name, command, socket_mode, request_url)
    url = {} if socket_mode else {"request_url": request_url}
    return {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": {
            "name": name,
            "description": DESCRIPTION,
            "long_description": LONG_DESCRIPTION,
            "background_color": "#1f3a5f",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": name, "always_online": True},
            "slash_commands": [_command(command, None if socket_mode else request_url)],
        },
        "oauth_config": {"scopes": {"bot": sorted(BOT_SCOPES)}},
        "settings": {
            "event_subscriptions": {**url, "bot_events": list(BOT_EVENTS)},
            "interactivity": {"is_enabled": True, **url},
            "org_deploy_enabled": False,
            "socket_mode_enabled": socket_mode,
            "token_rotation_enabled": False,
        },
    }


def _check(name: str, command: str, socket_mode: bool, request_url: str | None) -> None:
    if not 1 <= len(name) <= 35:
        raise ValueError(f"The app's name must have 1 to 35 characters, not {len(name)}: {name!r}")
    if not re.fullmatch(r"/[a-z0-9_-]{1,31}", command):
        raise ValueError(
            f"The slash command must look like /drift (lower case, at most 32 characters): {command!r}"
        )
    if not socket_mode and not re.fullmatch(r"https://\S+", request_url or ""):
        raise ValueError(
            f"Without Socket Mode the request URL must be a public https:// address, not {request_url!r}"
        )


def _command(command: str, url: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "command": command,
        "description": "Check a file, see the models, start a retrain",
        "usage_hint": " | ".join(usage for usage, _ in HELP),
        "should_escape": True,
    }
    return {**entry, "url": url} if url else entry


def manifest_json(
    name: str = "DriftCatcher",
    command: str = "/drift",
    socket_mode: bool = True,
    request_url: str | None = None,
) -> str:
    """The manifest as indented JSON with a final newline, to be pasted."""
    return json.dumps(manifest(name, command, socket_mode, request_url), indent=2, ensure_ascii=False) + "\n"
