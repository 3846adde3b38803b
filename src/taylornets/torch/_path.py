"""`tn.torch.regime_path`: the regime between the checkpoints of a training run."""

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taylornets._regime import Regime, rounded
from taylornets.torch._checkpoints import named_checkpoints, state_of
from taylornets.torch._regime import regime
from taylornets.torch._states import checked_module


@dataclass(frozen=True)
class TorchPath:
    """The regimes of a training run.

    Attributes:
        names: the checkpoints.
        to_end: from each checkpoint but the last to the last one.
        steps: from each checkpoint to the next one.
    """

    names: tuple[str, ...]
    to_end: tuple[Regime, ...]
    steps: tuple[Regime, ...]

    def first(self, order: int) -> str | None:
        """The checkpoint from which on orders up to `order` explain the rest of training; None if there is none."""
        found = None
        for name, rest in reversed(list(zip(self.names, self.to_end, strict=False))):
            if rest.order is None or rest.order > order:
                break
            found = name
        return found

    @property
    def verdict(self) -> str:
        """From where on the rest of training is lazy and quadratic, and which stretch order 1 explains least."""
        parts = [
            f"{word} from {self.first(order)} on"
            for order, word in ((2, "quadratic"), (1, "lazy"))
            if self.first(order)
        ]
        if len(parts) == 2 and self.first(1) == self.first(2):
            parts = parts[1:]
        known = [
            (found.explained[0], i) for i, found in enumerate(self.steps) if found.explained[0] == found.explained[0]
        ]
        words = ", ".join(parts) or f"no order up to 2 explains the rest up to {self.names[-1]}, from any checkpoint on"
        if not known:
            return words
        least, i = min(known)
        return f"{words}; order 1 explains least from {self.names[i]} to {self.names[i + 1]} ({100 * least:.0f} %)"

    @property
    def table(self) -> str:
        """One line per checkpoint: what orders 1 and 2 explain up to the end and up to the next checkpoint."""
        lines = ["checkpoint: explained up to the end by orders 1, 2; up to the next checkpoint by orders 1, 2"]
        for name, end, step in zip(self.names, self.to_end, self.steps, strict=False):
            shown = [rounded(part, found.threshold) for found in (end, step) for part in found.explained[:2]]
            lines.append(f"{name}: {', '.join(shown[: len(shown) // 2])}; {', '.join(shown[len(shown) // 2 :])}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.table}"


def regime_path(module: Any, checkpoints: Any, inputs: Any, **settings: Any) -> TorchPath:
    """Determines from which checkpoint on a training run is lazy or quadratic, and which stretch no low order explains.

    Args:
        module: a `torch.nn.Module` in evaluation mode; only its architecture is used.
        checkpoints: a folder of safetensors files (`Checkpoints`, `trainer_callback`, `lightning_callback`), or a list of
            files, state dicts or modules, in order; at least two.
        inputs: probe inputs, as in `regime`.
        settings: keyword arguments of `regime`. By default, `resum` is None except from the first checkpoint to the last. With
            `folder`, an interrupted call resumes.

    Returns:
        The regimes from every checkpoint to the last one and to the next one, with `verdict` and `table`.

    Raises:
        ArgumentError: for fewer than two checkpoints, files that are missing, damaged or of another architecture, and as
            `regime`.
        ImportError: without PyTorch.

    Source: theory 14.

    Example:
        >>> import taylornets as tn
        >>> print(tn.torch.regime_path(module, "run", batch).verdict)  # doctest: +SKIP
        quadratic from step_100 on, lazy from step_300 on; order 1 explains least from step_0 to step_50 (46 %)
    """
    checked_module("module", module)
    found = named_checkpoints(checkpoints)
    names = tuple(name for name, _ in found)
    if len(set(names)) < len(names):
        names = tuple(f"{name} ({i})" for i, name in enumerate(names))

    start = copy.deepcopy(module)

    def between(first: Any, last: Any, **default: Any) -> Regime:
        begin, end = state_of(first, module), state_of(last, module)
        if isinstance(begin, Mapping):
            start.load_state_dict(begin, strict=False)  # the names were checked; tied weights have one
            begin = start
        return regime(begin, end, inputs, **(default | settings))

    (_, start_at), *others, (_, last) = found
    to_end = [between(start_at, last), *(between(source, last, resum=None) for _, source in others)]
    steps = [between(a, b, resum=None) for (_, a), (_, b) in itertools.pairwise(found[:-1])]
    return TorchPath(names, tuple(to_end), (*steps, to_end[-1]))
