"""`python -m tests.benchmarks.quality --short`; see --help."""

import os


def _start() -> int:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # before numpy is there: who wants more cores asks for --jobs
    from tests.benchmarks.quality.command import main

    return main()


if __name__ == "__main__":
    raise SystemExit(_start())
