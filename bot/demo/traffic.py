"""Network flows in the style of CICFlowMeter, made up from a seed: packets are simulated, then measured.

Every number of a row follows from the packets of that flow (bot/demo/meter.py), so rates, lengths, gaps and
flags agree with each other. Addresses are private or reserved for documentation (RFC 5737).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from bot.demo.meter import ACK, CLOSING, FIN, PSH, RST, SYN, UDP, Capture, features, repeat

Kind = Literal["benign", "ddos", "portscan", "slowloris"]
LABELS: Final[Mapping[Kind, str]] = {
    "benign": "BENIGN",
    "ddos": "DDoS",
    "portscan": "PortScan",
    "slowloris": "Slowloris",
}
LABEL_COLUMN: Final = "Label"
IDENTIFIERS: Final = ("Flow ID", "Src IP", "Src Port", "Dst IP", "Timestamp")
BASE_MIX: Final[Mapping[Kind, float]] = {"benign": 0.6, "ddos": 0.4}
NEW_MIX: Final[Mapping[Kind, float]] = {"benign": 0.45, "ddos": 0.2, "portscan": 0.2, "slowloris": 0.15}

_FIRST_DAY = datetime(2026, 3, 2, tzinfo=UTC)
_VICTIM = "10.0.5.80"


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """The files of the story.

    Attributes:
        base: labelled reference, benign and DDoS.
        stable: unlabelled batch of the same traffic.
        drifted: unlabelled batch in which a port scan and a slow-loris make up about 35 %.
        new_labelled: rows of the drifted batch with their labels, for the retrain.
    """

    base: Path
    stable: Path
    drifted: Path
    new_labelled: Path


def write_demo_files(folder: Path, seed: int) -> DemoFiles:
    """Write the four CSV files into `folder` (made if missing); a seed always gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = DemoFiles(
        base=folder / "base_labelled.csv",
        stable=folder / "stable_batch.csv",
        drifted=folder / "drifted_batch.csv",
        new_labelled=folder / "new_labelled.csv",
    )
    base, stable, drifted, sample = (int(s) for s in np.random.SeedSequence(seed).generate_state(4))
    new = mix(NEW_MIX, 2000, drifted, day=8)
    labelled = new.sample(n=800, random_state=sample)
    mix(BASE_MIX, 8000, base).to_csv(files.base, index=False)
    mix(BASE_MIX, 1500, stable, labelled=False, day=7).to_csv(files.stable, index=False)
    new.drop(columns=LABEL_COLUMN).to_csv(files.drifted, index=False)
    labelled.to_csv(files.new_labelled, index=False)
    return files


def mix(
    shares: Mapping[Kind, float], rows: int, seed: int, labelled: bool = True, *, day: int = 0
) -> pd.DataFrame:
    """`rows` flows of several kinds in random order.

    Args:
        shares: weight of each kind; they need not add up to 1.
        rows: number of flows; the kinds get whole numbers nearest to their share.
        seed: the same seed gives the same frame.
        labelled: with the column `Label`, or without it.
        day: day of the timestamps, counted from the first.

    Raises:
        ValueError: an unknown kind, or shares that are negative or all zero.
    """
    weights = np.array([float(s) for s in shares.values()])
    if not weights.size or weights.min() < 0 or weights.sum() <= 0:
        raise ValueError(f"shares must be 0 or more and one must be positive, got {dict(shares)}")
    edges = np.rint(np.cumsum(weights) / weights.sum() * rows).astype(int)
    counts = np.diff(edges, prepend=0)
    parts = [flows(kind, int(n), seed, day) for kind, n in zip(shares, counts, strict=True)]
    order = np.random.default_rng([seed, len(LABELS), day]).permutation(rows)
    table = pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)
    return table if labelled else table.drop(columns=LABEL_COLUMN)


def flows(kind: Kind, rows: int, seed: int, day: int = 0) -> pd.DataFrame:
    """`rows` labelled flows of one kind, one a row: identifiers, 27 features, `Label`.

    Raises:
        ValueError: an unknown kind or a negative number of rows.
    """
    if kind not in LABELS:
        raise ValueError(f"unknown kind of traffic {kind!r}; known: {', '.join(LABELS)}")
    if rows < 0:
        raise ValueError(f"rows must be 0 or more, got {rows}")
    rng = np.random.default_rng([seed, list(LABELS).index(kind), day])
    parts = [make(Capture(rng, n)) for make, n in _split(rng, _PARTS[kind], rows)]
    table = pd.concat([_table(part, day) for part in parts], ignore_index=True)
    table[LABEL_COLUMN] = LABELS[kind]
    return table.iloc[rng.permutation(rows)].reset_index(drop=True)


