"""Imports all modules of a package with a registry, so that adding an entry takes one new file."""

import importlib
import pkgutil
from collections.abc import Iterable


def import_modules(package: str, path: Iterable[str]) -> None:
    """Imports every module of a package once, in alphabetical order; each module registers its own entries.

    Args:
        package: full name of the package.
        path: its `__path__`.
    """
    for name in sorted(module.name for module in pkgutil.iter_modules(path, f"{package}.")):
        importlib.import_module(name)
