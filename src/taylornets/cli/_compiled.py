"""JAX as the commands use it: in float64, with compiled programs kept in the user's cache folder."""

import mmap
import os
from importlib import metadata, util
from pathlib import Path
from typing import Any

import jax
import platformdirs

# Least recently used programs are deleted beyond this size; the programs of one command take about 1 MiB.
_BYTES = 512 * 2**20
# Less optimization, and XLA's older code generator for the CPU.
_QUICK = ("--xla_backend_optimization_level=1", "--xla_cpu_use_fusion_emitters=false")


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


def compile_quickly() -> None:
    """Lets XLA optimize less, for this process and those it starts; to be called before JAX computes.

    Programs that run for a short time then take half as long in total, since compiling takes most of it; long computations take
    up to a quarter longer. `XLA_FLAGS` of the user take precedence, and accelerators keep their settings.
    """
    if not metadata.entry_points(group="jax_plugins"):
        os.environ.setdefault("XLA_FLAGS", _known(_QUICK))


def _known(flags: tuple[str, ...]) -> str:
    """The flags that the installed XLA has, since an unknown one would end the process."""
    found = util.find_spec("jaxlib")
    folder = Path() if found is None or found.origin is None else Path(found.origin).parent
    library = next(folder.glob("libjax_common.*"), None)
    if library is None:
        return ""
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        # Its table of flags holds whole C strings; names of removed flags may occur elsewhere.
        return " ".join(flag for flag in flags if text.find(f"\0{flag[2:].split('=')[0]}\0".encode()) >= 0)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
