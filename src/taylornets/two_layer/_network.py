"""The two-layer network of theory 1 and Bai & Lee (2020), section 2: initialization, full output, Taylor terms."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from taylornets import _checks, _programs, _trees, activations
from taylornets.two_layer._prepared import Prepared, prepare


@_programs.program
def _drawn(key: PRNGKeyArray, sizes: tuple[int, int, int], symmetric: bool, dtype: DTypeLike) -> tuple[Array, Array]:
    """Draws standard normal weights and signs in one program, which compiles faster than its parts."""
    m, d, c = sizes
    key_w, key_a = jax.random.split(key)
    drawn = m // 2 if symmetric else m
    w0 = jax.random.normal(key_w, (drawn, d), dtype)
    a = jax.random.rademacher(key_a, (drawn, c), dtype)
    return (jnp.concatenate([w0, w0]), jnp.concatenate([a, -a])) if symmetric else (w0, a)


class TwoLayerNetwork(_trees.HashableModule):
    """A two-layer network `f(W; x) = m^{-1/2} Σ_r a_r σ(⟨w0_r + w_r, x⟩)` and its Taylor terms in the displacement `W`.

    Only the displacement `w` is trained; `w0` and `a` are fixed. The term of order `k` is
    `f^(k)(W; x) = m^{-1/2} Σ_r a_r σ^{(k)}(⟨w0_r, x⟩)/k! · ⟨w_r, x⟩^k`: order 1 is the neural tangent (linearized)
    model, order 2 the quadratic one.

    Args:
        w0: initial weights, shape `(m, d)`.
        a: output signs, shape `(m, outputs)`.
        activation: an activation of `taylornets.activations`.
        symmetric: whether unit `r + m/2` repeats `w0_r` with the signs `-a_r`, so that `f^(0) ≡ 0`.
        input_norm: the bound `B_x` on `‖x‖` that scales `w0`.

    Source: Bai & Lee (2020), section 2.

    Example:
        >>> import jax, taylornets as tn
        >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
        >>> w = 0.1 * jax.random.normal(jax.random.key(1), (8, 3))
        >>> net.term(2, w, jax.numpy.ones((5, 3))).shape
        (5, 1)
    """

    w0: Float[Array, "m d"]
    a: Float[Array, "m outputs"]
    activation: activations.Activation = eqx.field(static=True)
    symmetric: bool = eqx.field(static=True, default=False)
    input_norm: float = eqx.field(static=True, default=1.0)

    @classmethod
    def init(
        cls,
        key: PRNGKeyArray,
        inputs: int,
        width: int,
        outputs: int = 1,
        activation: object = "cubic_relu",
        symmetric: bool = True,
        input_norm: float = 1.0,
        dtype: DTypeLike | None = None,
    ) -> "TwoLayerNetwork":
        """Draws `w0_r ~ N(0, B_x^{-2} I_d)` and signs `a_r` uniform on `{±1}^outputs`.

        Args:
            key: a JAX random key.
            inputs: dimension `d` of an example.
            width: number of hidden units `m`; even when `symmetric`.
            outputs: number of outputs `C`.
            activation: a name of `taylornets.activations.names()`, an activation, or any smooth JAX function.
            symmetric: pair the units: `w0[r + m/2] = w0[r]`, `a[r + m/2] = -a[r]`. Then `f^(0) ≡ 0`.
            input_norm: the bound `B_x > 0` on the norm of an example.
            dtype: floating type of the weights; by default JAX's default floating type.

        Returns:
            The network.

        Raises:
            ArgumentError: for sizes below 1, an odd width with `symmetric`, `input_norm ≤ 0`, an unknown activation.
        """
        d = _checks.integer("inputs", inputs, 1)
        m = _checks.integer("width", width, 1)
        c = _checks.integer("outputs", outputs, 1)
        _checks.positive("input_norm", input_norm)
        if symmetric and m % 2:
            raise _checks.ArgumentError(
                "width",
                "an even number with symmetric=True, since units come in pairs",
                str(m),
                f"Use {m + 1}, or symmetric=False.",
            )
        sigma = activations.get(activation)
        dtype = jnp.dtype(dtype) if dtype is not None else jnp.result_type(float)
        w0, a = _drawn(key, (m, d, c), bool(symmetric), dtype)
        return cls(w0 / jnp.asarray(input_norm, dtype), a, sigma, bool(symmetric), float(input_norm))

    @property
    def inputs(self) -> int:
        """The dimension `d` of an example."""
        return self.w0.shape[1]

    @property
    def width(self) -> int:
        """The number of hidden units `m`."""
        return self.w0.shape[0]

    @property
    def outputs(self) -> int:
        """The number of outputs `C`."""
        return self.a.shape[1]

    @property
    def pairs(self) -> int:
        """The number of distinct initial weight vectors: `m/2` if units come in pairs, otherwise `m`."""
        return self.width // 2 if self.symmetric else self.width

    @property
    def halves(self) -> int:
        """The number of units that share initial weights: 2 if units come in pairs, otherwise 1."""
        return self.width // self.pairs

    @property
    def signs(self) -> Float[Array, "h outputs"]:
        """The output signs of the first unit of every pair, shape `(pairs, outputs)`; the second has their negatives."""
        return self.a[: self.pairs]

    def both_halves(self, first: Array, second: Array | None = None) -> Array:
        """Combines the values of the two units of every pair into values of all `m` units.

        Args:
            first: values of the first units, shape `(pairs, ...)`.
            second: values of the second units, of the same shape; by default equal to `first`.

        Returns:
            Shape `(m, ...)`; `first` itself if units do not come in pairs.

        Example:
            >>> import jax, taylornets as tn
            >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
            >>> bool((net.both_halves(net.signs, -net.signs) == net.a).all())
            True
        """
        if not self.symmetric:
            return first
        return jnp.concatenate([first, first if second is None else second])

    def __call__(self, w: ArrayLike, x: ArrayLike) -> Array:
        """Evaluates the full network at the weights `w0 + w`.

        Args:
            w: displacement, shape `(m, d)`.
            x: examples, shape `(n, d)`.

        Returns:
            Outputs, shape `(n, outputs)`.
        """
        return self.prepare(x, ()).full(w)

    def term(self, k: int, w: ArrayLike, x: ArrayLike) -> Array:
        """Evaluates the Taylor term `f^(k)(w; x)`.

        Args:
            k: order, an integer ≥ 0.
            w: displacement, shape `(m, d)`; for `k ≥ 1` also `(m, R, d)`, `R` copies of every unit that share `w0_r`.
            x: examples, shape `(n, d)`.

        Returns:
            Outputs, shape `(n, outputs)`.
        """
        k = _checks.integer("k", k, 0)
        return self.prepare(x, (k,)).term(k, w)

    def taylor(self, k: int, w: ArrayLike, x: ArrayLike) -> Array:
        """Evaluates the Taylor model of order `k`: the sum of the terms of orders `0..k`.

        Args:
            k: order, an integer ≥ 0.
            w: displacement, shape `(m, d)`.
            x: examples, shape `(n, d)`.

        Returns:
            Outputs, shape `(n, outputs)`.
        """
        return self.prepare(x, _checks.integer("k", k, 0)).taylor(k, w)

    def prepare(
        self,
        x: ArrayLike,
        order: int | tuple[int, ...],
        chunk_size: int | None = None,
        layout: str | None = None,
    ) -> Prepared:
        """Computes all features that depend on `x` alone, once.

        Args:
            x: examples, shape `(n, d)`.
            order: `K` prepares the orders `0..K`; a tuple prepares exactly the given orders.
            chunk_size: number of examples processed at a time. If given, nothing of size `n × m` is stored: the
                activations of each chunk are recomputed in every pass (one more matrix product), and memory stays at
                `O(chunk_size · m)`. By default the activations of all orders are stored.
            layout: `"cache"` processes blocks that fit into the cache of a CPU, `"whole"` as few blocks as memory allows.
                By default the device of `x` decides (inside `jax.jit`, the default device): `"cache"` on a CPU, `"whole"` on
                a GPU or TPU and for arrays on several devices. Results agree up to rounding.

        Returns:
            An object with `term(k, w)`, `taylor(k, w)` and `full(w)`.

        Raises:
            ArgumentError: for a wrong shape, order or layout.

        Example:
            >>> import jax, taylornets as tn
            >>> net = tn.TwoLayerNetwork.init(jax.random.key(0), inputs=3, width=8)
            >>> prepared = net.prepare(jax.numpy.eye(3), order=2, layout="whole")
            >>> prepared.blocks.x.shape, prepared.taylor(2, net.w0).shape
            ((1, 3, 3), (3, 1))
        """
        return prepare(self, x, order, chunk_size, layout=layout)


def widened(net: TwoLayerNetwork, w: Array, order: int) -> tuple[TwoLayerNetwork, Array]:
    """Returns a network of width `R m` and a displacement `(R m, d)` whose term of order `k` equals that of `w`, `(m, R, d)`.

    The factor `1/√m` becomes `1/√(R m)`, hence the factor `R^{1/(2k)}` of the displacement.
    """
    if w.ndim == 2:
        return net, w
    copies, d = w.shape[1:]
    wide = TwoLayerNetwork(
        jnp.repeat(net.w0, copies, axis=0),
        jnp.repeat(net.a, copies, axis=0),
        net.activation,
        net.symmetric,
        net.input_norm,
    )
    return wide, copies ** (1 / (2 * order)) * w.reshape(-1, d)
