"""What NumPy is told of the processor, and of its threads, before it is loaded."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

_ZEN_3_AND_4 = "25"  # family; of the two only Zen 4 has AVX-512
_CHOICES = ("NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES")
# What OpenBLAS asks for
_THREADS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_DEFAULT_NUM_THREADS")


def sort_fast(processors: Path = Path("/proc/cpuinfo")) -> None:
    """Have NumPy do without AVX-512 on AMD's Zen 4, where its sort, most of a check's work, takes three times as long.

    That sort stores compressed vectors to memory, which Zen 4 does in microcode (AMD, "Software Optimization Guide for
    the AMD Zen4 Microarchitecture", publication 57647, 2023). The price: exponentials and logarithms of arrays, which a
    check hardly needs, take some times as long. Only before NumPy is loaded, and for the processes that this one starts
    too; what the environment says itself of NumPy's features, if only "", holds. In any doubt nothing is done.

    Args:
        processors: Linux's description of them; elsewhere there is none.
    """
    if "numpy" in sys.modules or any(name in os.environ for name in _CHOICES) or not _is_zen_4(processors):
        return
    if feature := _avx512():
        os.environ[_CHOICES[0]] = feature


def start_fast() -> None:
    """Have NumPy and SciPy start no threads for linear algebra, of which most checks have next to none.

    (One that finds a lost correlation has some, beside sorting that takes longer.) OpenBLAS starts one for each core
    when it is loaded, and they stay busy for some tens of milliseconds. Only before NumPy is loaded, and for the
    processes that this one starts too; what the environment says of their number holds.
    """
    if "numpy" not in sys.modules and not any(name in os.environ for name in _THREADS):
        os.environ[_THREADS[0]] = "1"


def _is_zen_4(processors: Path) -> bool:
    try:
        with processors.open(errors="replace") as lines:
            first = lines.read(8192).split("\n\n")[0]
    except OSError:
        return False
    pairs = (line.partition(":") for line in first.splitlines())
    said = {key.strip(): value.strip() for key, _, value in pairs}
    zen = said.get("vendor_id") == "AuthenticAMD" and said.get("cpu family") == _ZEN_3_AND_4
    return zen and "avx512f" in said.get("flags", "").split()


def _avx512() -> str:
    """What the installed NumPy calls it, "" where that is not known; by its files, as importlib.metadata takes 40 ms.

    Published wheels run on any processor. One that was built for this one alone could not do without.
    """
    found = find_spec("numpy")
    if found is None or found.origin is None:
        return ""
    package = Path(found.origin).parent
    try:
        said = re.search(r'version = "(\d+)\.(\d+)', (package / "version.py").read_text(errors="replace"))
    except OSError:
        return ""
    if said is None or not package.with_name("numpy.libs").is_dir():
        return ""
    return "X86_V4" if (int(said[1]), int(said[2])) >= (2, 4) else "AVX512F"
