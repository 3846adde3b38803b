"""Environment of a computation: versions, commit, device, time."""

import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

LIBRARIES = ("taylornets", "jax", "jaxlib", "numpy", "scipy", "equinox", "optax")


def _git(*arguments: str) -> str | None:
    """Returns the output of a git command in this checkout; None without git or a checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def commit() -> str | None:
    """Returns the commit of the checkout that contains this file; None for an installed package."""
    return _git("rev-parse", "HEAD") if _git("ls-files", "--error-unmatch", Path(__file__).name) else None


def now() -> str:
    """Returns the current time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def modified() -> bool | None:
    """Whether the checkout has uncommitted changes; None without a checkout."""
    changes = None if commit() is None else _git("status", "--porcelain", "--untracked-files=no")
    return None if changes is None else bool(changes)


def versions(*others: str) -> dict[str, str]:
    """Returns the versions of Python, the numerical libraries, and further ones."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in (*LIBRARIES, *others)}


def system() -> str:
    """Returns operating system and processor."""
    return f"{platform.system()} {platform.machine()}"


def facts(start: str, *libraries: str) -> dict[str, Any]:
    """Returns the fields of run.json that describe the environment of a fit or a diagnosis.

    Args:
        start: start time; see `now`.
        libraries: libraries beyond those that every run uses.
    """
    return {
        "x64": bool(jax.config.read("jax_enable_x64")),
        "version": metadata.version("taylornets"),
        "commit": commit(),
        "modified": modified(),
        "versions": versions(*libraries),
        "system": system(),
        "device": device(),
        "start": start,
    }


def shown(facts: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """Returns the last section of a page: seed, device, system and start, facts of the run, commit and versions."""
    return (
        {name: facts[name] for name in ("seed", "device", "system", "start")}
        | {"precision": "64 bits" if facts["x64"] else "32 bits"}
        | others
        | {"commit": facts["commit"] or "none (not run from a git checkout)"}
        | facts["versions"]
    )


def device() -> str:
    """Returns the device that JAX uses."""
    first = jax.devices()[0]
    count = f" × {jax.device_count()}" if jax.device_count() > 1 else ""
    return f"{first.platform}: {first.device_kind}{count}"
