"""What NumPy is told of the processor before it is loaded."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

_ZEN_3_AND_4 = 25  # of which only Zen 4 has AVX-512
_CHOICES = ("NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES")


def sort_fast(processors: Path = Path("/proc/cpuinfo")) -> None:
    """Have NumPy sort with AVX2 on AMD's Zen 4, where its AVX-512 sort takes two to three times as long.

    That sort stores compressed vectors to memory, which Zen 4 does in microcode (AMD, "Software Optimization Guide for
    the AMD Zen4 Microarchitecture", publication 57647, 2023). Only before NumPy is loaded, and for the processes that
    this one starts; what the environment says itself of NumPy's features holds.

    Args:
        processors: Linux's description of them; elsewhere there is none, and nothing is done.
    """
    if "numpy" in sys.modules or any(name in os.environ for name in _CHOICES) or not _slow(processors):
        return
    os.environ[_CHOICES[0]] = "X86_V4" if _numpy() >= (2, 4) else "AVX512_SKX"


def _numpy() -> tuple[int, int]:
    """Its version, from its files: it is not loaded, and importlib.metadata takes 40 ms to load."""
    found = find_spec("numpy")
    if found is None or found.origin is None:
        return 0, 0
    said = re.search(r'version = "(\d+)\.(\d+)', Path(found.origin).with_name("version.py").read_text())
    return (int(said[1]), int(said[2])) if said else (0, 0)


def _slow(processors: Path) -> bool:
    try:
        with processors.open() as lines:
            first = lines.read(8192).split("\n\n")[0]
    except OSError:
        return False
    said = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())
    }
    zen = said.get("vendor_id") == "AuthenticAMD" and said.get("cpu family") == str(_ZEN_3_AND_4)
    return zen and "avx512f" in said.get("flags", "").split()
