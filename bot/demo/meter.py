"""Simulated packets, and the flow meter that turns them into a row of CICFlowMeter's features a flow.

Units are the meter's: times in microseconds, lengths in bytes of payload; a flow ends after 120 s. See
Lashkari et al., "Characterization of Tor Traffic using Time based Features", ICISSP 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

TCP, UDP = 6, 17
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16  # bits of the TCP header, RFC 9293
CLOSING: Final = 1e9  # a step after all others
_SEGMENT = 1460  # payload of a full TCP segment on Ethernet
_TIMEOUT = 120e6  # the meter cuts a flow here


@dataclass(slots=True)
class Capture:
    """Packets of `flows` flows; a packet goes out `gap` µs after the one before it, in order of `step`."""

    rng: np.random.Generator
    flows: int
    protocol: int = TCP
    dst_port: Ints = field(init=False)
    fwd_window: Ints = field(init=False)
    bwd_window: Ints = field(init=False)
    src: str = "10.0.1."
    dst: str = "198.51.100."
    packets: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dst_port = self.fwd_window = self.bwd_window = np.zeros(self.flows, np.int64)

    @property
    def all(self) -> Ints:
        return np.arange(self.flows)

    def add(self, flow: Ints, step: Any, forward: bool, gap: Any, size: Any = 0, flags: Any = ACK) -> None:
        """One packet for each entry of `flow`; the other arguments are numbers or arrays of that length."""
        values = {"step": step, "forward": forward, "gap": gap, "size": size, "flags": flags}
        self.packets.append({"flow": flow, **{k: np.broadcast_to(v, flow.shape) for k, v in values.items()}})

    def log_normal(self, median: Any, sigma: float, n: int | None = None) -> Floats:
        """Positive draws, shape (n or flows,): times and sizes on networks have such long tails."""
        size = self.flows if n is None else n
        return np.asarray(median * np.exp(sigma * self.rng.standard_normal(size)), dtype=np.float64)

    def choose(self, options: Mapping[int, float], n: int | None = None) -> Ints:
        """Draws from weighted whole numbers, shape (n or flows,)."""
        weights = np.array(list(options.values()), dtype=np.float64)
        size = self.flows if n is None else n
        return self.rng.choice(np.array(list(options)), size=size, p=weights / weights.sum())

    def handshake(self, round_trip: Floats) -> None:
        """SYN, SYN-ACK, ACK."""
        self.add(self.all, 0, True, 0, flags=SYN)
        self.add(self.all, 1, False, round_trip, flags=SYN | ACK)
        self.add(self.all, 2, True, self.log_normal(60, 0.5))

    def send(self, flow: Ints, step: Any, forward: bool, total: Floats, delay: Floats) -> None:
        """`total` bytes in full segments; the other side acknowledges every second one."""
        count = np.maximum(1, np.ceil(total / _SEGMENT)).astype(np.int64)
        owner = np.repeat(np.arange(flow.size), count)
        nth = np.arange(owner.size) - np.repeat(np.cumsum(count) - count, count)
        last = nth == count[owner] - 1
        size = np.where(last, np.rint(total[owner]) - nth * _SEGMENT, _SEGMENT).clip(1, _SEGMENT)
        gap = np.where(nth == 0, delay[owner], self.log_normal(40, 1.0, owner.size))
        at = np.broadcast_to(step, flow.shape)[owner] + nth / 1e4
        self.add(flow[owner], at, forward, gap, size, np.where(last, PSH | ACK, ACK))
        acked = nth % 2 == 1
        self.add(
            flow[owner][acked], at[acked] + 5e-5, not forward, self.log_normal(50, 0.6, int(acked.sum()))
        )

    def close(self, delay: Floats, reset: float) -> None:
        """The client ends the flow: FIN, FIN-ACK, ACK, or with the given probability a RST."""
        abort = self.rng.random(self.flows) < reset
        quiet, polite = self.all[abort], self.all[~abort]
        self.add(quiet, CLOSING, True, delay[abort], flags=RST | ACK)
        self.add(polite, CLOSING, True, delay[~abort], flags=FIN | ACK)
        self.add(polite, CLOSING + 1, False, self.log_normal(9e3, 1.0, polite.size), flags=FIN | ACK)
        self.add(polite, CLOSING + 2, True, self.log_normal(60, 0.5, polite.size))


@dataclass(frozen=True, slots=True)
class Wire:
    """Packets in the order of the wire; arrays of shape (packets,), times in µs since the flow began."""

    flows: int
    flow: Ints
    time: Floats
    size: Floats
    forward: Bools
    flags: Ints

    def where(self, chosen: Bools) -> Wire:
        """The packets chosen by a mask of shape (packets,)."""
        return Wire(
            self.flows,
            self.flow[chosen],
            self.time[chosen],
            self.size[chosen],
            self.forward[chosen],
            self.flags[chosen],
        )

    @property
    def count(self) -> Ints:
        return np.bincount(self.flow, minlength=self.flows)

    def total(self, flow: Ints, values: Any) -> Floats:
        """Sum of `values` for each flow, shape (flows,)."""
        return np.bincount(flow, weights=values, minlength=self.flows).astype(np.float64)

    def flagged(self, bit: int) -> Ints:
        return np.bincount(self.flow[(self.flags & bit) > 0], minlength=self.flows)

    def longest(self, flow: Ints, values: Any) -> Floats:
        most = np.zeros(self.flows)
        np.maximum.at(most, flow, values)
        return most

    def gaps(self) -> tuple[Ints, Floats]:
        """Time between neighbours of the same flow: their flow, and µs."""
        same = self.flow[1:] == self.flow[:-1]
        return self.flow[1:][same], np.diff(self.time)[same]


def _wire(c: Capture) -> Wire:
    """Packets sorted, timed in whole µs (at least 1 apart) and cut at the meter's time-out."""
    raw = {key: np.concatenate([p[key] for p in c.packets]) for key in c.packets[0]}
    order = np.lexsort((raw["step"], raw["flow"]))
    flow = raw["flow"][order]
    clock = np.cumsum(np.rint(raw["gap"][order]).clip(min=1))
    begin = np.zeros(c.flows)
    first = np.flatnonzero(np.diff(flow, prepend=-1))
    begin[flow[first]] = clock[first]
    time = clock - begin[flow]
    rest = (raw["size"][order].astype(np.float64), raw["forward"][order], raw["flags"][order])
    return Wire(c.flows, flow, time, *rest).where(time <= _TIMEOUT)


