"""One cell of a grid: a fully specified learning problem and model, with random keys derived from its fields."""

import itertools
import json
import zlib
from dataclasses import asdict, dataclass, fields
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from taylornets import _checks, activations, models
from taylornets.learning._data import INPUTS, ON_SPHERE, target_of
from taylornets.randomization import SignedMoments

KERNELS = ("ntk", "finite_ntk")
# Arguments of `taylornets.models.get` for the models with special names here.
_HIGHER: dict[str, Any] = {"cubic": 3, "quartic": 4, "randomized3": SignedMoments(3)}
PENALTIES = {
    "linear": (1e-2, 1e-3, 1e-4, 1e-5),
    "full": (1e-2, 1e-3, 1e-4, 1e-5),
    "quadratic": (3e-5, 3e-6, 3e-7, 3e-8),
    "randomized": (3e-6, 3e-7, 3e-8),
    "cubic": (3e-5, 3e-6, 3e-7, 3e-8, 3e-9),
    "quartic": (3e-5, 3e-6, 3e-7, 3e-8, 3e-9),
    "randomized3": (3e-5, 3e-6, 3e-7, 3e-8, 3e-9),
    "ntk": (1e-3, 1e-4, 1e-5, 1e-6),
    "finite_ntk": (1e-3, 1e-4, 1e-5, 1e-6),
}
MODELS = tuple(PENALTIES)


@dataclass(frozen=True)
class Cell:
    """A run: a model trained on `n` examples, with the penalty selected by validation and the error on test examples.

    Args:
        d: dimension of the inputs.
        n: training examples.
        seed: seed of data and network.
        target: a name of `TARGETS`, or a formula in `z1`, `z2`, …, `z_j = √d x_j`; scaled to mean square 1.
        inputs: `"sphere"`, `"cube"`, `"gaussian"` or `"anisotropic"`.
        decay: decay exponent of the anisotropic spectrum `Λ_jj ∝ j^{-decay}`.
        noise: standard deviation of Gaussian noise on the training and validation targets.
        model: `"ntk"` (infinite width), `"finite_ntk"`, `"linear"`, `"quadratic"`, `"randomized"`, `"full"`, `"cubic"` and
            `"quartic"` (single orders 3 and 4), or `"randomized3"` (signed moments of order 3).
        activation: a name of `taylornets.activations`.
        width: hidden units, even; ignored for `"ntk"`.
        penalties: the path, in decreasing order; empty for the default path of the model.
        validation: number of examples that select the penalty, not counted in `n`.
        test: number of test examples.
        padded: number of rows after padding the training data, so that many `n` compile once; 0 for no padding.
    """

    d: int
    n: int
    seed: int
    target: str = "product"
    inputs: str = "sphere"
    decay: float = 0.0
    noise: float = 0.0
    model: str = "quadratic"
    activation: str = "cubic_relu"
    width: int = 256
    penalties: tuple[float, ...] = ()
    validation: int = 500
    test: int = 2000
    padded: int = 0

    def __post_init__(self):
        for name, least in (
            ("d", 1),
            ("n", 1),
            ("seed", 0),
            ("width", 2),
            ("validation", 1),
            ("test", 2),
            ("padded", 0),
        ):
            _checks.integer(name, getattr(self, name), least)
        _, directions = target_of(self.target)
        _checks.choice("inputs", self.inputs, INPUTS)
        _checks.choice("model", self.model, MODELS)
        object.__setattr__(self, "activation", activations.get(self.activation).name)
        if self.width % 2:
            raise _checks.ArgumentError("width", "an even number, since units come in pairs", str(self.width))
        if self.d < directions:
            raise _checks.ArgumentError("d", f"at least {directions} for {self.target!r}", str(self.d))
        for name in ("decay", "noise"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise _checks.ArgumentError(name, "a number ≥ 0", repr(value))
            object.__setattr__(self, name, float(value))
        if self.model == "ntk" and self.inputs not in ON_SPHERE:
            needed = "inputs on a sphere for the NTK of infinite width"
            raise _checks.ArgumentError("inputs", needed, repr(self.inputs), "Use model = 'finite_ntk'.")
        self._check_penalties()

    def _check_penalties(self) -> None:
        penalties = tuple(self.penalties) or PENALTIES[self.model]
        for penalty in penalties:
            _checks.positive("penalties", penalty)
        if any(later >= earlier for earlier, later in itertools.pairwise(penalties)):
            raise _checks.ArgumentError("penalties", "a decreasing path of penalties", str(list(penalties)))
        object.__setattr__(self, "penalties", tuple(map(float, penalties)))

    @property
    def meaning(self) -> models.Model:
        """The trained model; not defined for kernels."""
        return models.get(_HIGHER.get(self.model, self.model))

    @property
    def name(self) -> str:
        """The cell as one line of canonical JSON: equal cells have equal names on every machine."""
        return json.dumps(asdict(self), sort_keys=True)

    def key(self, *names: str) -> PRNGKeyArray:
        """Returns a random key derived only from the named fields, so that cells that share them share the random draws."""
        chosen = json.dumps([names, [getattr(self, name) for name in names]])
        return jax.random.fold_in(jax.random.key(self.seed), zlib.crc32(chosen.encode()))

    @classmethod
    def from_name(cls, name: str) -> "Cell":
        """Parses a name; the inverse of `name`."""
        values = json.loads(name)
        return cls(**values | {"penalties": tuple(values["penalties"])})


FIELDS = {field.name: field for field in fields(Cell)}


def describe(cell: Cell) -> dict[str, Any]:
    """Returns the fields of a cell as columns of a table."""
    return asdict(cell) | {"penalties": " ".join(f"{penalty:g}" for penalty in cell.penalties)}
