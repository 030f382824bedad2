"""Benchmarks: ratios in one run against named peers. `python -m tests.benchmarks` prints the table."""
