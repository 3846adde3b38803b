"""Runs benchmarks, each in its own process; see the package's docstring."""

import argparse
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import _measure

RESULTS = Path(__file__).parent / "results"


def names() -> list[str]:
    """The modules with this interface; the other modules of the package are run directly."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    return [file.stem for file in files if "\ndef main(quick: bool)" in file.read_text()]


def run_here(name: str, quick: bool, out: Path) -> None:
    """Measures one benchmark in this process, stores and prints the result."""
    started = time.perf_counter()
    result = importlib.import_module(f"benchmarks.{name}").main(quick)
    result = {"benchmark": name, "quick": quick, "environment": _measure.environment(), **result}
    result["seconds"] = time.perf_counter() - started
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(_measure.render(result), flush=True)
    print(f"Written to {path} after {result['seconds']:.0f} s.\n", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Parses the request; 0 when every benchmark ran (whether or not it met its targets), else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures speed and memory.")
    parser.add_argument("name", nargs="*", help=f"one or more of {', '.join(names())}; by default all")
    parser.add_argument("--quick", action="store_true", help="toy sizes: only checks that the benchmarks run")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON files")
    parser.add_argument("--here", action="store_true", help="run in this process instead of one process per benchmark")
    request = parser.parse_args(arguments)
    unknown = sorted(set(request.name) - set(names()))
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; expected one of {', '.join(names())}")
    failed: list[str] = []
    for name in request.name or names():
        if request.here:
            run_here(name, request.quick, request.out)
            continue
        command = [sys.executable, "-m", "benchmarks", name, "--here", "--out", str(request.out)]
        if subprocess.run(command + ["--quick"] * request.quick, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
