"""The three methods of `tn.torch.regime` on twenty architectures: differences of every order, time and memory.

Run as `python -m benchmarks.torch_zoo [NAME ...]` in an environment with the extras `torch` and `hf`; about fifteen minutes,
most of them compilation in JAX. Each method is compared with nested derivatives, relative to `max(‖f_k‖, ‖M‖/10)`.
"""

import resource
import sys
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import taylornets as tn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "pytorch"))

ORDERS = 4
METHODS = ("native", "jax", "evaluations")


def measured(zoo: Any, name: str, method: str) -> tuple[Any, float, float]:
    """The regime by one method, seconds, and the peak of NumPy's and Python's memory in MB."""
    module, inputs = zoo.built(name)
    end = zoo.moved(module)
    tracemalloc.start()
    started = time.perf_counter()
    found = tn.torch.regime(module, end, inputs, method=method, max_order=ORDERS, resum=None)
    seconds = time.perf_counter() - started
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return found, seconds, peak


def apart(found: Any, exact: Any) -> str:
    """Differences of the contributions of every order, relative to `max(‖f_k‖/‖M‖, 1/10)`; a dash where there is none."""
    sizes = np.maximum(np.asarray(exact.term), 0.1)
    differences = np.abs(np.asarray(found.share) - np.asarray(exact.share)) / sizes
    return " ".join("–" if np.isnan(value) else f"{value:.0e}" for value in differences)


def main(names: list[str]) -> None:
    """Prints one line per architecture and method."""
    import zoo  # noqa: PLC0415 (its folder is on the path only now)

    warnings.simplefilter("ignore")
    print("| architecture | method | orders 1 to 4 against nested derivatives | seconds | MB |\n|---|---|---|---|---|")
    for name in names or list(zoo.ZOO):
        exact = None
        for method in METHODS:
            try:
                found, seconds, peak = measured(zoo, name, method)
            except tn.ArgumentError as error:
                print(f"| {name} | {method} | {str(error)[:160]} | | |", flush=True)
                continue
            exact = exact or found
            what = (
                found.computed.partition("; ")[2].partition("; output")[0]
                if method == "native"
                else apart(found, exact)
            )
            print(f"| {name} | {method} | {what} | {seconds:.1f} | {peak:.0f} |", flush=True)
    print(f"largest memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
