"""The meter, on packets whose features can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bot.demo.meter import ACK, FIN, PSH, SYN, Capture, features


def capture(flows: int) -> Capture:
    return Capture(np.random.default_rng(0), flows)


def test_a_small_flow_is_measured_as_worked_out_by_hand() -> None:
    c = capture(1)
    c.dst_port, c.fwd_window, c.bwd_window = np.array([80]), np.array([8192]), np.array([229])
    flow = np.array([0])
    c.add(flow, 0, True, 0, 0, SYN)  # at 0 µs
    c.add(flow, 1, False, 100, 0, SYN | ACK)  # at 100
    c.add(flow, 2, True, 50, 20, PSH | ACK)  # at 150
    c.add(flow, 3, False, 850, 1000, PSH | ACK)  # at 1000
    c.add(flow, 4, False, 1000, 500, FIN | ACK)  # at 2000

    row = features(c).iloc[0]

    assert row["Flow Duration"] == 2000
    assert (row["Total Fwd Packet"], row["Total Bwd packets"]) == (2, 3)
    assert (row["Total Length of Fwd Packet"], row["Total Length of Bwd Packet"]) == (20, 1500)
    assert (row["Fwd Packet Length Max"], row["Bwd Packet Length Max"]) == (20, 1000)
    assert (row["Fwd Packet Length Mean"], row["Bwd Packet Length Mean"]) == (10, 500)
    assert row["Flow Bytes/s"] == pytest.approx(1520 / 0.002)
    assert row["Flow Packets/s"] == pytest.approx(5 / 0.002)
    assert row["Flow IAT Mean"] == 500
    assert row["Flow IAT Std"] == pytest.approx(np.std([100, 50, 850, 1000], ddof=1))
    assert row["Flow IAT Max"] == 1000
    assert (row["Fwd IAT Mean"], row["Bwd IAT Mean"]) == (150, 950)
    assert row["Packet Length Std"] == pytest.approx(np.std([0, 0, 20, 1000, 500], ddof=1))
    assert [row[f"{flag} Flag Count"] for flag in ("SYN", "ACK", "PSH", "FIN", "RST")] == [2, 4, 2, 1, 0]
    assert row["Down/Up Ratio"] == 1.5
    assert (row["Dst Port"], row["FWD Init Win Bytes"], row["Bwd Init Win Bytes"]) == (80, 8192, 229)


def test_flows_are_kept_apart_and_put_in_order() -> None:
    c = capture(2)
    both = np.array([1, 0])
    c.add(both, 1, False, np.array([7, 3]), np.array([70, 30]))
    c.add(both, 0, True, 10_000, np.array([11, 12]))

    table = features(c)

    assert table["Flow Duration"].tolist() == [3, 7]
    assert table["Total Length of Fwd Packet"].tolist() == [12, 11]
    assert table["Total Length of Bwd Packet"].tolist() == [30, 70]


def test_a_flow_is_cut_at_the_time_out_and_one_without_an_answer_has_no_window_back() -> None:
    c = capture(1)
    c.bwd_window = np.array([229])
    flow = np.array([0])
    c.add(flow, 0, True, 0, 5)
    c.add(flow, 1, True, 119e6, 5)
    c.add(flow, 2, False, 2e6, 5)

    row = features(c).iloc[0]

    assert row["Flow Duration"] == 119_000_000
    assert row["Total Bwd packets"] == row["Bwd Init Win Bytes"] == row["Bwd IAT Mean"] == 0


def test_a_long_message_goes_out_in_full_segments_and_every_second_one_is_acknowledged() -> None:
    c = capture(1)
    c.send(c.all, 0, False, np.array([4000.0]), np.array([1.0]))

    row = features(c).iloc[0]

    assert (row["Total Bwd packets"], row["Total Fwd Packet"]) == (3, 1)  # 1460 + 1460 + 1080, one ACK
    assert (row["Total Length of Bwd Packet"], row["Total Length of Fwd Packet"]) == (4000, 0)
    assert row["Bwd Packet Length Max"] == 1460
    assert row["PSH Flag Count"] == 1
