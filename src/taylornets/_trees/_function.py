"""Calls and validates the user's model; each kind of invalid model has one error message.

Every public function that takes a model calls it through `run` and validates it with the functions below, so that the same
mistake raises the same error everywhere.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from taylornets._checks import ArgumentError, shown, together
from taylornets._trees._leaves import leaf_name, moves

_EXPECTED = "a function f(params, *args, **kwargs)"
_TORCH = (
    "Use tn.torch.regime, or f, params, buffers = tn.torch.from_module(module, inputs) for JAX functions and arrays."
)


def _library(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _is_a(value: Any, module: str, name: str) -> bool:
    """Returns whether a value is an instance of a class of another library, without importing that library."""
    return any(c.__module__.startswith(module) and c.__name__ == name for c in type(value).__mro__)


def refuse_unusable(f: Any, params: Any, args: tuple[Any, ...] | None = None, kwargs: Any = None) -> None:
    """Raises if the model is not a function of parameters, such as a module object or a PyTorch model.

    Args:
        f: the model.
        params: its parameters.
        args: further arguments, if known; the signature is then checked too.
        kwargs: keyword arguments.
    """
    if _is_a(f, "torch", "Module"):
        raise ArgumentError("f", _EXPECTED + " of JAX arrays", "a PyTorch module", _TORCH)
    if _is_a(f, "flax.linen", "Module"):
        advice = "Pass lambda params, x: model.apply(params, x), with params = model.init(key, x)."
        raise ArgumentError("f", _EXPECTED, f"the Linen module {type(f).__name__}", advice)
    if _is_a(f, "flax.nnx", "Module"):
        advice = "Pass graph, params = nnx.split(model) and lambda params, x: nnx.merge(graph, params)(x)."
        raise ArgumentError("f", _EXPECTED, f"the NNX module {type(f).__name__}", advice)
    if isinstance(f, tuple) and hasattr(f, "apply") and hasattr(f, "init"):
        raise ArgumentError("f", _EXPECTED, f"a {type(f).__name__} of init and apply", "Pass its apply.")
    if not callable(f):
        swapped = " Are f and params swapped?" if callable(params) else ""
        raise ArgumentError("f", _EXPECTED, shown(f), swapped.strip())
    if isinstance(f, type):
        raise ArgumentError("f", _EXPECTED, f"the class {f.__name__}", "Pass a function of an instance's parameters.")
    for name, tree in (("params", params), *((f"argument {i + 1}", a) for i, a in enumerate(args or ()))):
        if any(_library(leaf) == "torch" for leaf in jax.tree_util.tree_leaves(tree)):
            raise ArgumentError(name, "JAX or NumPy arrays", "tensors of PyTorch (torch)", _TORCH)
    if args is not None:
        _refuse_arity(f, args, kwargs or {})
        together({"params": params} | inputs_by_name(f, args, kwargs or {}))


def _refuse_arity(f: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):  # built-in functions have no signature
        return
    try:
        signature.bind(None, *args, **kwargs)
    except TypeError as error:
        got = f"one with the signature {str(signature)[:80]} ({error})"
        raise ArgumentError("f", f"a function of params and {len(args)} more arguments", got) from None


def run(f: Callable[..., Any], params: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Evaluates the model and returns its outputs, with every leaf a JAX array.

    The model receives copies of all containers, so that it may modify them (`batch.pop("labels")`). A draw from NumPy's global
    generator raises, because tracing would freeze it into the program.
    """
    refuse_unusable(f, params, args, kwargs)
    fresh_args, fresh_kwargs = jax.tree_util.tree_map(lambda leaf: leaf, (args, dict(kwargs)))
    before = _generator()
    try:
        out = f(params, *fresh_args, **fresh_kwargs)
    except jax.errors.UnexpectedTracerError as error:
        refuse_kept_tracer(error)
    except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        _refuse_swapped(f, params, args, kwargs, error)
        raise
    if _generator() != before:
        advice = "Draw with jax.random and a key among the arguments."
        raise ArgumentError("f", "a pure function", "one that draws from NumPy's global random generator", advice)
    return _arrays(out)


