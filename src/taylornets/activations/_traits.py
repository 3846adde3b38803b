"""Facts about an activation."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Traits:
    """What is known about an activation without evaluating it.

    Attributes:
        name: the name `taylornets.activations.get` accepts (of a custom one: the name of its function).
        analytic: whether it is real analytic, and complex arguments are accepted.
        strip: half-width of the strip around the real axis on which it is analytic; 0 if it is not.
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
