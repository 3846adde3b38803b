"""Checkpoints of a training run as safetensors: a plain callback, and those of transformers and Lightning."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taylornets._checks import ArgumentError, integer
from taylornets.torch._libraries import library
from taylornets.torch._states import checked_module, is_module, listed, tensors

_ENDING = ".safetensors"


class Checkpoints:
    """Collects the weights of a module during training; each one becomes `FOLDER/step_N.safetensors`.

    The files hold parameters and buffers under the module's names, tied weights once. `regime_path` reads the folder.

    Args:
        folder: where the files go.
        every: number of steps between two files; the last step is always kept by `finish`.

    Raises:
        ArgumentError: for `every` below 1, or a folder that already has checkpoints.

    Example:
        >>> import taylornets as tn
        >>> keep = tn.torch.Checkpoints("run", every=50)  # doctest: +SKIP
        >>> for step, (x, y) in enumerate(batches):  # doctest: +SKIP
        ...     keep(module, step)
        ...     ...  # loss.backward(); optimizer.step(); optimizer.zero_grad()
        >>> keep.finish(module, step + 1)  # doctest: +SKIP
    """

    def __init__(self, folder: Path | str, every: int = 1):
        self.every = integer("every", every, 1)
        self.folder = Path(folder)
        if self.folder.exists() and any(self.folder.glob(f"*{_ENDING}")):
            raise ArgumentError(
                "folder", "a folder without checkpoints", str(folder), "Choose another one for each run."
            )

    def __call__(self, module: Any, step: int) -> None:
        """Writes the weights if the step is a multiple of `every`."""
        if step % self.every == 0:
            self.finish(module, step)

    def finish(self, module: Any, step: int) -> None:
        """Writes the weights."""
        if not is_module(module):
            raise ArgumentError("module", "a torch.nn.Module", f"a {type(module).__name__}")
        state = {name: value.detach().cpu().contiguous().clone() for name, value in tensors(module).items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        library("safetensors.torch").save_file(state, str(self.folder / f"step_{step}{_ENDING}"))


def trainer_callback(folder: Path | str, *, every: int = 100) -> Any:
    """Makes a callback of transformers' Trainer that keeps the weights at the start, every so many steps, and at the end.

    Args:
        folder: as in `Checkpoints`.
        every: as in `Checkpoints`.

    Returns:
        A `transformers.TrainerCallback`.

    Raises:
        ArgumentError: as `Checkpoints`.
        ImportError: without transformers.

    Source: theory 14.

    Example:
        >>> import taylornets as tn
        >>> callback = tn.torch.trainer_callback("run", every=50)  # doctest: +SKIP
        >>> trainer = transformers.Trainer(model, arguments, callbacks=[callback])  # doctest: +SKIP
    """
    keep = Checkpoints(folder, every)

    class KeepCheckpoints(library("transformers").TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            del args, control
            keep.finish(kwargs["model"], state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            del args, control
            keep(kwargs["model"], state.global_step)

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            del args, control
            keep.finish(kwargs["model"], state.global_step)

    return KeepCheckpoints()


def lightning_callback(folder: Path | str, *, every: int = 100) -> Any:
    """Makes a callback of Lightning that keeps the weights at the start, every so many steps, and at the end.

    Args:
        folder: as in `Checkpoints`.
        every: as in `Checkpoints`.

    Returns:
        A `lightning.pytorch.Callback` (or that of `pytorch_lightning`, if only this is installed).

    Raises:
        ArgumentError: as `Checkpoints`.
        ImportError: without Lightning.

    Source: theory 14.

    Example:
        >>> import taylornets as tn
        >>> trainer = lightning.Trainer(callbacks=[tn.torch.lightning_callback("run")])  # doctest: +SKIP
    """
    keep = Checkpoints(folder, every)
    try:
        base = library("lightning.pytorch").Callback
    except ImportError:
        base = library("pytorch_lightning").Callback

    class KeepCheckpoints(base):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            keep.finish(pl_module, trainer.global_step)

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
            del args
            keep(pl_module, trainer.global_step)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            keep.finish(pl_module, trainer.global_step)

    return KeepCheckpoints()


def named_checkpoints(checkpoints: Any) -> list[tuple[str, Any]]:
    """Names and sources of checkpoints, in order: files of a folder by the numbers in their names, or the entries of a list."""
    if isinstance(checkpoints, str | Path):
        folder = Path(checkpoints)
        files = sorted(folder.glob(f"*{_ENDING}"), key=_natural) if folder.is_dir() else []
        if not files:
            raise ArgumentError("checkpoints", "a folder of safetensors files", str(folder))
        found: list[Any] = list(files)
    elif isinstance(checkpoints, list | tuple):
        found = list(checkpoints)
    else:
        raise ArgumentError(
            "checkpoints", "a folder, or a list of files, state dicts or modules", f"a {type(checkpoints).__name__}"
        )
    if len(found) < 2:
        raise ArgumentError("checkpoints", "at least two checkpoints", str(len(found)))
    return [
        (Path(item).stem if isinstance(item, str | Path) else f"checkpoint {i}", item) for i, item in enumerate(found)
    ]


def state_of(source: Any, module: Any) -> Any:
    """Reads one checkpoint as a state dict of the module, or returns it if it is a state dict or a module."""
    if not isinstance(source, str | Path):
        return (
            _complete("a state", source, module)
            if isinstance(source, Mapping)
            else checked_module("checkpoints", source)
        )
    path = Path(source)
    if path.suffix != _ENDING or not path.is_file():
        raise ArgumentError("checkpoints", f"files ending in {_ENDING}", str(path))
    try:
        found = library("safetensors.torch").load_file(str(path))
    except Exception as error:
        got = f"{path} ({type(error).__name__}: {' '.join(str(error).split())[:160]})"
        raise ArgumentError("checkpoints", "a valid safetensors file", got) from None
    return _complete(str(path), found, module)


def _complete(what: str, state: Mapping[str, Any], module: Any) -> Mapping[str, Any]:
    extra = sorted(set(state) - set(tensors(module, duplicates=True)))
    missing = sorted(name for name, _ in module.named_parameters() if name not in state)
    if extra or missing:
        parts = [f"with {listed(extra)}"] if extra else []
        parts += [f"without {listed(missing)}"] if missing else []
        raise ArgumentError("checkpoints", "the names of the module", f"{what} {' and '.join(parts)}")
    return state


def _natural(path: Path) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]
