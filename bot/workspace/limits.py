"""Slack's limits on messages, blocks and views, checked as Slack would check them. Pure.

Every function returns or raises what is wrong, with a JSON pointer to the place, so that a refused
message can be mended without guessing. Source: the Block Kit reference on docs.slack.dev.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .errors import SlackError
from .model import Json

MAX_TEXT = 40_000
MAX_MESSAGE_BLOCKS = 50
MAX_VIEW_BLOCKS = 100
MAX_BLOCK_CHARACTERS = 13_200
MAX_MARKDOWN = 12_000
MAX_ID = 255
MAX_TABLE_ROWS = 100
MAX_TABLE_COLUMNS = 20
MAX_METADATA = 8_000

SELECTS = ("static_select", "users_select", "channels_select", "conversations_select")
MULTI_SELECTS = ("multi_static_select", "multi_users_select")
PICKERS = ("datepicker", "timepicker")
CHOICES = ("checkboxes", "radio_buttons")
TEXT_INPUTS = ("plain_text_input", "number_input", "email_text_input", "url_text_input")

IN_ACTIONS = frozenset({"button", "overflow", *SELECTS, *MULTI_SELECTS, *PICKERS, *CHOICES})
IN_SECTION = IN_ACTIONS | {"image"}
IN_INPUT = frozenset({*SELECTS, *MULTI_SELECTS, *PICKERS, *CHOICES, *TEXT_INPUTS})
IN_CONTEXT = frozenset({"image", "plain_text", "mrkdwn"})


class Check:
    """Collects problems while walking a payload; ``at`` is the JSON pointer of the current value."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def fail(self, at: str, what: str) -> None:
        self.problems.append(f"[ERROR] {what} [json-pointer:{at}]")

    def known(self, value: Mapping[str, Any], at: str, *names: str) -> None:
        """Slack refuses fields that it does not know."""
        for name in value:
            if name not in names and name not in ("type", "block_id", "action_id"):
                self.fail(f"{at}/{name}", f"no such field: {name}; known: {', '.join(names)}")

    def string(self, value: object, at: str, longest: int, shortest: int = 0) -> bool:
        """Check that a value is a string of an allowed length."""
        if not isinstance(value, str):
            self.fail(at, f"must be a string, not {type(value).__name__}")
            return False
        if len(value) > longest:
            self.fail(at, f"must be no more than {longest} characters, is {len(value)}")
            return False
        if len(value) < shortest:
            self.fail(at, f"must be at least {shortest} characters")
            return False
        return True

    def optional_string(self, owner: Mapping[str, Any], name: str, at: str, longest: int) -> None:
        if owner.get(name) is not None:
            self.string(owner[name], f"{at}/{name}", longest)

    def text(self, value: object, at: str, longest: int, plain: bool = False) -> None:
        """Check a text object (``plain_text`` or ``mrkdwn``)."""
        if not isinstance(value, dict):
            self.fail(at, "must be a text object, e.g. {'type': 'plain_text', 'text': '…'}")
            return
        if value.get("type") not in (("plain_text",) if plain else ("plain_text", "mrkdwn")):
            self.fail(f"{at}/type", "must be plain_text" if plain else "must be plain_text or mrkdwn")
        if value.get("type") == "mrkdwn" and "emoji" in value:
            self.fail(f"{at}/emoji", "is only allowed with plain_text")
        self.known(value, at, "text", "emoji", "verbatim")
        self.string(value.get("text"), f"{at}/text", longest, shortest=1)

    def list_of(self, value: object, at: str, longest: int, shortest: int = 1) -> list[Any]:
        """Check a list and its length; a wrong one is reported and read as empty."""
        if not isinstance(value, list):
            self.fail(at, "must be a list")
            return []
        if len(value) > longest:
            self.fail(at, f"no more than {longest} items allowed, has {len(value)}")
        if len(value) < shortest:
            self.fail(at, f"at least {shortest} items required")
        return value


