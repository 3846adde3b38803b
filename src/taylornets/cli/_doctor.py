"""The command `doctor`: installed versions, available devices, missing dependencies."""

import os
import platform
import re
from dataclasses import dataclass
from importlib import metadata

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table
from rich.text import Text

from taylornets.cli._root import BROKEN, DONE
from taylornets.series import TESTED, is_untested


@dataclass(frozen=True)
class Requirement:
    """One dependency of the package.

    Args:
        name: its name on the package index.
        minimum: lowest supported version; empty for any.
        extra: the extra that requires it; empty for the package itself.
        installed: the installed version, or None.
    """

    name: str
    minimum: str
    extra: str
    installed: str | None

    @property
    def satisfied(self) -> bool:
        """Whether it is installed in a supported version."""
        return self.installed is not None and _numbers(self.installed) >= _numbers(self.minimum)


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, for comparison; `1.2.0` counts as `1.2`."""
    found = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def requirements() -> list[Requirement]:
    """Reads the dependencies from the metadata of the installed package; extras that only combine extras are skipped."""
    result: list[Requirement] = []
    for line in metadata.requires("taylornets") or ():
        found = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*(?:>=\s*([0-9.]+))?", line)
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", line)
        if found and found[1] != "taylornets":
            result.append(Requirement(found[1], found[2] or "", extra[1] if extra else "", _installed(found[1])))
    return sorted(result, key=lambda item: (item.extra != "", item.extra, item.name.lower()))


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return "unknown"
    return f"{size / 2**30:.1f} GiB"


def _precise() -> bool:
    """Whether JAX computes in float64: in float32, the small summand is lost."""
    return bool(jnp.asarray(1.0) + 2.0**-40 > 1.0)


def run() -> int:
    """Prints the findings.

    Returns:
        0 if all dependencies of the package and the command line are installed and float64 works, 1 otherwise.
    """
    console = Console()
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    grid.add_column(style="dim")
    grid.add_column()
    precise, found = _precise(), metadata.version("jax")
    for name, value in {
        "taylornets": metadata.version("taylornets"),
        "Python": platform.python_version(),
        "JAX": found + (f" (newer than the latest tested version, {TESTED})" if is_untested(found) else ""),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "devices": ", ".join(f"{device.platform} {device.id} ({device.device_kind})" for device in jax.devices()),
        "64 bits": "yes" if precise else "no: jax_enable_x64 has no effect on this device",
        "processors": str(os.cpu_count() or "unknown"),
        "memory": _memory(),
    }.items():
        grid.add_row(name, Text(value))
    console.print(grid)
    console.print()

    needed = requirements()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("library", "required", "installed", "required by"):
        table.add_column(name)
    for key in dict.fromkeys((item.name, item.minimum) for item in needed):
        same = [item for item in needed if (item.name, item.minimum) == key]
        state = Text(same[0].installed or "missing", style="" if same[0].satisfied else "bold red")
        users = ", ".join(item.extra or "taylornets" for item in same)
        table.add_row(same[0].name, f"≥ {same[0].minimum}" if same[0].minimum else "any", state, users)
    console.print(table)
    console.print()

    incomplete: set[str] = set()
    for extra in dict.fromkeys(item.extra for item in needed):
        missing = [item.name for item in needed if item.extra == extra and not item.satisfied]
        target = f"taylornets[{extra}]" if extra else "taylornets"
        if missing:
            incomplete.add(extra)
            text = f"✗ {target}: missing or too old: {', '.join(missing)}. Install with: pip install -U '{target}'"
            console.print(Text(text, style="red"), soft_wrap=True)
        else:
            console.print(Text(f"✓ {target}: complete", style="green"))
    return DONE if precise and not incomplete & {"", "cli"} else BROKEN
