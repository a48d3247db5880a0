"""Words, escaping, numbers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack import text
from bot.slack.blocks import clip


@given(st.text())
def test_escaped_text_holds_no_markup_and_reads_back(raw: str) -> None:
    safe = text.escape(raw)
    assert "<" not in safe and ">" not in safe
    assert safe.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == raw


@given(st.text(st.characters(exclude_categories=()), max_size=400), st.integers(10, 80))
def test_a_clean_text_is_one_visible_line_within_the_limit(raw: str, limit: int) -> None:
    line = text.clean(raw, limit)
    assert 1 <= len(line) <= limit
    assert not re.search(r"[\x00-\x1f\x7f\u2028\u2029\u202a-\u202e]", line)
    line.encode()


def test_a_long_name_keeps_both_ends() -> None:
    assert text.clean("flows_" + "x" * 100 + "_2025-05-01.csv", 40).startswith("flows_")
    assert text.clean("flows_" + "x" * 100 + "_2025-05-01.csv", 40).endswith("5-05-01.csv")


def test_formatting_characters_in_a_name_stay_what_they_are() -> None:
    assert text.name("*x* <!channel> `y`") == "`*x* &lt;!channel&gt; 'y'`"


@pytest.mark.parametrize(
    ("who", "expected"), [("U0ANNA", "<@U0ANNA>"), ("anna", "`anna`"), ("U1><!here", "`U1&gt;&lt;!here`")]
)
def test_only_slack_user_ids_become_mentions(who: str, expected: str) -> None:
    assert text.person(who) == expected


def test_a_sentence_keeps_mentions_and_times_and_escapes_the_rest() -> None:
    said = "Ask <@U0ANNA> or <!subteam^S0OPS>, not <!channel>, before <!date^1^{time}|00:00 UTC> & now &lt;"
    assert text.escape_sentence(said) == (
        "Ask <@U0ANNA> or <!subteam^S0OPS>, not &lt;!channel&gt;, before <!date^1^{time}|00:00 UTC> &amp; now &lt;"
    )


def test_times_are_tokens_with_a_utc_fallback() -> None:
    moment = datetime(2025, 5, 1, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    seconds = int(datetime(2025, 5, 1, 7, 30, tzinfo=UTC).timestamp())
    assert text.clock(moment) == f"<!date^{seconds}^{{time}}|07:30 UTC>"
    assert text.when(moment) == f"<!date^{seconds}^{{date_short_pretty}} at {{time}}|2025-05-01 07:30 UTC>"


def test_numbers() -> None:
    assert [text.count(n, "batch", "batches") for n in (0, 1, 20_000)] == [
        "0 batches",
        "1 batch",
        "20,000 batches",
    ]
    assert [text.score(x) for x in (0.0, 0.834, 0.004, 12.0)] == ["0.00", "0.83", "0.004", "12.00"]
    assert [text.percent(x) for x in (None, 0.0, 0.9704)] == ["n/a", "0.0 %", "97.0 %"]
    assert [text.probability(x) for x in (None, 1e-12, 0.25)] == ["n/a", "< 0.001", "0.250"]
    assert text.difference(0.984, 0.98) == "−0.4"
    assert text.difference(0.5, 0.5) == "±0.0"
    assert text.difference(None, 0.5) == ""
    assert text.difference(0.00801, 0.00849) == "±0.0", "both are shown as 0.8 %"
    assert text.listed(["a", "b", "c"], 2) == "a, b and 1 more"


def test_a_link_is_one_only_with_a_web_address() -> None:
    assert text.link("https://m.example/?a=1&b=2", "run") == "<https://m.example/?a=1&amp;b=2|run>"
    assert text.link("file:///x", "run <1>") == "run &lt;1&gt;"
    assert text.link("https://m.example/a|b>c", "run") == "run"


def test_bullets_say_how_many_lines_are_left_out() -> None:
    assert text.bullets(["a", "b", "c"], 2, 100) == "• a\n• b\n• and 1 more"
    assert len(text.bullets(["x" * 90] * 50, 50, 1000)) <= 1000


@given(
    st.lists(st.sampled_from(["word", "&amp;", "<@U0ANNA>", "<!date^1^{time}|00:00 UTC>", "\n", " "])),
    st.integers(20, 60),
)
def test_a_clipped_text_holds_no_half_token(parts: list[str], limit: int) -> None:
    cut = clip("".join(parts), limit)
    assert len(cut) <= limit
    whole = re.sub(r"&amp;|<@U0ANNA>|<!date\^1\^\{time\}\|00:00 UTC>", "", cut)
    assert not re.search(r"[<>&]", whole)