def check_message(text: object, blocks: list[Json], attachments: list[Json]) -> None:
    """Check what a message would show.

    Raises:
        SlackError: ``no_text``, ``msg_too_long``, ``msg_blocks_too_long`` or ``invalid_blocks``.
    """
    if not (text or blocks or attachments):
        raise SlackError("no_text")
    if not isinstance(text, str | None):
        raise SlackError("invalid_arguments", ["[ERROR] text must be a string"])
    if text is not None and len(text) > MAX_TEXT:
        raise SlackError("msg_too_long", [f"[ERROR] text has {len(text)} characters; at most {MAX_TEXT}"])
    if problems := block_problems(blocks, MAX_MESSAGE_BLOCKS, "message"):
        raise SlackError("invalid_blocks", problems)
    if (size := sum(map(len, _texts(blocks)))) > MAX_BLOCK_CHARACTERS:
        detail = f"[ERROR] the blocks hold {size} characters; at most {MAX_BLOCK_CHARACTERS}"
        raise SlackError("msg_blocks_too_long", [detail])
    for attachment in attachments:
        if not isinstance(attachment, dict):
            raise SlackError("invalid_attachments", ["[ERROR] an attachment must be an object"])
        if problems := block_problems(attachment.get("blocks", []), MAX_MESSAGE_BLOCKS, "message"):
            raise SlackError("invalid_attachments", problems)


def check_metadata(metadata: object) -> None:
    """Check a message's metadata: ``{"event_type": str, "event_payload": object}``."""
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        raise SlackError("invalid_metadata_format", ["metadata needs event_type and event_payload"])
    if not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_schema", ["metadata.event_payload must be an object"])
    if len(json.dumps(metadata)) > MAX_METADATA:
        raise SlackError("metadata_too_large")


def check_view(view: object, kind: str) -> Json:
    """Check a modal or Home tab definition and return it.

    Raises:
        SlackError: ``invalid_arguments`` with every problem found.
    """
    check = Check()
    if not isinstance(view, dict):
        raise SlackError("invalid_arguments", ["[ERROR] view must be an object [json-pointer:/view]"])
    if view.get("type") != kind:
        check.fail("/view/type", f"must be {kind}")
    at = "/view"
    common = ("blocks", "private_metadata", "callback_id", "external_id")
    if kind == "modal":
        check.known(
            view, at, *common, "title", "submit", "close", "clear_on_close", "notify_on_close",
            "submit_disabled",
        )  # fmt: skip
        check.text(view.get("title"), f"{at}/title", 24, plain=True)
        for name in ("submit", "close"):
            if view.get(name) is not None:
                check.text(view[name], f"{at}/{name}", 24, plain=True)
    else:
        check.known(view, at, *common, "title", "submit", "close")
    check.optional_string(view, "private_metadata", at, 3000)
    check.optional_string(view, "callback_id", at, 255)
    check.optional_string(view, "external_id", at, 255)
    blocks = view.get("blocks")
    check.problems += block_problems(blocks, MAX_VIEW_BLOCKS, kind, f"{at}/blocks")
    has_input = isinstance(blocks, list) and any(
        isinstance(block, dict) and block.get("type") == "input" for block in blocks
    )
    if kind == "modal" and has_input and not view.get("submit"):
        check.fail("/view/submit", "missing required field: submit is required when there are input blocks")
    if check.problems:
        raise SlackError("invalid_arguments", check.problems)
    return view


def block_problems(blocks: object, most: int, surface: str, at: str = "/blocks") -> list[str]:
    """All problems in a list of blocks; ``surface`` is message, modal or home."""
    check = Check()
    seen: dict[str, str] = {}
    tables = 0
    for index, block in enumerate(check.list_of(blocks, at, most, shortest=0)):
        here = f"{at}/{index}"
        if not isinstance(block, dict):
            check.fail(here, "must be an object")
            continue
        kind = str(block.get("type"))
        if kind not in BLOCKS:
            check.fail(f"{here}/type", f"unsupported type: {kind}; known: {', '.join(sorted(BLOCKS))}")
            continue
        if (block_id := block.get("block_id")) is not None and check.string(
            block_id, f"{here}/block_id", MAX_ID
        ):
            if block_id in seen:
                check.fail(f"{here}/block_id", f"block_id {block_id!r} already used at {seen[block_id]}")
            seen[block_id] = here
        tables += kind == "table"
        if kind in ("table", "markdown") and surface != "message":
            check.fail(here, f"a {kind} block is allowed in messages only")
        BLOCKS[kind](check, block, here)
    if tables > 1:
        check.fail(at, "only_one_table_allowed: a message can hold one table block")
    return check.problems


