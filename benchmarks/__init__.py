"""Measurements of speed and memory: `python -m benchmarks [NAME ...] [--quick] [--out DIR]`.

**The interface.** A benchmark is a module of this package whose name has no leading underscore and that defines

    def main(quick: bool) -> dict

(in exactly this form, which the runner searches for). It measures and returns a JSON-serializable dictionary. `quick` selects
toy sizes and few repetitions: such a run only shows that the benchmark works, and its numbers are meaningless. The runner
reads these keys and stores all others unchanged:

- `"title"`: one line.
- `"floors"`: sentences that state a lower bound for every implementation, or the reference of the ratios.
- `"tables"`: a list of `{"title": str, "columns": [str, ...], "rows": [[cell, ...], ...]}`.
- `"targets"`: a list of `{"target": str, "measured": str, "met": bool, "why": str}`; `why` explains a missed target.

Every benchmark runs in a separate process, so it may set global options of JAX, and its peak memory is measured separately.
The runner adds versions, device, processors and date, writes `benchmarks/results/NAME.json`, and prints the tables.
`benchmarks._measure` contains the timers.
"""
