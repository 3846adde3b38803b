"""Imports the modules of a package that holds a registry, so that a new entry is one new file."""

import importlib
import pkgutil
from collections.abc import Iterable


def import_modules(package: str, path: Iterable[str]) -> None:
    """Imports every module of a package, each once and in alphabetical order: they register themselves.

    Args:
        package: full name of the package.
        path: its `__path__`.
    """
    for name in sorted(module.name for module in pkgutil.iter_modules(path, f"{package}.")):
        importlib.import_module(name)