def _section(check: Check, block: Json, at: str) -> None:
    check.known(block, at, "text", "fields", "accessory", "expand")
    if block.get("text") is None and not block.get("fields"):
        check.fail(at, "missing required field: a section needs text or fields")
    if block.get("text") is not None:
        check.text(block["text"], f"{at}/text", 3000)
    if block.get("fields") is not None:
        for index, field in enumerate(check.list_of(block["fields"], f"{at}/fields", 10)):
            check.text(field, f"{at}/fields/{index}", 2000)
    if block.get("accessory") is not None:
        _element(check, block["accessory"], f"{at}/accessory", IN_SECTION)


def _header(check: Check, block: Json, at: str) -> None:
    check.known(block, at, "text", "level")
    check.text(block.get("text"), f"{at}/text", 150, plain=True)


def _divider(check: Check, block: Json, at: str) -> None:
    check.known(block, at)


def _context(check: Check, block: Json, at: str) -> None:
    check.known(block, at, "elements")
    for index, element in enumerate(check.list_of(block.get("elements"), f"{at}/elements", 10)):
        here = f"{at}/elements/{index}"
        if isinstance(element, dict) and element.get("type") == "image":
            _image_element(check, element, here)
        else:
            check.text(element, here, 3000)


def _actions(check: Check, block: Json, at: str) -> None:
    check.known(block, at, "elements")
    seen: set[str] = set()
    for index, element in enumerate(check.list_of(block.get("elements"), f"{at}/elements", 25)):
        here = f"{at}/elements/{index}"
        _element(check, element, here, IN_ACTIONS)
        action_id = element.get("action_id") if isinstance(element, dict) else None
        if action_id is not None and action_id in seen:
            check.fail(f"{here}/action_id", f"action_id {action_id!r} already exists in this block")
        seen.add(str(action_id))


def _input(check: Check, block: Json, at: str) -> None:
    check.known(block, at, "label", "element", "dispatch_action", "hint", "optional")
    check.text(block.get("label"), f"{at}/label", 2000, plain=True)
    if block.get("hint") is not None:
        check.text(block["hint"], f"{at}/hint", 2000, plain=True)
    _element(check, block.get("element"), f"{at}/element", IN_INPUT)


def _image(check: Check, block: Json, at: str) -> None:
    check.known(block, at, "image_url", "slack_file", "alt_text", "title")
    _picture(check, block, at)
    if block.get("title") is not None:
        check.text(block["title"], f"{at}/title", 2000, plain=True)


def _picture(check: Check, image: Json, at: str) -> None:
    if (image.get("image_url") is None) == (image.get("slack_file") is None):
        check.fail(at, "an image needs exactly one of image_url and slack_file")
    url, file = image.get("image_url"), image.get("slack_file")
    is_text = url is not None and check.string(url, f"{at}/image_url", 3000, 1)
    if is_text and not str(url).startswith(("http://", "https://")):
        check.fail(f"{at}/image_url", "must be a URL")
    if file is not None and (not isinstance(file, dict) or ("id" in file) == ("url" in file)):
        check.fail(f"{at}/slack_file", "needs exactly one of id and url")
    check.string(image.get("alt_text"), f"{at}/alt_text", 2000, 1)


def _markdown(check: Check, block: Json, at: str) -> None:
    check.known(block, at, "text")
    check.string(block.get("text"), f"{at}/text", MAX_MARKDOWN, 1)