def refuse_kept_tracer(error: Exception | None) -> NoReturn:
    """Raises for a model that stores traced values, for example by splitting a global random key."""
    advice = "Pass random keys as arguments and return state instead of storing it."
    got = "one that stores traced values in a global variable (does it split a global random key?)"
    raise ArgumentError("f", "a pure function", got, advice) from error


def _generator() -> tuple[Any, ...]:
    """Returns the state of NumPy's global generator. Python's generator is ignored: run-time type checkers draw from it."""
    kind, words, *rest = np.random.get_state()  # noqa: NPY002 (the global generator is monitored on purpose)
    return kind, np.asarray(words).tobytes(), *rest


def _refuse_swapped(f: Any, params: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], error: Exception) -> None:
    """Raises if the function fails as called but succeeds with its first two arguments swapped."""
    if isinstance(error, ArgumentError | jax.errors.JAXTypeError | jax.errors.JAXIndexError) or not args:
        return
    if _shapes(lambda p, x: f(p, x, *args[1:], **kwargs), params, args[0]) is not None:
        return  # the failure comes from a derivative or an enclosing evaluation
    out = _shapes(lambda p, x: f(x, p, *args[1:], **kwargs), params, args[0])
    if out is None:
        return
    if all(hasattr(leaf, "dtype") for leaf in jax.tree_util.tree_leaves(out)):
        said = " ".join(str(error).split())[:160]
        got = f"one that runs only with its first two arguments swapped ({type(error).__name__}: {said})"
        raise ArgumentError("f", "a function that takes params first", got, "Swap them.") from error


def _shapes(function: Callable[..., Any], *operands: Any) -> Any:
    """Returns the output shapes of a function, or None if it raises."""
    try:
        return jax.eval_shape(function, *operands)
    except Exception:  # the user's code can raise anything
        return None


def _arrays(out: Any) -> Any:
    """Converts every leaf of the outputs to a JAX array; raises for non-numeric leaves."""
    expected = "a model that returns arrays (or a tree of them)"
    with_paths, structure = jax.tree_util.tree_flatten_with_path(out)
    if not with_paths:
        raise ArgumentError(
            "f", expected, f"{shown(out)}, which contains no array", "Does the function end with a return statement?"
        )
    for path, leaf in with_paths:
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
            where = jax.tree_util.keystr(path) or "its only output"
            advice = _TORCH if _library(leaf) == "torch" else "Return only arrays; keep other values outside the model."
            raise ArgumentError("f", expected, f"a {type(leaf).__name__} at {where}", advice)
    return jax.tree_util.tree_unflatten(structure, [jnp.asarray(leaf) for _, leaf in with_paths])


def refuse_outputs(name: str, outputs: Any, examples: int) -> None:
    """Raises unless the outputs are one real array with one example per row; inspects shapes and dtypes only.

    Args:
        name: name of the model in the caller's signature.
        outputs: outputs of the model, arrays or their shapes.
        examples: the expected number of rows.
    """
    expected = f"a model that returns one real array of shape ({examples}, ...), one example per row"
    leaves = jax.tree_util.tree_leaves(outputs)
    if len(leaves) != 1 or not hasattr(outputs, "shape"):
        kind = f"a {type(outputs).__name__} of {len(leaves)} arrays"
        raise ArgumentError(name, expected, kind, "Return the logits (or predictions) alone.")
    if not jnp.issubdtype(outputs.dtype, jnp.floating):
        labels, parts = (
            "Return the logits, not the predicted labels.",
            "Return real and imaginary parts as two outputs.",
        )
        advice = parts if jnp.issubdtype(outputs.dtype, jnp.complexfloating) else labels
        raise ArgumentError(name, expected, f"dtype {outputs.dtype}", advice)
    if 0 in outputs.shape:
        raise ArgumentError(name, expected, f"shape {outputs.shape}", "There must be at least one output.")
    if outputs.ndim == 0 or outputs.shape[0] != examples:
        advice = f"For a model of one example, pass lambda params, x: jax.vmap(lambda one: {name}(params, one))(x)."
        if outputs.ndim > 1 and outputs.shape[-1] == examples:
            advice = "The examples are on the last axis: return the transpose."
        raise ArgumentError(name, expected, f"shape {outputs.shape}", advice)


