"""Words for people: escaping, names, numbers and times in Slack's mrkdwn. Pure.

Two kinds of text exist in Slack. In mrkdwn (`escape`, `name`) the characters & < > are markup and must be
escaped, else a file called `<!channel>` notifies everybody. In plain text and raw table cells (`clean`)
nothing is markup.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePath

ZERO_WIDTH_JOINER = "\u200d"  # holds compound emoji together
MINUS = "\u2212"
# Mentions of people and groups, times, and what is escaped already.
TOKEN = re.compile(
    r"(<@[UW][A-Z0-9]+>|<!subteam\^S[A-Z0-9]+>|<!date\^\d+\^[^<>|]*\|[^<>|]*>|&(?:amp|lt|gt);)"
)
SLACK_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{4,20}")
SLACK_USER_ID = re.compile(r"[UW][A-Z0-9]{4,20}")


def escape(text: str) -> str:
    """Text that is safe inside mrkdwn: no mention, link or entity can arise from it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_sentence(text: str) -> str:
    """`escape` for sentences of our own with names in them: mentions of people and groups and times stay."""
    lines = "\n".join("".join(map(_visible, line)) for line in text.split("\n"))
    return "".join(part if n % 2 else escape(part) for n, part in enumerate(TOKEN.split(lines)))


def clean(text: str, limit: int = 60) -> str:
    """One visible line of at most `limit` characters, for plain text; too long a text loses its middle.

    Control and direction-changing characters go, bytes that were not UTF-8 become U+FFFD.
    """
    line = " ".join("".join(map(_visible, text)).split()) or "(no name)"
    if len(line) <= limit:
        return line
    tail = (limit - 1) // 3
    return f"{line[: limit - 1 - tail]}…{line[len(line) - tail :]}"


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"
    if category == "Cf":
        return character if character == ZERO_WIDTH_JOINER else ""
    return " " if category in ("Cc", "Zl", "Zp") else character


def name(text: str, limit: int = 60) -> str:
    """A file, feature, label or model name inside mrkdwn, as code: `*x*` and `_x_` stay what they are."""
    return f"`{escape(clean(text, limit).replace('`', chr(39)))}`"


def file_name(path: str, limit: int = 60) -> str:
    """The last part of a path, as `name` shows it."""
    return name(PurePath(path).name or path, limit)


def person(who: str) -> str:
    """A mention for a Slack user id, the plain name for anybody else (a terminal user)."""
    return f"<@{who}>" if SLACK_USER_ID.fullmatch(who) else name(who)


def place(channel: str) -> str:
    """A link to a channel by its id; a channel known by name only is named."""
    return f"<#{channel}>" if SLACK_CHANNEL_ID.fullmatch(channel) else name(channel)


def link(url: str, label: str) -> str:
    """A link, or only the label if the address is not an HTTP one."""
    if not re.fullmatch(r"https?://[^\s<>|]+", url):
        return escape(label)
    return f"<{url.replace('&', '&amp;')}|{escape(label)}>"


def clock(moment: datetime) -> str:
    """The time of day in the reader's own time zone."""
    return f"<!date^{int(moment.timestamp())}^{{time}}|{moment.astimezone(UTC):%H:%M} UTC>"


def when(moment: datetime) -> str:
    """Day and time in the reader's own time zone."""
    return f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} at {{time}}|{utc(moment)}>"


def utc(moment: datetime) -> str:
    """Day and time in UTC, where Slack draws no date tokens."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def count(number: int, thing: str, things: str = "") -> str:
    """`1 row`, `20,000 rows`."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def capital(line: str) -> str:
    """The line as a sentence begins; names in it stay as they are."""
    return line[:1].upper() + line[1:]


def score(value: float) -> str:
    """A detector's statistic: two decimals, more only where it would read as zero."""
    return f"{value:.2f}" if value == 0 or abs(value) >= 0.005 else f"{value:.1g}"


def probability(value: float | None) -> str:
    if value is None:
        return "n/a"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(value: float | None) -> str:
    """A fraction as percent with one decimal; an undefined one is n/a, not 0."""
    return "n/a" if value is None else f"{100 * value:.1f} %"


def difference(before: float | None, after: float | None, *, scale: float = 100, decimals: int = 1) -> str:
    """`+2.1` or `−0.3`, of the numbers as shown: percentage points with the default scale.

    Empty where one side is undefined.
    """
    if before is None or after is None:
        return ""
    moved = round(round(scale * after, decimals) - round(scale * before, decimals), decimals)
    return f"±{0:.{decimals}f}" if moved == 0 else f"{moved:+.{decimals}f}".replace("-", MINUS)


def listed(items: Sequence[str], most: int) -> str:
    """`a, b and 3 more`."""
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most:,} more"


def bullets(lines: Sequence[str], most: int, limit: int) -> str:
    """Whole lines with bullets, at most `most` and about `limit` characters, and how many were left out."""
    shown: list[str] = []
    used = 0
    for line in lines[:most]:
        if used + len(line) + 3 > limit - 20:
            break
        shown.append(f"• {line}")
        used += len(line) + 3
    if len(shown) < len(lines):
        shown.append(f"• and {len(lines) - len(shown):,} more")
    return "\n".join(shown)