def _table(check: Check, block: Json, at: str) -> None:
    check.known(block, at, "rows", "column_settings")
    for number, row in enumerate(check.list_of(block.get("rows"), f"{at}/rows", MAX_TABLE_ROWS)):
        here = f"{at}/rows/{number}"
        for column, cell in enumerate(check.list_of(row, here, MAX_TABLE_COLUMNS)):
            kind = cell.get("type") if isinstance(cell, dict) else None
            if kind == "raw_text":
                check.string(cell.get("text"), f"{here}/{column}/text", 3000, 1)
            elif kind == "rich_text":
                _rich_text(check, cell, f"{here}/{column}")
            else:
                check.fail(f"{here}/{column}/type", "a table cell must be raw_text or rich_text")
    settings = block.get("column_settings")
    if settings is not None:
        for column, setting in enumerate(check.list_of(settings, f"{at}/column_settings", 20, 0)):
            if setting is None:
                continue
            if not isinstance(setting, dict) or setting.get("align", "left") not in (
                "left", "center", "right",
            ):  # fmt: skip
                check.fail(f"{at}/column_settings/{column}/align", "must be left, center or right")


RICH_PARTS = frozenset({"rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote"})
# leaf -> the text it must have; a date's timestamp is a number
RICH_LEAVES: Mapping[str, str] = {
    "text": "text",
    "link": "url",
    "emoji": "name",
    "user": "user_id",
    "usergroup": "usergroup_id",
    "channel": "channel_id",
    "broadcast": "range",
    "color": "value",
    "date": "",
}


def _rich_text(check: Check, block: Json, at: str) -> None:
    for index, part in enumerate(check.list_of(block.get("elements"), f"{at}/elements", 1000)):
        here = f"{at}/elements/{index}"
        kind = str(part.get("type")) if isinstance(part, dict) else ""
        if kind not in RICH_PARTS:
            check.fail(f"{here}/type", f"unsupported type: {kind}")
        elif kind == "rich_text_list":
            for number, item in enumerate(check.list_of(part.get("elements"), f"{here}/elements", 1000, 0)):
                there = f"{here}/elements/{number}"
                if not isinstance(item, dict) or item.get("type") != "rich_text_section":
                    check.fail(f"{there}/type", "an item of a list must be a rich_text_section")
                else:
                    _rich_leaves(check, item, there)
        else:
            _rich_leaves(check, part, here)


def _rich_leaves(check: Check, part: Json, at: str) -> None:
    for number, leaf in enumerate(check.list_of(part.get("elements"), f"{at}/elements", 1000, 0)):
        here = f"{at}/elements/{number}"
        kind = str(leaf.get("type")) if isinstance(leaf, dict) else ""
        if kind not in RICH_LEAVES:
            check.fail(f"{here}/type", f"unsupported type: {kind}")
        elif needed := RICH_LEAVES[kind]:
            check.string(leaf.get(needed), f"{here}/{needed}", MAX_TEXT, 1)


def _element(check: Check, element: object, at: str, allowed: frozenset[str]) -> None:
    if not isinstance(element, dict):
        check.fail(at, "must be an element object")
        return
    kind = str(element.get("type"))
    if kind not in allowed or kind not in ELEMENTS:
        check.fail(f"{at}/type", f"unsupported type: {kind}; allowed here: {', '.join(sorted(allowed))}")
        return
    if element.get("action_id") is not None:
        check.string(element["action_id"], f"{at}/action_id", MAX_ID, 1)
    if element.get("confirm") is not None:
        _confirm(check, element["confirm"], f"{at}/confirm")
    if element.get("placeholder") is not None:
        check.text(element["placeholder"], f"{at}/placeholder", 150, plain=True)
    ELEMENTS[kind](check, element, at)


def _image_element(check: Check, element: Json, at: str) -> None:
    check.known(element, at, "image_url", "slack_file", "alt_text")
    _picture(check, element, at)


def _button(check: Check, element: Json, at: str) -> None:
    check.known(element, at, "text", "url", "value", "style", "confirm", "accessibility_label")
    check.text(element.get("text"), f"{at}/text", 75, plain=True)
    check.optional_string(element, "value", at, 2000)
    check.optional_string(element, "url", at, 3000)
    check.optional_string(element, "accessibility_label", at, 75)
    if element.get("style") not in (None, "primary", "danger"):
        check.fail(f"{at}/style", "must be primary or danger (leave it out for the default)")