def refuse_batch_axis(name: str, model: Callable[[Any], Any], x: Any, outputs: Any) -> None:
    """Raises if the first axis of the outputs matches the batch size only by coincidence.

    One more example must add one output row. Models that accept a single batch size are not checked.

    Args:
        name: name of the model in the caller's signature.
        model: the outputs as a function of the inputs; it is traced, not run.
        x: inputs, a tree of arrays with one example per row.
        outputs: shapes of the outputs for `x`, already validated by `refuse_outputs`.
    """
    count = outputs.shape[0]

    def longer(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct((leaf.shape[0] + 1, *leaf.shape[1:]), leaf.dtype)

    try:
        more = jax.eval_shape(model, jax.tree_util.tree_map(longer, x))
    except Exception:  # user code: any exception means that the model rejects this batch size
        return
    if hasattr(more, "shape") and more.shape[:1] != (count + 1,):
        got = f"shape {outputs.shape} for {count} examples and {more.shape} for {count + 1}"
        advice = "The first axis must index the examples: is the output transposed, or pooled over the batch?"
        raise ArgumentError(name, "a model that returns one row per example", got, advice)


def concrete(tree: Any) -> bool:
    """Returns whether all arrays of a tree are concrete, that is, not traced."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree_util.tree_leaves(tree))


def refuse_nan(outputs: Any, inputs: Mapping[str, Any], name: str = "f") -> None:
    """Raises for NaN in the outputs at the initial parameters, naming an input that contains NaN, or else the model.

    Args:
        outputs: outputs at finite parameters; traced outputs pass, and inputs are inspected only if the outputs contain NaN.
        inputs: arguments of the model under the names used by the caller.
        name: name of the model.
    """
    wrong = _count(outputs, jnp.isnan)
    if not wrong:
        return
    for argument, tree in inputs.items():
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            count = _count(leaf, jnp.isnan) or _count(leaf, jnp.isinf)
            if count:
                kind = "NaN" if _count(leaf, jnp.isnan) else "infinite values"
                at = f" at {leaf_name(path)}" if path else ""
                got = f"{count} {kind} of {np.size(leaf)}{at}, and {wrong} NaN in the outputs"
                raise ArgumentError(argument, f"inputs without {kind}", got, "Remove or impute them.")
    total = sum(np.size(leaf) for leaf in jax.tree_util.tree_leaves(outputs))
    advice = "Look for 0/0, the logarithm or root of a negative number, or an overflow in the model."
    got = f"{wrong} NaN of {total} from finite parameters and inputs without NaN"
    raise ArgumentError(name, "a model without NaN in its outputs at the initial parameters", got, advice)


def refuse_nan_inputs(model: Callable[[Any], Any], start: Any, inputs: Mapping[str, Any]) -> None:
    """Applies `refuse_nan` without other computation: runs the model once, and only if an input contains NaN."""
    if any(_count(tree, jnp.isnan) for tree in inputs.values()):
        refuse_nan(model(start), inputs)


def _count(tree: Any, which: Callable[[Any], Any]) -> int:
    """Counts the NaN or infinite entries in the concrete floating-point arrays of a tree."""
    total = 0
    for leaf in jax.tree_util.tree_leaves(tree):
        if moves(leaf) and not isinstance(leaf, Tracer):
            with jax.ensure_compile_time_eval():
                total += int(jnp.sum(which(jnp.asarray(leaf))))
    return total


def ask_for_bytes(argument: str, expected: str, needed: float, limit: float, advice: str) -> None:
    """Raises before an allocation that exceeds a memory limit.

    Args:
        argument: the argument that determines its size.
        expected: description of an allocation that fits.
        needed: estimated size in bytes.
        limit: limit in bytes.
        advice: which arguments reduce the size.
    """
    if needed > limit:
        got = f"about {needed / 1e9:.3g} GB, more than the {limit / 1e9:.3g} GB allowed"
        raise ArgumentError(
            argument, expected, got, f"{advice} This is an estimate: max_bytes=float('inf') overrides it."
        )


def inputs_by_name(f: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Maps the arguments of a model to the names in its signature, for messages."""
    names: list[str] = []
    try:
        kinds = inspect.signature(f).parameters.values()
        names = [p.name for p in kinds if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][1:]
    except (TypeError, ValueError):
        pass
    positional = {names[i] if i < len(names) else f"input {i + 1}": a for i, a in enumerate(args)}
    return positional | dict(kwargs)