def _web(c: Capture) -> Capture:
    """A browser: several requests on one connection, replies of any size, pauses while a person reads."""
    c.dst_port = c.choose({443: 0.7, 80: 0.3})
    c.fwd_window = c.choose({64240: 0.4, 29200: 0.3, 65535: 0.2, 8192: 0.1})
    c.bwd_window = c.choose({65535: 0.4, 28960: 0.3, 14600: 0.15, 229: 0.15})
    round_trip = c.log_normal(18e3, 0.7)
    c.handshake(round_trip)
    flow, nth = repeat(c.rng.geometric(0.35, c.flows).clip(max=15))
    pause = np.where(nth == 0, c.log_normal(400, 0.8, flow.size), c.log_normal(4e5, 1.6, flow.size))
    c.send(flow, 10 + 4 * nth, True, c.log_normal(420, 0.5, flow.size), pause)
    server = round_trip[flow] + c.log_normal(2e4, 1.0, flow.size)
    c.send(flow, 12 + 4 * nth, False, c.log_normal(5e3, 1.3, flow.size).clip(max=1.5e5), server)
    c.close(c.log_normal(2e6, 1.5), reset=0.2)
    return c


def _dns(c: Capture) -> Capture:
    """One or two queries (A and AAAA) and their answers."""
    c.protocol, c.dst = UDP, "10.0.0."
    c.dst_port = np.full(c.flows, 53)
    flow, nth = repeat(c.choose({1: 0.55, 2: 0.45}))
    question = c.rng.integers(28, 60, flow.size)
    c.add(flow, nth, True, c.log_normal(12, 0.8, flow.size), question, 0)
    answer = question + c.rng.choice([16, 28, 44, 76, 118], flow.size)
    c.add(flow, 10 + nth, False, c.log_normal(900, 2.0, flow.size), answer, 0)
    return c


def _ssh(c: Capture) -> Capture:
    """Key exchange, then keystrokes and their echoes."""
    c.dst_port, c.dst = np.full(c.flows, 22), "10.0.2."
    c.fwd_window, c.bwd_window = c.choose({29200: 0.7, 64240: 0.3}), c.choose({28960: 0.8, 65160: 0.2})
    c.handshake(c.log_normal(700, 0.8))
    flow, nth = repeat(4 + c.rng.geometric(0.05, c.flows).clip(max=120))
    early = nth < 4
    gap = np.where(early, c.log_normal(5e3, 0.8, flow.size), c.log_normal(3e5, 1.3, flow.size))
    size = np.where(
        early, c.rng.integers(200, 1400, flow.size), c.choose({36: 0.8, 52: 0.1, 100: 0.1}, flow.size)
    )
    c.add(flow, 10 + 2 * nth, True, gap, size, PSH | ACK)
    c.add(flow, 11 + 2 * nth, False, c.log_normal(900, 0.8, flow.size), size, PSH | ACK)
    c.close(c.log_normal(1e5, 1.5), reset=0.05)
    return c


def _bulk(c: Capture) -> Capture:
    """A download or a backup: one request, hundreds of full segments in one direction."""
    c.dst_port = c.choose({443: 0.6, 873: 0.2, 445: 0.2})
    c.fwd_window, c.bwd_window = c.choose({64240: 0.6, 65535: 0.4}), c.choose({65535: 0.6, 28960: 0.4})
    round_trip = c.log_normal(8e3, 0.8)
    c.handshake(round_trip)
    c.send(c.all, 10, True, c.log_normal(500, 0.4), c.log_normal(400, 0.8))
    amount = c.log_normal(2e5, 0.8).clip(max=8e5)
    up = c.rng.random(c.flows) < 0.25
    for forward, chosen in ((True, up), (False, ~up)):
        c.send(c.all[chosen], 20, forward, amount[chosen], round_trip[chosen])
    c.close(c.log_normal(3e5, 1.2), reset=0.05)
    return c


