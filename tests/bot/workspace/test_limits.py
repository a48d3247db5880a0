"""Slack's limits, one row each: the largest that passes and the smallest that does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.workspace.errors import SlackError
from bot.workspace.limits import block_problems, check_message, check_metadata, check_view
from bot.workspace.model import State, User
from bot.workspace.payloads import Addresses, Payloads
from bot.workspace.posting import Draft, Posting

Json = dict[str, Any]


def plain(length: int) -> Json:
    return {"type": "plain_text", "text": "x" * length}


def mrkdwn(length: int) -> Json:
    return {"type": "mrkdwn", "text": "x" * length}


def button(**changes: Any) -> Json:
    return {"type": "button", "action_id": "go", "text": plain(2), **changes}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def select(count: int, **option: Any) -> Json:
    options = [{"text": plain(3), "value": str(number), **option} for number in range(count)]
    return actions({"type": "static_select", "action_id": "pick", "options": options})


def confirm(**changes: Any) -> Json:
    question = {"title": plain(5), "text": mrkdwn(5), "confirm": plain(3), "deny": plain(2), **changes}
    return actions(button(confirm=question))


def table(rows: int, columns: int) -> Json:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": "1"}] * columns] * rows}


def context(count: int) -> Json:
    return {"type": "context", "elements": [mrkdwn(3)] * count}


def field(element: Json, **changes: Any) -> Json:
    return {"type": "input", "label": plain(4), "element": element, **changes}


TEXT_INPUT = {"type": "plain_text_input", "action_id": "a"}

FITS_AND_BREAKS: list[tuple[str, list[Json], list[Json], str]] = [
    ("blocks", [{"type": "divider"}] * 50, [{"type": "divider"}] * 51, "/blocks"),
    (
        "section text",
        [{"type": "section", "text": mrkdwn(3000)}],
        [{"type": "section", "text": mrkdwn(3001)}],
        "/blocks/0/text/text",
    ),
    (
        "section fields",
        [{"type": "section", "fields": [mrkdwn(3)] * 10}],
        [{"type": "section", "fields": [mrkdwn(3)] * 11}],
        "/blocks/0/fields",
    ),
    (
        "field text",
        [{"type": "section", "fields": [mrkdwn(2000)]}],
        [{"type": "section", "fields": [mrkdwn(2001)]}],
        "/blocks/0/fields/0/text",
    ),
    ("section content", [{"type": "section", "text": mrkdwn(1)}], [{"type": "section"}], "/blocks/0"),
    (
        "empty text",
        [{"type": "section", "text": mrkdwn(1)}],
        [{"type": "section", "text": mrkdwn(0)}],
        "/blocks/0/text/text",
    ),
    (
        "header text",
        [{"type": "header", "text": plain(150)}],
        [{"type": "header", "text": plain(151)}],
        "/blocks/0/text/text",
    ),
    (
        "header is plain",
        [{"type": "header", "text": plain(9)}],
        [{"type": "header", "text": mrkdwn(9)}],
        "/blocks/0/text/type",
    ),
    ("context elements", [context(10)], [context(11)], "/blocks/0/elements"),
    (
        "actions elements",
        [actions(*(button(action_id=str(n)) for n in range(25)))],
        [actions(*(button(action_id=str(n)) for n in range(26)))],
        "/blocks/0/elements",
    ),
    (
        "button text",
        [actions(button(text=plain(75)))],
        [actions(button(text=plain(76)))],
        "/blocks/0/elements/0/text/text",
    ),
    (
        "button value",
        [actions(button(value="v" * 2000))],
        [actions(button(value="v" * 2001))],
        "/blocks/0/elements/0/value",
    ),
    (
        "button style",
        [actions(button(style="danger"))],
        [actions(button(style="default"))],
        "/blocks/0/elements/0/style",
    ),
    ("button fields", [actions(button())], [actions(button(colour="red"))], "/blocks/0/elements/0/colour"),
    (
        "action_id",
        [actions(button(action_id="a" * 255))],
        [actions(button(action_id="a" * 256))],
        "/blocks/0/elements/0/action_id",
    ),
    (
        "unique action_id",
        [actions(button(), button(action_id="b"))],
        [actions(button(), button())],
        "/blocks/0/elements/1/action_id",
    ),
    (
        "block_id",
        [{"type": "divider", "block_id": "b" * 255}],
        [{"type": "divider", "block_id": "b" * 256}],
        "/blocks/0/block_id",
    ),
    (
        "unique block_id",
        [{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "b"}],
        [{"type": "divider", "block_id": "a"}] * 2,
        "/blocks/1/block_id",
    ),
    ("confirm title", [confirm(title=plain(100))], [confirm(title=plain(101))], "/confirm/title/text"),
    ("confirm text", [confirm(text=mrkdwn(300))], [confirm(text=mrkdwn(301))], "/confirm/text/text"),
    ("confirm button", [confirm(confirm=plain(30))], [confirm(confirm=plain(31))], "/confirm/confirm/text"),
    ("select options", [select(100)], [select(101)], "/options"),
    ("option text", [select(1, text=plain(75))], [select(1, text=plain(76))], "/options/0/text/text"),
    ("option values differ", [select(2)], [select(2, value="same")], "/options/1/value"),
    (
        "overflow options",
        [actions({"type": "overflow", "options": [{"text": plain(1), "value": str(n)} for n in range(5)]})],
        [actions({"type": "overflow", "options": [{"text": plain(1), "value": str(n)} for n in range(6)]})],
        "/options",
    ),
    (
        "initial option",
        [
            actions(
                {
                    "type": "radio_buttons",
                    "options": [{"text": plain(1), "value": "a"}],
                    "initial_option": {"text": plain(1), "value": "a"},
                }
            )
        ],
        [
            actions(
                {
                    "type": "radio_buttons",
                    "options": [{"text": plain(1), "value": "a"}],
                    "initial_option": {"text": plain(1), "value": "b"},
                }
            )
        ],
        "/initial_option",
    ),
    ("table rows", [table(100, 2)], [table(101, 2)], "/blocks/0/rows"),
    ("table columns", [table(2, 20)], [table(2, 21)], "/blocks/0/rows/0"),
    ("one table", [table(1, 1)], [table(1, 1)] * 2, "/blocks"),
    (
        "table cell",
        [table(1, 1)],
        [{"type": "table", "rows": [[{"type": "mrkdwn", "text": "x"}]]}],
        "/rows/0/0/type",
    ),
    (
        "markdown text",
        [{"type": "markdown", "text": "x" * 12_000}],
        [{"type": "markdown", "text": "x" * 12_001}],
        "/blocks/0/text",
    ),
    (
        "image alt text",
        [{"type": "image", "image_url": "https://a.example/b.png", "alt_text": "b"}],
        [{"type": "image", "image_url": "https://a.example/b.png"}],
        "/blocks/0/alt_text",
    ),
    (
        "image source",
        [{"type": "image", "slack_file": {"id": "F1"}, "alt_text": "b"}],
        [
            {
                "type": "image",
                "slack_file": {"id": "F1"},
                "image_url": "https://a.example/b.png",
                "alt_text": "b",
            }
        ],
        "/blocks/0",
    ),
    ("block types", [{"type": "divider"}], [{"type": "carousel"}], "/blocks/0/type"),
    ("element places", [field(TEXT_INPUT)], [actions(TEXT_INPUT)], "/blocks/0/elements/0/type"),
    (
        "input label",
        [field(TEXT_INPUT, label=plain(2000))],
        [field(TEXT_INPUT, label=plain(2001))],
        "/blocks/0/label/text",
    ),
    (
        "rich text",
        [
            {
                "type": "rich_text",
                "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "x"}]}],
            }
        ],
        [{"type": "rich_text", "elements": [{"type": "text", "text": "x"}]}],
        "/blocks/0/elements/0/type",
    ),
]


@pytest.mark.parametrize(
    ("fits", "breaks", "place"), [row[1:] for row in FITS_AND_BREAKS], ids=[row[0] for row in FITS_AND_BREAKS]
)
def test_a_limit_holds_exactly_and_names_the_place(fits: list[Json], breaks: list[Json], place: str) -> None:
    assert block_problems(fits, 50, "message") == []
    problems = block_problems(breaks, 50, "message")
    assert problems
    assert all(problem.startswith("[ERROR] ") for problem in problems)
    assert any(place in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("text", "blocks", "error"),
    [
        (None, [], "no_text"),
        ("", [], "no_text"),
        ("x" * 40_001, [], "msg_too_long"),
        ("x", [{"type": "section", "text": mrkdwn(2900)}] * 5, "msg_blocks_too_long"),
        ("x", [{"type": "header", "text": plain(151)}], "invalid_blocks"),
    ],
)
def test_a_message_is_refused_with_slacks_error(text: str | None, blocks: list[Json], error: str) -> None:
    with pytest.raises(SlackError) as refusal:
        check_message(text, blocks, [])
    assert refusal.value.code == error


def test_the_largest_messages_pass() -> None:
    check_message("x" * 40_000, [], [])
    check_message(None, [{"type": "section", "text": mrkdwn(2640)}] * 5, [])


MODAL: Json = {"type": "modal", "title": plain(24), "submit": plain(24), "blocks": [field(TEXT_INPUT)]}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"title": plain(25)}, "/view/title/text"),
        ({"submit": plain(25)}, "/view/submit/text"),
        ({"close": plain(25)}, "/view/close/text"),
        ({"submit": None}, "/view/submit"),
        ({"private_metadata": "m" * 3001}, "/view/private_metadata"),
        ({"callback_id": "c" * 256}, "/view/callback_id"),
        ({"blocks": [{"type": "divider"}] * 101}, "/view/blocks"),
        ({"blocks": [table(1, 1)]}, "/view/blocks/0"),
        ({"type": "home"}, "/view/type"),
        ({"colour": "red"}, "/view/colour"),
    ],
)
def test_a_modal_is_refused_with_the_place(change: Json, place: str) -> None:
    check_view(MODAL, "modal")
    with pytest.raises(SlackError) as refusal:
        check_view({**MODAL, **change}, "modal")
    assert refusal.value.code == "invalid_arguments"
    assert any(f"[json-pointer:{place}" in message for message in refusal.value.messages)


def test_all_problems_are_reported_at_once() -> None:
    problems = block_problems([{"type": "header", "text": plain(151)}, {"type": "unknown"}], 50, "message")
    assert len(problems) == 2


@pytest.mark.parametrize("metadata", ["x", {}, {"event_type": "a"}, {"event_type": "a", "event_payload": []}])
def test_metadata_must_have_its_two_parts(metadata: object) -> None:
    with pytest.raises(SlackError):
        check_metadata(metadata)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "elements", "fields", "accessory", "rows", "options", "element", "label"]
            ),
            inner
            | st.sampled_from(
                ["section", "actions", "button", "table", "input", "static_select", "rich_text"]
            ),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(anything)
def test_nonsense_is_reported_not_raised_and_never_changed(value: Any) -> None:
    before = copy.deepcopy(value)
    block_problems(value, 50, "message")
    assert value == before


def posting() -> Posting:
    state = State("w", [User("U0ANNA", "anna", "Anna")], ["c"], "bot", [])
    return Posting(state, Payloads(state, Addresses("http://127.0.0.1"), "token"), lambda *_: None)


WRONG = ["x", 5, None, [], ["x"], {}, {"type": "text"}, [{"type": ["x"]}]]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize(
    "place", ["text", "attachments", "blocks", "block", "element", "option", "value", "rich", "leaf", "item"]
)
def test_whatever_has_the_wrong_type_is_refused_and_never_crashes(place: str, wrong: Any) -> None:
    """Only `SlackError` may come: the workspace answers with it, everything else would be a 500."""
    plain = {"type": "plain_text", "text": "x"}
    select = {"type": "static_select", "options": [{"text": plain, "value": wrong}]}
    section = {"type": "rich_text_section", "elements": [wrong]}
    blocks: dict[str, Any] = {
        "blocks": wrong,
        "block": [wrong],
        "element": [{"type": "actions", "elements": [{"type": wrong}]}],
        "option": [{"type": "actions", "elements": [{"type": "static_select", "options": [wrong]}]}],
        "value": [{"type": "actions", "elements": [select]}],
        "rich": [{"type": "rich_text", "elements": [wrong]}],
        "leaf": [{"type": "rich_text", "elements": [section]}],
        "item": [{"type": "rich_text", "elements": [{"type": "rich_text_list", "elements": [wrong]}]}],
    }
    draft = Draft(
        text=wrong if place == "text" else "x",
        blocks=blocks.get(place),
        attachments=wrong if place == "attachments" else None,
    )
    fine = {
        "text": ["x", None],
        "value": ["x"],
        "attachments": [[], None, [{"type": ["x"]}]],
        "blocks": [[], None],
    }
    if wrong in fine.get(place, []):
        return
    with pytest.raises(SlackError):
        posting().check(draft)


@pytest.mark.parametrize(
    ("kind", "field"), [("text", "text"), ("link", "url"), ("emoji", "name"), ("user", "user_id")]
)
def test_a_leaf_of_rich_text_has_what_it_shows(kind: str, field: str) -> None:
    def problems(leaf: Json) -> list[str]:
        item = {"type": "rich_text_section", "elements": [leaf]}
        rich = {"type": "rich_text", "elements": [item, {"type": "rich_text_list", "elements": [item]}]}
        return block_problems([rich], 50, "message")

    assert problems({"type": kind, field: "x"}) == []
    assert len(problems({"type": kind})) == 2
