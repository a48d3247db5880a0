"""What NumPy is told of the processor: only on Zen 4, only before it is loaded, and nothing that it does not know."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ZEN_4 = {"vendor_id": "AuthenticAMD", "cpu family": "25", "flags": "fpu sse2 avx2 avx512f avx512bw"}
OTHERS = [
    {**ZEN_4, "cpu family": "26"},
    {**ZEN_4, "flags": "fpu sse2 avx2"},  # Zen 3
    {**ZEN_4, "vendor_id": "GenuineIntel"},
    {},
]
SAYS = """
import os, sys
from pathlib import Path
if "loaded" in sys.argv: import numpy
from bot.processor import sort_fast
sort_fast(Path(sys.argv[1]))
import numpy as np
assert (np.sort(np.arange(3_000.0)[::-1]) == np.arange(3_000.0)).all()
told = os.environ.get("NPY_DISABLE_CPU_FEATURES")
from numpy._core._multiarray_umath import __cpu_features__ as has
assert not told or not has[told], has
print(told)
"""


def described(folder: Path, processor: dict[str, str]) -> Path:
    file = folder / "cpuinfo"
    one = "".join(f"{key}\t: {value}\n" for key, value in {"processor": "0", **processor}.items())
    file.write_text(f"{one}\n{one}")
    return file


def told(file: Path, *arguments: str, **more: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NPY_")}
    done = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", SAYS, str(file), *arguments],
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2]), **more},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not Path(np.__file__).parents[1].joinpath("numpy.libs").is_dir(),
    reason="no published NumPy for such processors",
)
def test_numpy_sorts_without_avx512_on_zen_4(tmp_path):
    zen_4 = described(tmp_path, ZEN_4)
    assert told(zen_4) in ("X86_V4", "AVX512F")
    assert told(zen_4, "loaded") == "None"
    assert told(zen_4, NPY_DISABLE_CPU_FEATURES="") == ""


@pytest.mark.parametrize("processor", OTHERS, ids=["Zen 5", "Zen 3", "Intel", "none"])
def test_other_processors_are_left_alone(tmp_path, processor):
    assert told(described(tmp_path, processor)) == "None"


def test_where_no_processors_are_described_nothing_is_done(tmp_path):
    assert told(tmp_path / "absent") == "None"
    (tmp_path / "strange").write_bytes(b"model name\t: \xff\n" * 2_000)
    assert told(tmp_path / "strange") == "None"


def test_linear_algebra_gets_one_thread_unless_the_environment_says_otherwise():
    says = (
        "import os, sys\nif 'loaded' in sys.argv: import numpy\nfrom bot.processor import start_fast\nstart_fast()\n"
        "from threadpoolctl import threadpool_info\nimport numpy\n"
        "print(os.environ.get('OPENBLAS_NUM_THREADS'), [p['num_threads'] for p in threadpool_info()])"
    )

    def threads(*arguments: str, **more: str) -> str:
        kept = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
        return subprocess.run(
            [sys.executable, "-c", says, *arguments],
            env={**kept, "PYTHONPATH": str(Path(__file__).parents[2]), **more},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    several = min(2, os.cpu_count() or 1)
    assert threads() in ("1 [1]", "1 []")  # no pool where NumPy was built with something else
    assert threads(OMP_NUM_THREADS=str(several)) in (f"None [{several}]", "None []")
    assert threads("loaded").startswith("None")