def _datagrams(c: Capture) -> Capture:
    """Time synchronisation and name announcements: few datagrams, some never answered."""
    c.protocol, c.dst = UDP, "10.0.0."
    c.dst_port = c.choose({123: 0.55, 137: 0.25, 5353: 0.2})
    flow, nth = repeat(c.rng.integers(2, 5, c.flows))
    size = np.where(c.dst_port[flow] == 123, 48, c.rng.integers(50, 140, flow.size))
    c.add(flow, 2 * nth, True, c.log_normal(7.5e5, 0.9, flow.size), size, 0)
    clock = flow[c.dst_port[flow] == 123]
    c.add(clock, 2 * nth[c.dst_port[flow] == 123] + 1, False, c.log_normal(2e4, 0.9, clock.size), 48, 0)
    return c


def _keep_alive(c: Capture) -> Capture:
    """A chat or device connection that stays open: a small message each half minute, answered."""
    c.dst_port = c.choose({443: 0.5, 5222: 0.25, 8883: 0.25})
    c.fwd_window, c.bwd_window = c.choose({64240: 0.6, 29200: 0.4}), c.choose({65535: 0.5, 28960: 0.5})
    c.handshake(c.log_normal(25e3, 0.6))
    flow, nth = repeat(c.rng.integers(2, 9, c.flows))
    c.add(
        flow,
        10 + 3 * nth,
        True,
        c.log_normal(1.8e7, 0.7, flow.size),
        c.rng.integers(20, 180, flow.size),
        PSH | ACK,
    )
    c.add(
        flow,
        11 + 3 * nth,
        False,
        c.log_normal(3e4, 0.7, flow.size),
        c.rng.integers(20, 160, flow.size),
        PSH | ACK,
    )
    c.add(flow, 12 + 3 * nth, True, c.log_normal(4e4, 0.2, flow.size))
    return c


def _refused(c: Capture) -> Capture:
    """An ordinary client calls a service that is down: refused at once, or SYNs again after 1, 3, 7 s."""
    c.dst_port, c.dst = c.choose({443: 0.4, 80: 0.3, 445: 0.2, 8080: 0.1}), "10.0.2."
    c.fwd_window = c.choose({64240: 0.5, 29200: 0.3, 8192: 0.2})
    silent = c.rng.random(c.flows) < 0.5
    c.add(c.all, 0, True, 0, flags=SYN)
    refused = c.all[~silent]
    c.add(refused, 1, False, c.log_normal(2e3, 1.0, refused.size), flags=RST | ACK)
    flow, nth = repeat(np.where(silent, c.rng.integers(1, 4, c.flows), 0))
    c.add(flow, 1 + nth, True, 1e6 * 2.0**nth * c.log_normal(1, 0.02, flow.size), flags=SYN)
    return c


def _bare_requests(c: Capture, wait: float) -> Capture:
    """A tiny request for one page, the whole answer, a reset; `wait`: median wait for the server, µs."""
    c.dst_port, c.dst = np.full(c.flows, 80), _VICTIM
    c.fwd_window = c.choose({8192: 0.8, 64240: 0.2})
    c.bwd_window = np.full(c.flows, 229)
    c.handshake(c.log_normal(6e3, 1.0))
    c.send(
        c.all, 10, True, c.choose({20: 0.9, 26: 0.06, 74: 0.04}).astype(np.float64), c.log_normal(2e3, 1.2)
    )
    c.send(c.all, 12, False, np.where(c.rng.random(c.flows) < 0.9, 11595.0, 4380.0), c.log_normal(wait, 0.8))
    c.close(c.log_normal(wait, 0.9), reset=0.9)
    return c


def _probe(c: Capture) -> Capture:
    """The operators' own uptime check of the web server: on the wire nearly what a flood bot sends."""
    return _bare_requests(c, wait=7e5)


def _flood(c: Capture) -> Capture:
    """A HTTP flood: many bots ask an overloaded server for the same page."""
    c.src = "203.0.113."
    return _bare_requests(c, wait=2.2e6)


def _browser_bot(c: Capture) -> Capture:
    """Flood bots that drive a real browser: a single flow of theirs looks like a visitor."""
    c.src, c.dst = "203.0.113.", _VICTIM
    return _web(c)


