"""Rules for programs that run on every device of a mesh (`shard_map`, including `pmap`)."""

from collections.abc import Sequence
from typing import Any

import jax

from taylornets.series._engine import RuleContext, evaluate_closed, register
from taylornets.series._series import Value
from taylornets.series._versions import body, manual_axes


@register("call", "shard_map")
def _shard_map(ctx: RuleContext, equation: Any, values: Sequence[Value]) -> Sequence[Value]:
    # Coefficients have the shape of their series and are sharded in the same way.
    params, program = equation.params, body(equation)

    def run(*operands: Value) -> tuple[Value, ...]:
        return tuple(evaluate_closed(ctx, program, operands))

    mapped = jax.shard_map(
        run,
        mesh=params["mesh"],
        in_specs=tuple(params["in_specs"]),
        out_specs=tuple(params["out_specs"]),
        check_vma=params["check_vma"],
        axis_names=frozenset(manual_axes(params)),
    )
    return mapped(*values)
