"""Where arrays are stored, and the decisions that follow from it: the layout of the features and the precision of products.

**Layout.** A CPU processes blocks of examples whose projections fit into the cache (`CACHE`). An accelerator, and data that
is sharded over several devices, are processed in as few blocks as the memory of a device allows (`WHOLE`): two large
matrix products, with the elementwise part fused between them. Inside `jax.jit`, where the device of an argument is
unknown, the default device decides; `TwoLayerNetwork.prepare(layout=...)` overrides it.

**Precision.** Products follow `jax.default_matmul_precision`, except for those that a proof relies on: `exact` computes
them at the highest precision. Inputs of half precision are multiplied as they are and accumulated in float32.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import DTypeLike

from taylornets import _checks

P = ParamSpec("P")
T = TypeVar("T")

CACHE, WHOLE = "cache", "whole"
LAYOUTS = (CACHE, WHOLE)
# Share of the free memory of a device for one array of a block. About four exist at a time, and the features are stored.
_SHARE = 1 / 16
# Memory of a device that reports none (a CPU), in bytes.
_UNKNOWN = 2**34


def layout(*arrays: Any) -> str:
    """Chooses the layout of the features of arrays: `"cache"` on one CPU, `"whole"` on accelerators and several devices.

    Args:
        arrays: arrays of one computation; those without known devices (traced, NumPy) do not count.

    Returns:
        The layout.
    """
    found = devices(*arrays)
    return CACHE if len(found) == 1 and found[0].platform == "cpu" else WHOLE


def devices(*arrays: Any) -> list[Any]:
    """Lists the devices that store the arrays; JAX's default device if no array is concrete."""
    found = {device for array in arrays for device in _devices(array)}
    return sorted(found, key=lambda device: device.id) if found else [_default()]


def block_limit(*arrays: Any, bytes_per_example: int) -> int:
    """Returns how many examples a block may have so that one of its arrays takes 1/16 of the free memory of each device."""
    found = devices(*arrays)
    local = [device for device in found if device.process_index == jax.process_index()]
    # All processes must compile the same program: on several, what is free at the moment does not count.
    several = len(local) < len(found)
    free = min((_free(device, several) for device in local), default=_UNKNOWN)
    return max(int(_SHARE * free * len(found)) // max(bytes_per_example, 1), 1)


def row_shards(array: jax.Array) -> int:
    """Returns into how many equal parts devices divide the rows of an array; 1 if that is unknown."""
    if isinstance(array, Tracer) or not array.shape[0]:
        return 1
    own = array.sharding.shard_shape(array.shape)[0]
    return array.shape[0] // own if array.shape[0] % own == 0 else 1


def exact(function: Callable[P, T]) -> Callable[P, T]:
    """Decorates a function that belongs to a proof: its matrix products are computed at `Precision.HIGHEST`.

    The default precision of an accelerator (TF32, bfloat16) has relative errors of 1e-3 to 1e-2, which no allowance for
    rounding covers.
    """

    @functools.wraps(function)
    def highest(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.default_matmul_precision("highest"):
            return function(*args, **kwargs)

    return highest


def require_loops() -> None:
    """Raises if JAX's experimental option `jax_scan3` is on and compiled loops lose their result, as in JAX 0.12.0.

    Taylor terms do not depend on it (`taylornets.series` has a rule); compiled sums over blocks and iterations would be
    silently wrong.
    """
    if getattr(jax.config, "jax_scan3", False) and not _loops_return():
        raise _checks.ArgumentError(
            "jax_scan3",
            "False with this version of JAX",
            "True",
            "With this experimental option, jax.jit(lambda x: jax.lax.fori_loop(0, 2, lambda i, s: s + x, 0.0))(1.0) is 0.",
        )


@functools.cache
def _loops_return() -> bool:
    with jax.ensure_compile_time_eval():
        return float(jax.jit(lambda x: jax.lax.fori_loop(0, 2, lambda _, s: s + x, 0.0))(1.0)) == 2.0


def eigvalsh(matrices: jax.Array, kind: str) -> jax.Array:
    """Computes the eigenvalues of a batch of symmetric matrices, ascending, for a layout.

    On CPUs, XLA distributes a batch over its thread pool, and the calling thread waits for the others. Devices of one process
    share this pool, and so do the collectives between them, which also wait: if one device is in a batch while the others
    wait for it in a collective, no thread is left, and the program hangs. Data on several devices of a CPU (`"whole"`)
    therefore has its matrices decomposed one after the other, which needs no thread of the pool.

    Args:
        matrices: shape `(..., d, d)`.
        kind: the layout of the data.

    Returns:
        Eigenvalues, shape `(..., d)`.
    """
    if kind == CACHE or jax.default_backend() != "cpu" or matrices.ndim < 3:
        return jnp.linalg.eigvalsh(matrices)
    flat = matrices.reshape(-1, *matrices.shape[-2:])
    return jax.lax.map(jnp.linalg.eigvalsh, flat).reshape(matrices.shape[:-1])


def eigh(matrices: jax.Array, kind: str) -> tuple[jax.Array, jax.Array]:
    """Computes eigenvalues and eigenvectors of a batch of symmetric matrices `(m, d, d)`, as `eigvalsh`."""
    if kind == CACHE or jax.default_backend() != "cpu":
        values, vectors = jnp.linalg.eigh(matrices)
        return values, vectors
    return jax.lax.map(lambda matrix: tuple(jnp.linalg.eigh(matrix)), matrices)


def wide(dtype: DTypeLike) -> Any:
    """Returns the dtype of sums: float32 for half precision, otherwise the dtype itself."""
    half = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32
    return jnp.dtype(jnp.float32) if half else jnp.dtype(dtype)


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Multiplies two matrices; half precision is accumulated, and returned, in float32."""
    kind = jnp.promote_types(a.dtype, b.dtype)
    return jnp.matmul(a, b) if wide(kind) == kind else jnp.matmul(a, b, preferred_element_type=wide(kind))


def checked(value: Any) -> str:
    """Validates the name of a layout."""
    return _checks.choice("layout", value, LAYOUTS, "By default, the device of the data decides.")


def _devices(array: Any) -> set[Any]:
    if not isinstance(array, jax.Array) or isinstance(array, Tracer):
        return set()
    return set(array.sharding.device_set)


def _default() -> Any:
    """The device on which JAX places new arrays."""
    chosen: Any = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]  # set at run time
    if isinstance(chosen, str):
        return jax.local_devices(backend=chosen)[0]
    return jax.local_devices()[0] if chosen is None else chosen


def _free(device: Any, several: bool) -> float:
    """Free memory of a device in bytes; with several processes, half of its memory."""
    statistics = device.memory_stats() if device.platform != "cpu" else None
    limit = (statistics or {}).get("bytes_limit", 0)
    if not limit:
        return _UNKNOWN
    used = limit / 2 if several else (statistics or {}).get("bytes_in_use", 0)
    # A power of two, so that small changes do not recompile the programs.
    return 2 ** math.floor(math.log2(max(limit - used, limit / 16)))
