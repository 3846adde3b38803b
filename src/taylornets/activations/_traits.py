"""Properties of an activation."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Traits:
    """Static properties of an activation.

    Attributes:
        name: the name accepted by `taylornets.activations.get` (for a custom activation, the name of its function).
        analytic: whether it is real analytic and accepts complex arguments.
        strip: half-width of the strip around the real axis on which it is analytic; 0 if it is not analytic.
        kinks: points where some derivative jumps.
        smoothness: number of continuous derivatives, or None for all.

    Example:
        >>> import taylornets as tn
        >>> traits = tn.activations.get("cubic_relu").traits
        >>> traits.analytic, traits.kinks, traits.smoothness
        (False, (0.0,), 2)
    """

    name: str
    analytic: bool
    strip: float
    kinks: tuple[float, ...] = ()
    smoothness: int | None = None
