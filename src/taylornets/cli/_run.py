"""Runs a command, and maps every outcome to one message and an exit code."""

import _thread
import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from types import FrameType
from typing import NoReturn

import typer

from taylornets import _files
from taylornets._errors import ArgumentError
from taylornets.cli._root import BROKEN_PIPE, DONE, INTERRUPTED, NOT_WRITTEN, WRONG_REQUEST, app, words
from taylornets.cli._streams import prepared
from taylornets.cli._wording import translated, word

_AGAIN = 0.05  # seconds until an interrupt that was lost is repeated


def _terminate(_signum: int, _frame: FrameType | None) -> NoReturn:
    """Handles SIGTERM like Ctrl-C, so that finished work is kept."""
    raise KeyboardInterrupt


@contextlib.contextmanager
def _interrupts() -> Generator[None]:
    """Handles SIGTERM like Ctrl-C, and repeats interrupts that Python drops.

    The handler of a signal may run within a finalizer or the callback of a weak reference, whose exceptions end there.
    """
    previous, report = signal.signal(signal.SIGTERM, _terminate), sys.unraisablehook

    def unraisable(found: "sys.UnraisableHookArgs") -> None:
        if isinstance(found.exc_value, KeyboardInterrupt):
            threading.Timer(_AGAIN, _thread.interrupt_main, (signal.SIGTERM,)).start()
        else:
            report(found)

    sys.unraisablehook = unraisable
    try:
        yield
    finally:
        sys.unraisablehook = report
        signal.signal(signal.SIGTERM, previous)


def reject(message: str, code: int = WRONG_REQUEST) -> int:
    """Prints a message, each of its lines on one line of standard error, and returns the exit code."""
    for line in message.splitlines() or [""]:
        print(" ".join(line.split()), file=sys.stderr)
    return code


def _usage(error: typer.TyperException) -> str:
    """Returns the parser's message; for an invalid value, the message starts with the option, like all others."""
    if isinstance(error, typer.BadParameter) and error.param is not None and error.message:
        return f"{word(error.param)}: {error.message}"
    return error.format_message()


def run(arguments: Sequence[str] | None = None) -> int:  # noqa: PLR0911  # one return per outcome
    """Runs a command and returns the exit code.

    Args:
        arguments: command-line arguments after `taylornets`; defaults to `sys.argv[1:]`.
    """
    words[:] = sys.argv[1:] if arguments is None else arguments
    commands = typer.main.get_group(app).commands
    if not words:
        return reject(f"COMMAND: expected one of {', '.join(commands)}, got none. See `taylornets --help`.")
    try:
        with _interrupts(), prepared():
            code = int(app(args=list(words), prog_name="taylornets", standalone_mode=False) or DONE)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output, such as `head`, has seen enough. The interpreter flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except typer.TyperException as error:
        return reject(f"{_usage(error).rstrip('.?')}. See `taylornets --help`.")
    except ArgumentError as error:
        return reject(translated(error, words, commands))
    except _files.WriteError as error:
        return reject(
            f"{error.filename}: {error.strerror}. It could not be written; all other files are complete.", NOT_WRITTEN
        )
    except OSError as error:
        code = NOT_WRITTEN if error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT) else WRONG_REQUEST
        return reject(f"{error.filename}: {error.strerror}." if error.filename else str(error), code)