def features(c: Capture) -> pd.DataFrame:
    """The 27 features of each flow, shape (flows, 27), named as CICFlowMeter names them."""
    wire = _wire(c)
    fwd, bwd = wire.where(wire.forward), wire.where(~wire.forward)
    duration = wire.longest(wire.flow, wire.time)
    octets = wire.total(wire.flow, wire.size)
    squares = wire.total(wire.flow, (wire.size - _ratio(octets, wire.count)[wire.flow]) ** 2)
    owner, gaps = wire.gaps()
    mean_gap = _ratio(duration, wire.count - 1)
    spread = wire.total(owner, (gaps - mean_gap[owner]) ** 2)
    columns: dict[str, Any] = {
        "Dst Port": c.dst_port,
        "Protocol": np.full(c.flows, c.protocol),
        "Flow Duration": duration.astype(np.int64),
        "Total Fwd Packet": fwd.count,
        "Total Bwd packets": bwd.count,
        "Total Length of Fwd Packet": fwd.total(fwd.flow, fwd.size).astype(np.int64),
        "Total Length of Bwd Packet": bwd.total(bwd.flow, bwd.size).astype(np.int64),
        "Fwd Packet Length Max": fwd.longest(fwd.flow, fwd.size).astype(np.int64),
        "Fwd Packet Length Mean": _ratio(fwd.total(fwd.flow, fwd.size), fwd.count),
        "Bwd Packet Length Max": bwd.longest(bwd.flow, bwd.size).astype(np.int64),
        "Bwd Packet Length Mean": _ratio(bwd.total(bwd.flow, bwd.size), bwd.count),
        "Flow Bytes/s": _ratio(octets, duration / 1e6),
        "Flow Packets/s": _ratio(wire.count, duration / 1e6),
        "Flow IAT Mean": mean_gap,
        "Flow IAT Std": np.sqrt(_ratio(spread, wire.count - 2)),
        "Flow IAT Max": wire.longest(owner, gaps).astype(np.int64),
        "Fwd IAT Mean": _mean_gap(fwd),
        "Bwd IAT Mean": _mean_gap(bwd),
        "Packet Length Std": np.sqrt(_ratio(squares, wire.count - 1)),
        "FIN Flag Count": wire.flagged(FIN),
        "SYN Flag Count": wire.flagged(SYN),
        "RST Flag Count": wire.flagged(RST),
        "PSH Flag Count": wire.flagged(PSH),
        "ACK Flag Count": wire.flagged(ACK),
        "Down/Up Ratio": _ratio(bwd.count, fwd.count),
        "FWD Init Win Bytes": c.fwd_window,
        "Bwd Init Win Bytes": np.where(bwd.count > 0, c.bwd_window, 0),
    }
    return pd.DataFrame(columns).round(6)


def _mean_gap(wire: Wire) -> Floats:
    owner, gaps = wire.gaps()
    return _ratio(wire.total(owner, gaps), wire.count - 1)


def _ratio(top: Any, bottom: Any) -> Floats:
    """top / bottom, 0 where there is nothing to divide by, as the meter prints it."""
    quotient: Floats = np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0)
    return quotient


def repeat(times: Ints) -> tuple[Ints, Ints]:
    """Flow i `times[i]` times, and the number of each repetition from 0."""
    flow = np.repeat(np.arange(times.size), times)
    return flow, np.arange(flow.size) - np.repeat(np.cumsum(times) - times, times)