def _confirm(check: Check, confirm: object, at: str) -> None:
    if not isinstance(confirm, dict):
        check.fail(at, "must be a confirm object")
        return
    check.known(confirm, at, "title", "text", "confirm", "deny", "style")
    check.text(confirm.get("title"), f"{at}/title", 100, plain=True)
    check.text(confirm.get("text"), f"{at}/text", 300)
    for name in ("confirm", "deny"):
        if confirm.get(name) is not None:
            check.text(confirm[name], f"{at}/{name}", 30, plain=True)
    if confirm.get("style") not in (None, "primary", "danger"):
        check.fail(f"{at}/style", "must be primary or danger")


def _options(check: Check, element: Json, at: str, most: int, plain: bool, longest_value: int = 150) -> None:
    values: set[str] = set()
    for index, option in enumerate(check.list_of(element.get("options"), f"{at}/options", most)):
        here = f"{at}/options/{index}"
        if not isinstance(option, dict):
            check.fail(here, "must be an option object")
            continue
        check.known(option, here, "text", "value", "description", "url")
        check.text(option.get("text"), f"{here}/text", 75, plain=plain)
        value = option.get("value")
        if check.string(value, f"{here}/value", longest_value, 1) and value in values:
            check.fail(f"{here}/value", f"value {value!r} is used twice")
        values.add(str(value))
        if option.get("description") is not None:
            check.text(option["description"], f"{here}/description", 75, plain=plain)
    for name in ("initial_option", "initial_options"):
        given = element.get(name)
        for option in given if isinstance(given, list) else [given] if given is not None else []:
            if option not in (element.get("options") or []):
                check.fail(f"{at}/{name}", "must exactly match one of the options")


def _static_select(check: Check, element: Json, at: str) -> None:
    if "option_groups" not in element:
        _options(check, element, at, 100, plain=True)
        return
    for index, group in enumerate(check.list_of(element["option_groups"], f"{at}/option_groups", 100)):
        here = f"{at}/option_groups/{index}"
        if not isinstance(group, dict):
            check.fail(here, "must be an option group")
            continue
        check.text(group.get("label"), f"{here}/label", 75, plain=True)
        _options(check, group, here, 100, plain=True)


def _overflow(check: Check, element: Json, at: str) -> None:
    _options(check, element, at, 5, plain=True)


def _choices(check: Check, element: Json, at: str) -> None:
    _options(check, element, at, 10, plain=False)


def _anything(check: Check, element: Json, at: str) -> None:
    """Elements whose own fields carry no limit of note."""


def _text_input(check: Check, element: Json, at: str) -> None:
    check.optional_string(element, "initial_value", at, 3000)
    for name in ("min_length", "max_length"):
        length = element.get(name)
        if length is not None and not (isinstance(length, int) and 0 <= length <= 3000):
            check.fail(f"{at}/{name}", "must be a number from 0 to 3000")


Checker = Callable[[Check, Json, str], None]

BLOCKS: Mapping[str, Checker] = {
    "section": _section,
    "header": _header,
    "divider": _divider,
    "context": _context,
    "actions": _actions,
    "input": _input,
    "image": _image,
    "markdown": _markdown,
    "table": _table,
    "rich_text": _rich_text,
}

ELEMENTS: Mapping[str, Checker] = {
    "image": _image_element,
    "button": _button,
    "overflow": _overflow,
    "static_select": _static_select,
    "multi_static_select": _static_select,
    "checkboxes": _choices,
    "radio_buttons": _choices,
    **dict.fromkeys(
        ("users_select", "channels_select", "conversations_select", "multi_users_select", *PICKERS),
        _anything,
    ),
    **dict.fromkeys(TEXT_INPUTS, _text_input),
}


def _texts(value: object) -> Iterator[str]:
    """Every string that a reader sees: all values of keys named ``text``."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "text" and isinstance(item, str):
                yield item
            else:
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
