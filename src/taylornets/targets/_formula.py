"""Targets from formulas such as `"z1*z2 + he3(z3)"`, parsed without evaluating any other code."""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from taylornets import _checks
from taylornets.targets._function import LARGEST, FunctionTarget, from_function

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "abs": jnp.abs, "cos": jnp.cos, "erf": jax.lax.erf, "exp": jnp.exp, "relu": lambda t: jnp.maximum(t, 0), "sign": jnp.sign,
    "sin": jnp.sin, "tanh": jnp.tanh,
}  # fmt: skip
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b, ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}  # fmt: skip
_LONGEST, _HIGHEST = 400, 64
_EXAMPLE = "Example: 'z1*z2 + he3(z3)'. Functions: he1, he2, …, " + ", ".join(sorted(_FUNCTIONS)) + "."


@dataclass(frozen=True)
class Formula:
    """A parsed formula.

    Attributes:
        text: the formula.
        variables: the indices `j` of its variables `z_j`, from 1, ascending.
    """

    text: str
    variables: tuple[int, ...]

    def __call__(self, *columns: Any) -> Any:
        """Returns the values for one array per variable."""
        names = {f"z{j}": column for j, column in zip(self.variables, columns, strict=True)}
        return _evaluate(ast.parse(self.text, mode="eval").body, names)


def formula(text: Any, argument: str = "formula") -> Formula:
    """Parses a formula.

    Args:
        text: the formula, in `z1`, `z2`, …, numbers, `+ - * / **`, and functions.
        argument: name for messages.

    Returns:
        The formula, a function of its variables in ascending order.

    Raises:
        ArgumentError: for other syntax, names, or more than four variables.
    """
    expected = "a formula in z1, z2, …"
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
        got = f"{len(text)} characters" if isinstance(text, str) and text.strip() else _checks.shown(text)
        raise _checks.ArgumentError(argument, f"{expected} of at most {_LONGEST} characters", got, _EXAMPLE)
    text = text.strip()
    try:
        body = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _checks.ArgumentError(argument, expected, repr(text), _EXAMPLE) from None
    found: set[int] = set()
    _check(body, found, argument)
    if not found or len(found) > LARGEST:
        raise _checks.ArgumentError(argument, f"1 to {LARGEST} variables", f"{len(found)} in {text!r}", _EXAMPLE)
    return Formula(text, tuple(sorted(found)))


def _check(node: ast.AST, found: set[int], argument: str) -> None:
    """Collects the variables of an expression; raises for anything but arithmetic."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return
    if isinstance(node, ast.Name) and re.fullmatch(r"z[1-9]\d{0,5}", node.id):
        found.add(int(node.id[1:]))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        _check(node.operand, found, argument)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        if isinstance(node.op, ast.Pow) and not _is_exponent(node.right):
            got, advice = ast.unparse(node.right), "For other powers, use exp."
            raise _checks.ArgumentError(argument, f"integer exponents from 0 to {_HIGHEST}", got, advice)
        _check(node.left, found, argument)
        _check(node.right, found, argument)
    elif isinstance(node, ast.Call) and _function(node) and len(node.args) == 1 and not node.keywords:
        _check(node.args[0], found, argument)
    else:
        advice = "Powers are written **. " + _EXAMPLE if isinstance(node, ast.BinOp) else _EXAMPLE
        raise _checks.ArgumentError(argument, "a formula in z1, z2, …", repr(ast.unparse(node)), advice)


def _is_exponent(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and 0 <= node.value <= _HIGHEST


def _function(node: ast.Call) -> Callable[[Any], Any] | None:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    hermite = re.fullmatch(r"he([1-9]\d?)", name)
    if hermite and int(hermite[1]) <= _HIGHEST:
        return lambda t: _hermite(int(hermite[1]), t)
    return _FUNCTIONS.get(name)


def _hermite(k: int, t: Any) -> Any:
    """Evaluates `He_k` by the three-term recurrence."""
    previous, current = jnp.ones_like(t), t
    for q in range(1, k):
        previous, current = current, t * current - q * previous
    return current


def _evaluate(node: ast.AST, names: dict[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.UnaryOp):
        value = _evaluate(node.operand, names)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_evaluate(node.left, names), _evaluate(node.right, names))
    assert isinstance(node, ast.Call)
    function = _function(node)
    assert function is not None
    return function(jnp.asarray(_evaluate(node.args[0], names)))


def from_formula(formula: str, *, inputs: int, degree: int = 8) -> FunctionTarget:
    """Creates a target from a formula in the coordinates `z_j = x_j`.

    Args:
        formula: arithmetic in `z1`, `z2`, … (at most four of them) with `+ - * / **`, numbers, and the functions `abs`, `cos`,
            `erf`, `exp`, `relu`, `sign`, `sin`, `tanh` and `he1`, `he2`, … (Hermite polynomials).
        inputs: `d`, the dimension of `x`.
        degree: as in `from_function`.

    Returns:
        The target, callable on `x` of shape `(n, d)`.

    Raises:
        ArgumentError: for other syntax, a variable beyond `z_d`, and as in `from_function`.

    Source: theory 17.

    Example:
        >>> import jax.numpy as jnp, taylornets as tn
        >>> target = tn.targets.from_formula("z1*z2 + he3(z2)", inputs=4)
        >>> target(jnp.array([[3.0, 2.0, 0.0, 0.0]])).tolist()  # 3·2 + 2³ - 3·2
        [[8.0]]
    """
    parsed = _parse(formula)
    d = _checks.integer("inputs", inputs, 1)
    if parsed.variables[-1] > d:
        raise _checks.ArgumentError("formula", f"variables z1 to z{d} for {d} inputs", f"z{parsed.variables[-1]}")
    directions = np.zeros((len(parsed.variables), d))
    directions[np.arange(len(parsed.variables)), np.array(parsed.variables) - 1] = 1
    return from_function(parsed, jnp.asarray(directions), degree=degree, label=repr(parsed.text))


_parse = formula  # `from_formula` has an argument of this name
