"""Parameter trees and the user's model: moving leaves, fixed leaves, and input validation."""

from taylornets._trees._function import (
    ask_for_bytes,
    concrete,
    inputs_by_name,
    refuse_batch_axis,
    refuse_kept_tracer,
    refuse_nan,
    refuse_nan_inputs,
    refuse_outputs,
    refuse_unusable,
    run,
)
from taylornets._trees._leaves import (
    displacements,
    is_array,
    leaf_name,
    moves,
    refuse_not_finite,
    refuse_other_tree,
    rows,
    same,
)
from taylornets._trees._line import Line, Segment
from taylornets._trees._module import HashableModule
from taylornets._trees._padding import padded_size

__all__ = [
    "HashableModule", "Line", "Segment", "ask_for_bytes", "concrete", "displacements", "inputs_by_name", "is_array",
    "leaf_name", "moves", "padded_size", "refuse_batch_axis", "refuse_kept_tracer", "refuse_nan", "refuse_nan_inputs",
    "refuse_not_finite", "refuse_other_tree", "refuse_outputs", "refuse_unusable", "rows", "run", "same",
]  # fmt: skip
