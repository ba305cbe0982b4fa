"""Benchmarks: our figures next to the obvious off-the-shelf way's, measured in the same run on the same machine.

A benchmark is a module with `measure(seconds) -> list[Row]` and an entry in `cli/bench.py`. Benchmarks
are commands, never tests: a figure depends on the machine, a test must not.
"""
