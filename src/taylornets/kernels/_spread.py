"""Examples whose rows are divided over several devices, and programs in which every device processes its own rows."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from taylornets._checks import automatic


@dataclasses.dataclass(frozen=True)
class Spread:
    """Examples whose rows are divided over the axes of a mesh.

    Attributes:
        x: the examples, on automatic axes.
        mesh: the devices.
        axes: the axes that divide the rows.
    """

    x: Any
    mesh: Mesh
    axes: tuple[str, ...]

    @staticmethod
    def of(x: Any) -> "Spread | None":
        """Returns the examples, or None if their rows are not divided, or not all in the same way."""
        x = jax.tree.map(automatic, x)
        found = {_rows_of(leaf) for leaf in jax.tree.leaves(x)}
        if len(found) != 1 or None in found:
            return None
        mesh, axes = next(place for place in found if place is not None)
        spread = Spread(x, mesh, axes)
        return spread if spread.count > 1 else None

    @property
    def count(self) -> int:
        """The number of devices, or groups of devices with the same rows."""
        return math.prod(self.mesh.shape[axis] for axis in self.axes)

    @property
    def rows(self) -> PartitionSpec:
        """The partition of arrays that have the rows along their first axis."""
        return PartitionSpec(self.axes)

    @property
    def is_local(self) -> bool:
        """Whether all devices belong to this process."""
        return all(leaf.is_fully_addressable for leaf in jax.tree.leaves(self.x))

    def place(self, values: Array) -> Array:
        """Divides an array like the examples; on several processes, every process has the whole array."""
        sharding = NamedSharding(self.mesh, self.rows)
        if self.is_local:
            return jax.device_put(values, sharding)
        known = np.asarray(values)
        return jax.make_array_from_callback(known.shape, sharding, lambda place: known[place])

    def mapped(self, function: Callable[..., Any], *given: PartitionSpec) -> Any:
        """Compiles a function that every device applies to its own part; the results have the rows along their first axis."""
        # The models are written by users: their loops need not declare which values vary between the devices.
        return jax.jit(jax.shard_map(function, mesh=self.mesh, in_specs=given, out_specs=self.rows, check_vma=False))

    def joined(self, function: Callable[..., Array]) -> Callable[..., Array]:
        """Compiles a function of whole arrays whose result is divided by rows."""
        return jax.jit(function, out_shardings=NamedSharding(self.mesh, self.rows))


def _rows_of(value: Any) -> tuple[Mesh, tuple[str, ...]] | None:
    """The mesh of an array and the axes that divide its rows."""
    if not isinstance(value, jax.Array) or isinstance(value, Tracer):
        return None
    sharding = value.sharding
    if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh) or not sharding.spec:
        return None
    axes = sharding.spec[0]
    if axes is None:
        return None
    return sharding.mesh, (axes,) if isinstance(axes, str) else tuple(axes)
