"""Measurements of speed and memory: `python -m benchmarks [NAME ...] [--quick] [--out DIR]`.

**The interface.** A benchmark is a module of this package whose name has no leading underscore and that defines

    def main(quick: bool) -> dict

(written so: the runner looks for this line). It measures and returns a dictionary that JSON can hold. `quick` asks for
toy sizes and few repetitions: it shows that the benchmark runs, its figures mean nothing. The runner reads these keys
and stores all others as they are:

- `"title"`: one line.
- `"floors"`: sentences that say what no implementation can beat, or what the figures are compared with.
- `"tables"`: a list of `{"title": str, "columns": [str, ...], "rows": [[cell, ...], ...]}`.
- `"targets"`: a list of `{"target": str, "measured": str, "met": bool, "why": str}`; `why` explains a miss.

Every benchmark runs in a process of its own, so it may set global options of JAX and its peak memory is its own. The
runner adds versions, device, processors and date, writes `benchmarks/results/NAME.json` after each, and prints the tables.
`benchmarks._measure` has the stop watch.
"""
