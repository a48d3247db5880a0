"""The app manifest against a schema of Slack's documented fields, and against what the code really uses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bot.slack import ids, manifest
from bot.slack.status_blocks import HELP

URL = {"type": "string", "pattern": "^https://", "maxLength": 3000}


def thing(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def text(most: int, least: int = 1) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most}


FLAG = {"type": "boolean"}
NAMES = {"type": "array", "items": text(50), "uniqueItems": True, "maxItems": 100}
# Fields and lengths from docs.slack.dev/reference/app-manifest, as far as this manifest uses them.
SCHEMA = thing(
    ["display_information", "features", "oauth_config", "settings"],
    _metadata=thing([], major_version={"const": 1}, minor_version={"type": "integer"}),
    display_information=thing(
        ["name"],
        name=text(35),
        description=text(140),
        long_description=text(4000, 175),
        background_color={"type": "string", "pattern": "^#([0-9a-fA-F]{3}){1,2}$"},
    ),
    features=thing(
        ["bot_user"],
        app_home=thing(
            [], home_tab_enabled=FLAG, messages_tab_enabled=FLAG, messages_tab_read_only_enabled=FLAG
        ),
        bot_user=thing(["display_name"], display_name=text(80), always_online=FLAG),
        slash_commands={
            "type": "array",
            "minItems": 1,
            "maxItems": 50,
            "items": thing(
                ["command", "description"],
                command={"type": "string", "pattern": "^/", "minLength": 2, "maxLength": 32},
                description=text(2000),
                usage_hint=text(1000),
                should_escape=FLAG,
                url=URL,
            ),
        },
    ),
    oauth_config=thing(["scopes"], scopes=thing(["bot"], bot=NAMES)),
    settings=thing(
        ["socket_mode_enabled"],
        event_subscriptions=thing(["bot_events"], bot_events=NAMES, request_url=URL),
        interactivity=thing(["is_enabled"], is_enabled=FLAG, request_url=URL),
        org_deploy_enabled=FLAG,
        socket_mode_enabled=FLAG,
        token_rotation_enabled=FLAG,
    ),
)
# Bot scopes that docs.slack.dev names for a Web API method; views.* need none.
METHOD_SCOPES = {
    "chat_postMessage": {"chat:write"},
    "chat_postEphemeral": {"chat:write"},
    "chat_update": {"chat:write"},
    "chat_delete": {"chat:write"},
    "chat_getPermalink": set(),
    "auth_test": set(),
    "conversations_history": {"channels:history", "groups:history"},
    "conversations_replies": {"channels:history", "groups:history"},
    "conversations_list": {"channels:read", "groups:read"},
    "conversations_info": {"channels:read", "groups:read"},
    "files_upload_v2": {"files:write"},
    "files_info": {"files:read"},
    "reactions_add": {"reactions:write"},
    "usergroups_users_list": {"usergroups:read"},
    "users_info": {"users:read"},
    "views_open": set(),
    "views_update": set(),
    "views_push": set(),
    "views_publish": set(),
}
SOURCES = [path.read_text() for path in (Path(manifest.__file__).parent).glob("*.py")]


@pytest.mark.parametrize("socket_mode", [True, False])
def test_the_manifest_has_only_documented_fields_within_their_lengths(socket_mode: bool) -> None:
    made = manifest.manifest(
        "Night Watch", "/watch", socket_mode, None if socket_mode else "https://h.example/slack"
    )
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(made, SCHEMA)
    assert made["settings"]["socket_mode_enabled"] is socket_mode
    assert (
        made["display_information"]["name"] == made["features"]["bot_user"]["display_name"] == "Night Watch"
    )
    assert made["features"]["slash_commands"][0]["command"] == "/watch"


def test_the_schema_refuses_what_slack_refuses() -> None:
    made = manifest.manifest()
    made["display_information"]["name"] = "x" * 36
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made, SCHEMA)


def test_in_http_mode_events_actions_and_the_command_go_to_the_url() -> None:
    url = "https://h.example/slack/events"
    made = manifest.manifest(socket_mode=False, request_url=url)
    assert made["settings"]["event_subscriptions"]["request_url"] == url
    assert made["settings"]["interactivity"]["request_url"] == url
    assert made["features"]["slash_commands"][0]["url"] == url
    assert "https" not in json.dumps(manifest.manifest())


@pytest.mark.parametrize(
    "bad",
    [
        {"name": ""},
        {"name": "x" * 36},
        {"command": "drift"},
        {"command": "/Drift it"},
        {"socket_mode": False},
        {"socket_mode": False, "request_url": "http://h.example"},
    ],
)
def test_what_slack_would_refuse_is_refused_here(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        manifest.manifest(**bad)


def test_the_command_hint_names_every_subcommand() -> None:
    hint = manifest.manifest()["features"]["slash_commands"][0]["usage_hint"]
    assert all(usage in hint for usage, _ in HELP)


def test_the_scopes_are_those_of_the_methods_that_are_called() -> None:
    called = {
        name for source in SOURCES for name in re.findall(r"\bclient\.([a-z]+_[a-zA-Z_0-9]+)\(", source)
    }
    assert called <= set(METHOD_SCOPES), "a new Web API method: look its scopes up"
    needed = set().union(*(METHOD_SCOPES[name] for name in called))
    needed |= {"commands", "app_mentions:read"}  # the slash command and the app_mention event
    # files:read shows the files of messages in a thread, which no method of its own asks for.
    assert set(manifest.BOT_SCOPES) == needed | {"files:read"}


def test_every_event_that_is_subscribed_has_a_listener() -> None:
    listened = {name for source in SOURCES for name in re.findall(r"\.event\(\"(\w+)\"\)", source)}
    assert set(manifest.BOT_EVENTS) <= listened


def test_every_button_has_a_listener_and_a_name_of_its_own() -> None:
    listening = "".join(source for source in SOURCES if "app.action(" in source)
    names = {name for name, value in vars(ids).items() if value in ids.ACTIONS}
    assert len(names) == len(set(ids.ACTIONS)) == len(ids.ACTIONS)
    assert all(f"ids.{name}" in listening for name in names)


def test_the_json_is_the_manifest() -> None:
    assert json.loads(manifest.manifest_json()) == manifest.manifest()
    assert manifest.manifest_json().endswith("}\n")
