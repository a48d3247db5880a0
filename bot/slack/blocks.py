"""Builders of Block Kit dicts that keep Slack's limits, and tables with their plain-text stand-in. Pure.

Limits: docs.slack.dev, Block Kit reference; about 13,200 characters over all blocks of a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from bot.slack.text import clean, count, escape

Block = dict[str, Any]
Style = Literal["primary", "danger"]

SECTION_TEXT = 3000
HEADER_TEXT = 150
TABLE_ROWS = 100  # with the header row
TABLE_CHARACTERS = 8500  # leaves room for the rest of a message
PLAIN_CELL = 44  # characters: a cell of the forgetting matrix is whole


class Message(NamedTuple):
    """What `chat.postMessage` and `chat.update` take: the full-text fallback and the blocks."""

    text: str
    blocks: list[Block]


def header(text: str) -> Block:
    return {"type": "header", "text": plain(text, HEADER_TEXT)}


def section(mrkdwn: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": clip(mrkdwn, SECTION_TEXT)}}


def verbatim(text: str, limit: int = 2000) -> Block:
    """A section whose text is shown as it is: errors and notes with names of unknown origin in them."""
    lines = "\n".join(clean(line, 500) for line in text.splitlines() if line.strip()) or "(no message)"
    short = lines if len(lines) <= limit else lines[: limit - 1] + "…"
    return {"type": "section", "text": {"type": "plain_text", "text": short, "emoji": False}}


def context(*mrkdwn: str) -> Block:
    return {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": clip(text, 2000)} for text in mrkdwn[:10]],
    }


def actions(*elements: Block) -> Block:
    return {"type": "actions", "elements": list(elements)}


def divider() -> Block:
    return {"type": "divider"}


def plain(text: str, limit: int) -> Block:
    """A plain_text object on one line."""
    return {"type": "plain_text", "text": clean(text, limit), "emoji": False}


def button(
    label: str, action_id: str, value: str, *, style: Style | None = None, confirm: Block | None = None
) -> Block:
    element: Block = {"type": "button", "text": plain(label, 75), "action_id": action_id, "value": value}
    if style:
        element["style"] = style
    if confirm:
        element["confirm"] = confirm
    return element


def confirmation(title: str, text: str, yes: str, *, no: str = "Cancel", style: Style | None = None) -> Block:
    """The question Slack asks before it passes a press on."""
    dialog: Block = {
        "title": plain(title, 100),
        "text": plain(text, 300),
        "confirm": plain(yes, 30),
        "deny": plain(no, 30),
    }
    if style:
        dialog["style"] = style
    return dialog


def option(label: str, value: str, description: str = "") -> Block:
    choice: Block = {"text": plain(label, 75), "value": value}
    if description:
        choice["description"] = plain(description, 75)
    return choice


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> tuple[Block, int]:
    """A table block and how many of the rows it holds; the last ones give way to Slack's limits.

    Args:
        columns: heads of the columns.
        rows: cells as plain text; an empty one shows a dash (Slack refuses empty cells).
        right: columns with numbers, aligned right; all others are wrapped.
    """
    shown = [[_cell(head) for head in columns]]
    used = sum(len(cell["text"]) for cell in shown[0])
    for row in rows[: TABLE_ROWS - 1]:
        cells = [_cell(text) for text in row]
        used += sum(len(cell["text"]) for cell in cells)
        if used > TABLE_CHARACTERS:
            break
        shown.append(cells)
    settings = [{"align": "right"} if n in right else {"is_wrapped": True} for n in range(len(columns))]
    return {"type": "table", "rows": shown, "column_settings": settings}, len(shown) - 1


def _cell(text: str) -> Block:
    return {"type": "raw_text", "text": clean(text, 120) if text.strip() else "–"}


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], limit: int = SECTION_TEXT) -> str:
    """The table as preformatted mrkdwn of at most `limit` characters, where tables are refused."""
    cells = [
        [clean(text, PLAIN_CELL).replace("`", "'") if text.strip() else "–" for text in row]
        for row in [columns, *rows]
    ]
    widths = [max(len(row[n]) for row in cells) for n in range(len(columns))]
    lines = [
        escape("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        for row in cells
    ]
    room = limit - len("```\n\n```") - len(f"\n… and {len(rows):,} more")
    shown: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        shown.append(line)
    if len(shown) < len(lines):
        shown.append(f"… and {len(lines) - len(shown):,} more")
    return "```\n" + "\n".join(shown) + "\n```"


def without_tables(message: Message) -> Message:
    """The message with every table as preformatted text: for `invalid_blocks` from an older workspace."""
    return Message(
        message.text, [_as_section(block) if block["type"] == "table" else block for block in message.blocks]
    )


def _as_section(block: Block) -> Block:
    columns, *rows = [[cell["text"] for cell in row] for row in block["rows"]]
    return {"type": "section", "text": {"type": "mrkdwn", "text": plain_table(columns, rows)}}


def clip(mrkdwn: str, limit: int) -> str:
    """At most `limit` characters, cut between lines or words and never inside an entity, mention or link."""
    if len(mrkdwn) <= limit:
        return mrkdwn
    cut = mrkdwn[: limit - 2]
    at = max(cut.rfind("\n"), cut.rfind(" "))
    cut = cut[:at] if at > limit // 2 else cut
    for opening, closing in (("<", ">"), ("&", ";")):
        if cut.rfind(opening) > cut.rfind(closing):
            cut = cut[: cut.rfind(opening)]
    return cut.rstrip() + " …"


def more_note(hidden: int, thing: str, where: str) -> str:
    """`and 27 more features in Details`, or nothing."""
    return f"and {count(hidden, 'more ' + thing)} {where}".strip() if hidden > 0 else ""
