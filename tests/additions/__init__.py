"""Files that add one thing each to a room with a registry, and what puts them there for a test."""

import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from taylornets._discover import import_modules


@contextmanager
def added(room: ModuleType, registry: str, file: str, folder: Path) -> Generator[None]:
    """One more file of a room, in a folder of its own that the room also looks in; afterwards all is as before.

    Args:
        room: the package.
        registry: name of the dictionary in its module `_registry`.
        file: name of a file beside this one, without ending.
        folder: a temporary folder.
    """
    shutil.copyfile(Path(__file__).with_name(f"{file}.py"), folder / f"_{file}.py")
    holder = sys.modules[f"{room.__name__}._registry"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "__path__", [*room.__path__, str(folder)])
        patch.setattr(holder, registry, dict(getattr(holder, registry)))
        import_modules(room.__name__, room.__path__)
        yield
    del sys.modules[f"{room.__name__}._{file}"]
    delattr(room, f"_{file}")
