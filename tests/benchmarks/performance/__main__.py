"""`python -m tests.benchmarks.performance`; see --help."""

from tests.benchmarks.performance.command import main

if __name__ == "__main__":
    raise SystemExit(main())