def _port_scan(c: Capture) -> Capture:
    """A half-open scan: SYN to port after port; closed, open (then reset), or filtered and tried again."""
    c.src, c.dst = "203.0.113.7", "10.0.2."
    well_known = c.rng.choice(
        [21, 22, 23, 25, 80, 110, 139, 143, 443, 445, 1433, 3306, 3389, 5900, 8080], c.flows
    )
    c.dst_port = np.where(c.rng.random(c.flows) < 0.15, well_known, c.rng.integers(1, 10_000, c.flows))
    c.fwd_window = c.choose({1024: 0.9, 2048: 0.1})
    fate = c.choose({0: 0.86, 1: 0.06, 2: 0.08})
    c.bwd_window = np.where(fate == 1, 29200, 0)
    c.add(c.all, 0, True, 0, flags=SYN)
    closed, opened, filtered = (c.all[fate == f] for f in (0, 1, 2))
    c.add(closed, 1, False, c.log_normal(300, 0.9, closed.size), flags=RST | ACK)
    c.add(opened, 1, False, c.log_normal(400, 0.9, opened.size), flags=SYN | ACK)
    c.add(opened, 2, True, c.log_normal(30, 0.7, opened.size), flags=RST)
    c.add(filtered, 1, True, c.log_normal(1.1e6, 0.05, filtered.size), flags=SYN)
    return c


def _slow_loris(c: Capture) -> Capture:
    """Half a request, then a header line every so often: the server waits and keeps its worker busy."""
    c.src, c.dst = "203.0.113.", _VICTIM
    c.dst_port = np.full(c.flows, 80)
    c.fwd_window, c.bwd_window = c.choose({29200: 0.8, 64240: 0.2}), c.choose({235: 0.9, 28960: 0.1})
    c.handshake(c.log_normal(6e3, 1.0))
    c.add(c.all, 10, True, c.log_normal(2e3, 1.2), c.rng.integers(190, 260, c.flows), PSH | ACK)
    c.add(c.all, 11, False, c.log_normal(300, 0.7))
    flow, nth = repeat(c.rng.integers(3, 14, c.flows))
    c.add(
        flow,
        20 + 2 * nth,
        True,
        c.log_normal(9e6, 0.25, flow.size),
        c.rng.integers(8, 18, flow.size),
        PSH | ACK,
    )
    c.add(flow, 21 + 2 * nth, False, c.log_normal(300, 0.7, flow.size))
    gave_up = c.all[c.rng.random(c.flows) < 0.3]
    c.add(gave_up, CLOSING, False, c.log_normal(5e6, 0.5, gave_up.size), 483, FIN | PSH | ACK)
    c.add(gave_up, CLOSING + 1, True, c.log_normal(300, 0.7, gave_up.size), 0, RST)
    return c


_Maker = Callable[[Capture], Capture]
_PARTS: Final[Mapping[Kind, Mapping[_Maker, float]]] = {
    "benign": {
        _web: 0.44,
        _dns: 0.26,
        _datagrams: 0.1,
        _keep_alive: 0.06,
        _bulk: 0.05,
        _ssh: 0.04,
        _refused: 0.035,
        _probe: 0.015,
    },
    "ddos": {_flood: 0.98, _browser_bot: 0.02},
    "portscan": {_port_scan: 1.0},
    "slowloris": {_slow_loris: 1.0},
}


def _split(rng: np.random.Generator, parts: Mapping[_Maker, float], rows: int) -> list[tuple[_Maker, int]]:
    return [
        (make, int(n)) for make, n in zip(parts, rng.multinomial(rows, list(parts.values())), strict=True)
    ]


def _table(capture: Capture, day: int) -> pd.DataFrame:
    return pd.concat([_identifiers(capture, day), features(capture)], axis=1)


def _identifiers(c: Capture, day: int) -> pd.DataFrame:
    n = c.flows
    src, dst = _addresses(c, c.src), _addresses(c, c.dst)
    ports = c.rng.integers(32768, 61000, n)
    ids = [f"{s}-{d}-{p}-{q}-{c.protocol}" for s, d, p, q in zip(src, dst, ports, c.dst_port, strict=True)]
    start = pd.Timestamp(_FIRST_DAY + timedelta(days=day))
    seconds = c.rng.uniform(0, 86_400, n)
    stamps = (start + pd.to_timedelta(np.rint(seconds * 1e6), unit="us")).strftime("%Y-%m-%d %H:%M:%S.%f")
    columns = dict(zip(IDENTIFIERS, (ids, src, ports, dst, stamps), strict=True))
    return pd.DataFrame(columns)


def _addresses(c: Capture, network: str) -> list[str]:
    """A host each in a network ("10.0.1."), or always the one that is named in full."""
    if not network.endswith("."):
        return [network] * c.flows
    return [f"{network}{host}" for host in c.rng.integers(2, 250, c.flows)]
