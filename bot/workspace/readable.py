"""Messages and modals as plain text, for transcripts and error messages. Pure."""

from __future__ import annotations

import html
import re
import textwrap
import time
from collections.abc import Iterator, Mapping
from typing import Any

from .model import Json

WIDTH = 100


def message_lines(message: Json, names: Mapping[str, str], indent: int) -> list[str]:
    """A message as indented lines: who and when, then its content, files and reactions."""
    who = message.get("username") or names.get(message["user"], message["user"])
    marks = [time.strftime("%H:%M:%S", time.localtime(float(message["ts"])))]
    marks += ["edited"] if "edited" in message else []
    marks += ["only visible to you"] if message.get("is_ephemeral") else []
    body = list(block_lines(message["blocks"], names)) if message.get("blocks") else []
    body = body or plain(message["text"], names).splitlines()
    body += [f"[file: {file['title']} ({file['size']} bytes)]" for file in message.get("files", [])]
    reactions = [f":{reaction['name']}: {reaction['count']}" for reaction in message.get("reactions", [])]
    body += ["  ".join(reactions)] if reactions else []
    pad = " " * indent
    return [f"{pad}{who} ({', '.join(marks)})", *_wrapped(body, pad + "  ")]


def view_lines(view: Json) -> list[str]:
    """An open modal as lines."""
    return [f"[modal: {view['title']['text']}]", *_wrapped(list(block_lines(view["blocks"], {})), "  ")]


def block_lines(blocks: list[Json], names: Mapping[str, str]) -> Iterator[str]:
    """Blocks as lines of text; buttons in square brackets."""
    for block in blocks:
        kind = block["type"]
        if kind == "header":
            yield block["text"]["text"]
        elif kind == "divider":
            yield "---"
        elif kind == "table":
            yield from _table_lines(block["rows"], names)
        elif kind == "image":
            yield f"[image: {block['alt_text']}]"
        elif kind == "context":
            yield " ".join(
                element.get("alt_text") or plain(element["text"], names) for element in block["elements"]
            )
        elif kind == "rich_text":
            yield from rich_text(block, names).splitlines()
        elif kind == "markdown":
            yield from block["text"].splitlines()
        elif kind == "input":
            yield f"{block['label']['text']}: {_element(block['element'])}"
        else:
            yield from _section_lines(block, names)


def _section_lines(block: Json, names: Mapping[str, str]) -> Iterator[str]:
    if block.get("text"):
        yield from plain(block["text"]["text"], names).splitlines()
    for field in block.get("fields", []):
        yield plain(field["text"], names).replace("\n", " ")
    elements = [*block.get("elements", []), *([block["accessory"]] if block.get("accessory") else [])]
    if elements:
        yield "  ".join(_element(element) for element in elements)


def _element(element: Json) -> str:
    if element["type"] == "button":
        return f"[{element['text']['text']}]"
    if element["type"] == "image":
        return f"[image: {element['alt_text']}]"
    options = [option["text"]["text"] for option in element.get("options", [])]
    return f"<{' | '.join(options) if options else element['type']}>"


def _table_lines(rows: list[list[Json]], names: Mapping[str, str]) -> Iterator[str]:
    cells = [
        [cell["text"] if cell["type"] == "raw_text" else rich_text(cell, names) for cell in row]
        for row in rows
    ]
    columns = max(map(len, cells), default=0)
    widths = [max((len(row[i]) for row in cells if i < len(row)), default=0) for i in range(columns)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()


def rich_text(value: Any, names: Mapping[str, str]) -> str:
    """The text of a rich_text block or of a part of it."""
    if value["type"] == "text":
        return str(value["text"])
    if value["type"] == "emoji":
        return f":{value['name']}:"
    if value["type"] == "user":
        return f"@{names.get(value['user_id'], value['user_id'])}"
    if value["type"] == "link":
        return str(value.get("text") or value["url"])
    parts = [rich_text(part, names) for part in value.get("elements", [])]
    if value["type"] == "rich_text_list":
        return "".join(f"- {part}\n" for part in parts)
    return ("\n" if value["type"] == "rich_text" else "").join(parts)


def plain(text: str, names: Mapping[str, str]) -> str:
    """mrkdwn without its angle brackets: mentions by name, links by label."""
    text = re.sub(r"<@(\w+)(\|[^>]*)?>", lambda found: "@" + names.get(found[1], found[1]), text)
    text = re.sub(r"<#(\w+)>", lambda found: "#" + names.get(found[1], found[1]), text)
    text = re.sub(r"<#\w+\|([^>]*)>", r"#\1", text)
    text = re.sub(r"<!date\^[^>]*\|([^>]*)>", r"\1", text)
    text = re.sub(r"<(https?:[^|>]+)\|([^>]*)>", r"\2 (\1)", text)
    text = re.sub(r"<(https?:[^|>]+)>", r"\1", text)
    text = re.sub(r"<!(\w+)[^>]*>", r"@\1", text)
    return html.unescape(text)


def _wrapped(lines: list[str], pad: str) -> list[str]:
    wrapped = []
    for line in lines:
        pieces = [line] if len(line) <= WIDTH or "  " in line else textwrap.wrap(line, WIDTH)
        wrapped += [f"{pad}{piece}".rstrip() for piece in pieces]
    return wrapped
