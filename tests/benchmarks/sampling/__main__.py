"""`python -m tests.benchmarks.sampling --short`; see --help."""

import os


def _start() -> int:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # before numpy is there
    from tests.benchmarks.sampling.command import main

    return main()


if __name__ == "__main__":
    raise SystemExit(_start())
