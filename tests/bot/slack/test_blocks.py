"""Tables within the limits, and their plain stand-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.slack.blocks import TABLE_CHARACTERS, Message, plain_table, section, table, verbatim, without_tables

cells = st.text(st.characters(exclude_categories=()), max_size=200)


@given(st.lists(st.tuples(cells, cells, cells), max_size=150))
def test_a_table_keeps_the_limits_and_says_how_many_rows_it_shows(rows: list[tuple[str, str, str]]) -> None:
    block, shown = table(("A", "B", "C"), rows, right=(2,))
    assert len(block["rows"]) == shown + 1 <= 100
    assert sum(len(cell["text"]) for row in block["rows"] for cell in row) <= TABLE_CHARACTERS
    assert all(cell["text"] for row in block["rows"] for cell in row)


def test_a_table_gives_up_rows_only_when_it_must() -> None:
    assert table(("A",), [("x",)] * 99)[1] == 99
    assert table(("A",), [("x",)] * 100)[1] == 99
    assert (
        table(("A",), [("x" * 100,)] * 99)[1] == 84
    )  # 84 rows of 100 characters and the head fit into 8,500


@given(st.lists(st.tuples(cells, cells), max_size=150), st.integers(200, 3000))
def test_a_plain_table_keeps_its_limit(rows: list[tuple[str, str]], limit: int) -> None:
    drawn = plain_table(("Feature", "What changed"), rows, limit)
    assert len(drawn) <= limit
    assert drawn.startswith("```\n") and drawn.endswith("\n```") and drawn.count("`") == 6
    assert "<" not in drawn and ">" not in drawn


def test_a_plain_table_is_aligned_and_counts_what_it_leaves_out() -> None:
    assert (
        plain_table(("Name", "PSI"), [("a", "1"), ("<b>", "")])
        == "```\nName  PSI\na     1\n&lt;b&gt;   –\n```"
    )
    assert plain_table(("N",), [("x" * 30,)] * 20, 200).splitlines()[-2] == "… and 15 more"


def test_without_tables_the_rest_stays(accepted: Callable[[Any], Any]) -> None:
    message = Message("text", [section("before"), table(("A", "B"), [("1", "2")])[0], section("after")])
    plain = accepted(without_tables(message))
    assert [block["type"] for block in plain.blocks] == ["section"] * 3
    assert plain.blocks[1]["text"]["text"] == "```\nA  B\n1  2\n```"


def test_a_verbatim_section_shows_markup_as_it_is() -> None:
    block = verbatim("no column <!channel>\n\n*y*")
    assert block["text"] == {"type": "plain_text", "text": "no column <!channel>\n*y*", "emoji": False}
    assert len(verbatim("x\n" * 5000)["text"]["text"]) <= 2000
