"""Loads `FILE.py:FACTORY`: a model, its initial parameters, data, optimizer and loss."""

import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax

from taylornets import _checks
from taylornets._trees import Line

WHERE = "where"  # FILE.py:FACTORY, as in `build`
_EQUINOX = "an Equinox module"
FORMS = (
    "(f, params0, data, optimizer, loss), or (model, data, optimizer, loss) or a model alone, an Equinox or Flax module"
)


@dataclass(frozen=True)
class UserModel:
    """The return value of a factory.

    Attributes:
        f: the model `f(params, x)`, applied to a batch.
        params: the initial parameters.
        data: as returned by the factory, or None.
        optimizer: an optax optimizer.
        loss: a name or a function, or None if not given.
        kind: description of the model.
    """

    f: Callable[..., Any]
    params: Any
    data: Any
    optimizer: Any
    loss: Any
    kind: str


@dataclass(frozen=True)
class FrameworkModel:
    """A framework module that has not yet been converted to a function of parameters and inputs.

    Attributes:
        module: Equinox or Flax module.
        data: as in `UserModel`.
        optimizer: an optax optimizer.
        loss: as in `UserModel`.
    """

    module: Any
    data: Any
    optimizer: Any
    loss: Any


@dataclass(frozen=True)
class TorchModel:
    """Two states of a PyTorch module, from a factory or from folders.

    Attributes:
        before: the module with the initial weights.
        after: a module, a state dict, or checkpoints as in `tn.torch.regime_path`.
        inputs: probe inputs.
        kind: description of the model.
    """

    before: Any
    after: Any
    inputs: Any
    kind: str


def build(where: str, learning_rate: float) -> UserModel | FrameworkModel | TorchModel:
    """Calls the factory.

    Args:
        where: `FILE.py:FACTORY`.
        learning_rate: learning rate of the default optimizer, SGD with momentum 0.9, for a model without one.

    Returns:
        The return value, by its form.

    Raises:
        ArgumentError: for a file or factory that is missing or raises, or a return value of another form.
    """
    file, _, name = where.rpartition(":")
    if not file or not name.isidentifier():
        raise _checks.ArgumentError(
            WHERE, "a file and a function in it, such as model.py:factory", _checks.short(where)
        )
    path = Path(file)
    module = _imported(path)
    factory = getattr(module, name, None)
    if not callable(factory):
        defined = [key for key, value in vars(module).items() if callable(value) and _own(value, module)]
        got = f"no function {name!r}" if factory is None else f"{name}, a {type(factory).__name__}"
        advice = f"The file defines {', '.join(defined[:8])}." if defined else ""
        raise _checks.ArgumentError(WHERE, f"a function {name} in {path}", got, advice)
    found = _called(factory, path, "a factory that returns " + FORMS)
    if isinstance(found, tuple) and len(found) == 3 and is_torch(found[0]):
        return TorchModel(*found, "a PyTorch module")
    if is_torch(found) or (isinstance(found, tuple) and found and is_torch(found[0])):
        got = (
            "a PyTorch module alone"
            if is_torch(found)
            else f"a tuple of {len(found)} that begins with a PyTorch module"
        )
        expected = "(before, after, inputs): a module, another state of it (or a folder of checkpoints), probe inputs"
        raise _checks.ArgumentError(WHERE, expected, got)
    if isinstance(found, tuple) and len(found) == 5:
        f, params, data, optimizer, loss = found
        if not callable(f):
            raise _checks.ArgumentError(WHERE, "a function f(params, x) as first element", f"a {type(f).__name__}")
        return UserModel(f, params, data, _optimizer(optimizer), loss, "a function of parameters and inputs")
    if isinstance(found, tuple) and len(found) == 4 and framework(found[0]):
        return FrameworkModel(found[0], found[1], _optimizer(found[2]), found[3])
    if framework(found):
        return FrameworkModel(found, None, optax.sgd(learning_rate, momentum=0.9), None)
    got = f"a tuple of {len(found)}" if isinstance(found, tuple) else f"a {type(found).__name__}"
    raise _checks.ArgumentError(WHERE, f"a factory that returns {FORMS}", got, "Check its return statement.")


def _own(value: Any, module: ModuleType) -> bool:
    return getattr(value, "__module__", None) == module.__name__ and not isinstance(value, type)


