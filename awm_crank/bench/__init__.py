"""Benchmarks: our figures next to those of the obvious off-the-shelf way, measured in the same run on the same machine.

A benchmark is a module with `measure(seconds) -> list[Comparison]` and an entry in `cli/bench.py`. Benchmarks are
commands, never tests: a figure depends on the machine, and a test must not.
"""
