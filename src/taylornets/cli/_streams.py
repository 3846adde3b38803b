"""Output on any terminal: characters that its encoding lacks are replaced by similar ones instead of ending the program."""

import codecs
import contextlib
import io
import sys
import unicodedata
from collections.abc import Generator

from rich.console import Console

_SIMILAR = {
    "−": "-", "–": "-", "—": "-", "…": "...", "≤": "<=", "≥": ">=", "≈": "~", "×": "x", "→": "->", "·": ".", "λ": "lambda",
    "θ": "theta", "σ": "sigma", "“": '"', "”": '"', "‘": "'", "’": "'", "✓": "ok", "✗": "x", "━": "-", "╺": "-", "╸": "-",
    "•": "*", "½": "1/2", "∞": "inf", "‖": "||", "│": "|", "─": "-", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
}  # fmt: skip
_HANDLER = "taylornets.similar"


def _similar(error: UnicodeError) -> tuple[str, int]:
    """Replaces characters that cannot be encoded by similar ones, or else by their code point."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found: list[str] = []
    for sign in error.object[error.start : error.end]:
        plain = _SIMILAR.get(sign)
        if plain is None:
            plain = "".join(part for part in unicodedata.normalize("NFKD", sign) if part.isascii())
        found.append(plain or sign.encode("unicode_escape").decode())
    return "".join(found), error.end


codecs.register_error(_HANDLER, _similar)


def _closed(self: Console) -> None:
    """Reports a reader that has gone, such as `head`, to the command instead of ending it with the code of a failure."""
    self.quiet = True
    raise BrokenPipeError


@contextlib.contextmanager
def prepared() -> Generator[None]:
    """Lets standard output and standard error write every character while the block runs."""
    usual = getattr(Console, "on_broken_pipe", None)
    if usual is not None:  # rich 13.8 and newer
        Console.on_broken_pipe = _closed
    changed: list[tuple[io.TextIOWrapper, str | None]] = []
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            changed.append((stream, stream.errors))
            stream.reconfigure(errors=_HANDLER)
    try:
        yield
    finally:
        if usual is not None:
            Console.on_broken_pipe = usual
        for stream, errors in changed:
            with contextlib.suppress(ValueError, OSError):  # closed, or its reader is gone
                stream.reconfigure(errors=errors)


def visible(text: str) -> str:
    """Writes control characters and marks of direction as escapes, so that texts of the data cannot steer the terminal."""
    return "".join(
        sign if sign.isprintable() or sign in "\xa0\u202f\u2009\u3000" else sign.encode("unicode_escape").decode()
        for sign in text
    )


def write_out(data: bytes) -> None:
    """Writes bytes to standard output as they are, so that predictions are UTF-8 on every terminal."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(data.decode())
        return
    sys.stdout.flush()
    buffer.write(data)
    buffer.flush()