def _imported(path: Path) -> ModuleType:
    """Imports the user's file as a module; it can import files in the same folder."""
    if path.suffix != ".py" or not path.is_file():
        got = f"{path}, which is not one" if path.exists() else f"{path}, which does not exist"
        raise _checks.ArgumentError(WHERE, "a Python file", got, "`write_template` writes a starter file.")
    name = f"taylornets_diagnosed_{path.stem}"
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise _checks.ArgumentError(WHERE, "a Python file", str(path))
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look up their module there
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    _called(
        lambda: specification.loader and specification.loader.exec_module(module), path, f"a file {path.name} that runs"
    )
    return module


def _called(function: Callable[[], Any], path: Path, expected: str) -> Any:
    """Runs the user's code; an exception becomes a one-line message that names the location."""
    try:
        return function()
    except _checks.ArgumentError:
        raise
    except (Exception, SystemExit) as error:
        raise _checks.ArgumentError(WHERE, expected, said(error, path)) from None


def said(error: BaseException, path: Path | None = None) -> str:
    """Formats an exception of the user's code as one line: type, message, and the last line number in the user's file."""
    text = " ".join(str(error).split()).rstrip(".")
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    if path is not None:
        here = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).name == path.name]
        line = here[-1] if here else line
    place = f" in line {line} of {path.name}" if line and path is not None else ""
    return f"{type(error).__name__}{': ' + text[:300] if text else ''}{place}"


def _optimizer(found: Any) -> Any:
    if not (hasattr(found, "init") and hasattr(found, "update")):
        expected = "an optax optimizer, such as optax.sgd(0.1), before the loss"
        raise _checks.ArgumentError(WHERE, expected, f"a {type(found).__name__}")
    return found


def _flax(part: str) -> Any:
    """Returns a module of Flax if the user's file has imported it."""
    return sys.modules.get(f"flax.{part}")


def is_torch(model: Any) -> bool:
    """Returns whether a value is a PyTorch module; PyTorch is imported only if the user's file has done so."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def framework(model: Any) -> str:
    """Returns `"Equinox"`, `"Flax NNX"`, `"Flax Linen"`, or an empty string."""
    if isinstance(model, eqx.Module) and callable(model):
        return "Equinox"
    for part, name in (("nnx", "Flax NNX"), ("linen", "Flax Linen")):
        flax = _flax(part)
        if flax is not None and isinstance(model, flax.Module):
            return name
    return ""


def opened(found: FrameworkModel, x: Any, seed: int) -> UserModel:
    """Converts a module to a function of parameters and a batch.

    Equinox: the parameters are the module itself, in inference mode, and it is called on one example at a time.
    Flax NNX: the parameters are its `nnx.Param`s, in evaluation mode; it is called on the batch. Flax Linen: the
    parameters are the collection "params" of `module.init(key, x)`; it is applied to the batch.

    Args:
        found: the module with its data, optimizer and loss.
        x: example inputs, from which Linen infers shapes.
        seed: random seed of Linen's initialization.
    """
    kind = framework(found.module)
    if kind == "Equinox":
        model = eqx.nn.inference_mode(found.module)
        return UserModel(_one_by_one, model, found.data, found.optimizer, found.loss, _EQUINOX)
    if kind == "Flax NNX":
        nnx = _flax("nnx")
        found.module.eval()
        graph, params, rest = nnx.split(found.module, nnx.Param, ...)

        def merged(p: Any, x: Any) -> Any:
            return nnx.merge(graph, p, rest)(x)

        return UserModel(merged, nnx.to_pure_dict(params), found.data, found.optimizer, found.loss, "a Flax NNX module")
    variables = dict(found.module.init(jax.random.key(seed), x))
    params = variables.pop("params", {})

    def applied(p: Any, x: Any) -> Any:
        return found.module.apply({"params": p, **variables}, x)

    return UserModel(applied, params, found.data, found.optimizer, found.loss, "a Flax Linen module")


def as_called(subject: UserModel, saved: Any) -> Any:
    """Returns saved parameters as the model is called with them: an Equinox module in inference mode, however it was saved."""
    return eqx.nn.inference_mode(saved) if subject.kind == _EQUINOX else saved


def _one_by_one(model: Any, x: Any) -> Any:
    return jax.vmap(model)(x)


def check_runs(subject: UserModel, x: Any, path: Path) -> Any:
    """Returns the output shapes for some inputs; an exception in the model becomes a one-line message."""
    shapes = ", ".join(f"{np.shape(leaf)} {getattr(leaf, 'dtype', '')}" for leaf in jax.tree.leaves(x))
    here = Line.through(subject.f, subject.params, None).here()
    try:
        return jax.eval_shape(here.model((x,)), here.start)
    except _checks.ArgumentError:
        raise
    except Exception as error:
        raise _checks.ArgumentError(WHERE, f"a model that takes inputs of shape {shapes}", said(error, path)) from None
