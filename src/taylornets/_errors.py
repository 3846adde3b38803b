"""The error for invalid arguments, with messages of the form "expected ..., got ..., advice"; nothing here imports JAX."""

from collections.abc import Iterable
from typing import Any

_LONGEST = 600  # characters of a message
SHOWN = 80  # characters of a value in a message
# The pattern of a text of the data in a message: a string of Python in quotation marks, and no apostrophe within a word.
STRING = r"""(?<!\w)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?!\w)"""
Mends = tuple[tuple[str, Any], ...]


class ArgumentError(ValueError):
    """An invalid argument; the message states its name, the expected value, the value passed and how to fix it.

    A message has at most 600 characters: longer parts are truncated in the middle, so that the advice is kept. The attributes
    are never truncated. To report the error under another argument name, call `renamed` instead of parsing the message.

    Args:
        argument: name of the argument, as the caller writes it.
        expected: description of valid values, a noun phrase.
        got: description of the value passed.
        advice: how to fix the call, in full sentences. Arguments appear as in a call: `` `drop` `` or `` `order=2` ``.
        mends: arguments that fix the call, as pairs of a name and a value, such as `(("drop", "id"),)`.
        others: further errors of the same call, so that all of them are reported at once.

    Attributes:
        argument: as passed.
        expected: as passed.
        got: as passed.
        advice: as passed.
        mends: as passed.
        others: as passed.

    Example:
        >>> import taylornets as tn
        >>> error = tn.ArgumentError("order", "an integer ≥ 1", "0", "Use 2.")
        >>> print(error)
        order: expected an integer ≥ 1, got 0. Use 2.
        >>> print(error.renamed("degree"))
        degree: expected an integer ≥ 1, got 0. Use 2.
    """

    __module__ = "taylornets"  # as users import it

    def __init__(
        self, argument: str, expected: str, got: str, advice: str = "", mends: Mends = (),
        others: tuple["ArgumentError", ...] = (),
    ):  # fmt: skip
        super().__init__(argument, expected, got, advice, mends, others)  # pickle and copy reconstruct from these
        self.argument = argument
        self.expected = expected
        self.got = got
        self.advice = advice
        self.mends = mends
        self.others = others

    def __str__(self) -> str:
        return "\n".join((self._line(), *map(str, self.others)))

    def _line(self) -> str:
        tail = f" {self.advice}" if self.advice else ""
        room = max(_LONGEST - len(f"{self.argument}: expected , got .{tail}"), 2 * SHOWN)
        got = cut(self.got, max(room - len(self.expected), room // 2))
        expected = cut(self.expected, room - len(got))
        return f"{self.argument}: expected {expected}, got {got}.{tail}"[:_LONGEST]

    def renamed(self, argument: str) -> "ArgumentError":
        """Returns the same error under another argument name."""
        return type(self)(argument, self.expected, self.got, self.advice, self.mends, self.others)


def joined(errors: Iterable[ArgumentError]) -> ArgumentError:
    """Returns one error that reports all `errors`, in their order; at least one."""
    first, *others = errors
    return ArgumentError(first.argument, first.expected, first.got, first.advice, first.mends, (*first.others, *others))


def cut(text: str, length: int) -> str:
    """Returns `text`, truncated in the middle if it is longer than `length`."""
    if len(text) <= length:
        return text
    half = max((length - 5) // 2, 1)
    return f"{text[:half]} ... {text[-half:]}"
