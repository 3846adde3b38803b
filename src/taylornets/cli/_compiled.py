"""JAX as the commands use it: in float64, with compiled programs kept in the user's cache folder."""

import os
from pathlib import Path
from typing import Any

import jax
import platformdirs

# Least recently used programs are deleted beyond this size; the programs of one command take about 1 MiB.
_BYTES = 512 * 2**20


def prepare(cache: bool) -> None:
    """Enables float64, and the cache unless the user or JAX's own settings decided otherwise.

    JAX's `JAX_COMPILATION_CACHE_DIR` chooses another folder, and `JAX_ENABLE_COMPILATION_CACHE=0` turns the cache off.

    Args:
        cache: False with `--no-cache`.
    """
    config: Any = jax.config
    config.update("jax_enable_x64", True)
    if not cache:
        config.update("jax_enable_compilation_cache", False)
    if not config.jax_enable_compilation_cache or config.jax_compilation_cache_dir:
        return
    folder = platformdirs.user_cache_path("taylornets") / "compiled"
    if not _writable(folder):
        return
    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_compilation_cache_max_size": _BYTES,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    for name, value in settings.items():
        config.update(name, value)
        os.environ.setdefault(name.upper(), str(value))  # for the processes of `reproduce` and `sweep`


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
