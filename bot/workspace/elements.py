"""What a person puts into an element, in the shapes that Slack reports it. Pure.

A person's value is plain: a text, an option's ``value``, a user id, or a list of those. Slack's
``state.values`` and ``actions`` carry whole option objects and a type; this file translates.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from .errors import WorkspaceError
from .model import Json

Value = str | list[str] | None
Values = Mapping[str, Mapping[str, Any]]

_PLAIN_KEYS = {
    "plain_text_input": "value",
    "number_input": "value",
    "email_text_input": "value",
    "url_text_input": "value",
    "users_select": "selected_user",
    "channels_select": "selected_channel",
    "conversations_select": "selected_conversation",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "multi_users_select": "selected_users",
}
_SINGLE_OPTION = ("static_select", "radio_buttons", "overflow")
_MANY_OPTIONS = ("multi_static_select", "checkboxes")


def with_ids(blocks: list[Json]) -> list[Json]:
    """A copy of the blocks in which every block and element has an id, as Slack fills them in."""
    filled = []
    for block in blocks:
        block = {**block, "block_id": block.get("block_id") or secrets.token_urlsafe(4)}
        if block["type"] == "actions":
            block["elements"] = [_with_action_id(element) for element in block["elements"]]
        for slot in ("accessory", "element"):
            if slot in block and block[slot] is not None:
                block[slot] = _with_action_id(block[slot])
        filled.append(block)
    return filled


def _with_action_id(element: Json) -> Json:
    if element["type"] == "image":
        return element
    return {**element, "action_id": element.get("action_id") or secrets.token_urlsafe(4)}


def elements_of(block: Json) -> list[Json]:
    """The interactive elements of a block."""
    if block["type"] == "actions":
        return list(block["elements"])
    candidates = [block.get("accessory"), block.get("element")]
    return [element for element in candidates if element and element["type"] != "image"]


def find_element(
    blocks: list[Json], action_id: str, block_id: str | None, value: str | None
) -> tuple[Json, Json] | None:
    """The block and element with this action id; block id and button value tell equals apart."""
    for block in blocks:
        for element in elements_of(block):
            if element["action_id"] != action_id or block_id not in (None, block["block_id"]):
                continue
            if element["type"] == "button" and value is not None and element.get("value") != value:
                continue
            return block, element
    return None


def state_values(blocks: list[Json], given: Values) -> dict[str, dict[str, Json]]:
    """Slack's ``state.values``: every stateful element, filled with what was given or its initial value."""
    values: dict[str, dict[str, Json]] = {}
    for block in blocks:
        for element in elements_of(block):
            if element["type"] in ("button", "overflow"):
                continue
            chosen = given.get(block["block_id"], {})
            value = chosen[element["action_id"]] if element["action_id"] in chosen else initial_value(element)
            values.setdefault(block["block_id"], {})[element["action_id"]] = element_state(element, value)
    return values


def initial_value(element: Json) -> Value:
    """The plain value that an element starts with."""
    if "initial_option" in element:
        option: str = element["initial_option"]["value"]
        return option
    if "initial_options" in element:
        return [option["value"] for option in element["initial_options"]]
    for name in (
        "initial_value", "initial_user", "initial_users", "initial_date", "initial_time",
        "initial_channel", "initial_conversation",
    ):  # fmt: skip
        if name in element:
            found: Value = element[name]
            return found
    return [] if element["type"] in (*_MANY_OPTIONS, "multi_users_select") else None


def element_state(element: Json, value: Value) -> Json:
    """One entry of ``state.values``.

    Raises:
        WorkspaceError: the value is not one of the element's options.
    """
    kind = element["type"]
    if kind in _SINGLE_OPTION:
        chosen = _option(element, value) if isinstance(value, str) and value else None
        return {"type": kind, "selected_option": chosen}
    if kind in _MANY_OPTIONS:
        picked = [value] if isinstance(value, str) else value or []
        return {"type": kind, "selected_options": [_option(element, item) for item in picked]}
    if kind == "multi_users_select":
        return {"type": kind, "selected_users": [value] if isinstance(value, str) else list(value or [])}
    return {"type": kind, _PLAIN_KEYS[kind]: value or None}


def action_payload(block: Json, element: Json, value: Value, action_ts: str) -> Json:
    """One entry of ``actions`` in a ``block_actions`` payload."""
    action: Json = {
        "type": element["type"],
        "action_id": element["action_id"],
        "block_id": block["block_id"],
        "action_ts": action_ts,
    }
    if element["type"] == "button":
        action["text"] = element["text"]
        for name in ("value", "style", "url", "confirm"):
            if element.get(name) is not None:
                action[name] = element[name]
        return action
    for name in (
        "placeholder",
        "initial_option",
        "initial_options",
        "initial_user",
        "initial_date",
        "confirm",
    ):
        if element.get(name) is not None:
            action[name] = element[name]
    return {**action, **element_state(element, value)}


def input_errors(blocks: list[Json], values: Values) -> dict[str, str]:
    """What Slack's own client refuses before it sends a modal: empty and wrongly sized inputs."""
    errors = {}
    for block in blocks:
        if block["type"] != "input":
            continue
        element = block["element"]
        state = values[block["block_id"]][element["action_id"]]
        content = next((item for key, item in state.items() if key != "type"), None)
        if not content and not block.get("optional", False):
            errors[block["block_id"]] = "Please complete this required field."
        elif content and (message := _format_error(element, content)):
            errors[block["block_id"]] = message
    return errors


def _format_error(element: Json, content: Any) -> str | None:
    if element["type"] not in ("plain_text_input", "number_input"):
        return None
    text = str(content)
    if element["type"] == "number_input":
        return _number_error(element, text)
    if len(text) < element.get("min_length", 0):
        return f"Please enter at least {element['min_length']} characters."
    if len(text) > element.get("max_length", 3000):
        return f"Please enter at most {element.get('max_length', 3000)} characters."
    return None


def _number_error(element: Json, text: str) -> str | None:
    try:
        number = float(text) if element.get("is_decimal_allowed") else int(text)
    except ValueError:
        return (
            "Please enter a number." if element.get("is_decimal_allowed") else "Please enter a whole number."
        )
    if "min_value" in element and number < float(element["min_value"]):
        return f"Please enter at least {element['min_value']}."
    if "max_value" in element and number > float(element["max_value"]):
        return f"Please enter at most {element['max_value']}."
    return None


def options_of(element: Json) -> Iterator[Json]:
    """All options of an element, also those in groups."""
    yield from element.get("options") or []
    for group in element.get("option_groups") or []:
        yield from group["options"]


def _option(element: Json, value: str) -> Json:
    for option in options_of(element):
        if option["value"] == value:
            return option
    known = ", ".join(option["value"] for option in options_of(element))
    raise WorkspaceError("no_such_option", f"{element['action_id']} has no option {value!r}; it has: {known}")
