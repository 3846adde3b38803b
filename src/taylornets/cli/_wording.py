"""Translation of error messages to the command line: errors name Python arguments, and this module maps them to options.

An error about `drop_constant` concerns `--drop-constant` for a user of `taylornets fit`. Option names are derived from the
parameters of the commands; the table below lists only arguments whose option has a different name. Messages quote arguments
in backticks, alone or with a value: `` `drop` `` becomes `--drop`, `` `rank=2` `` becomes `--rank 2`, and
`` `resume=True` `` becomes `--resume`.
"""

import re
from collections.abc import Mapping
from typing import Any

from taylornets._checks import ArgumentError

# For each function argument, candidate command parameters that set it; the first that the command has is used.
_PARAMETERS = {
    "source": ("data",), "name": ("claim",), "names": ("claim",), "path": ("config", "init"), "write_template": ("init",),
    "image_shape": ("images",),
}  # fmt: skip
_ARGUMENT = re.compile(r"`([a-z_]\w*)(?:=([^`]*))?`")


def word(parameter: Any) -> str:
    """Returns a parameter as the user writes it: the option, or its placeholder in the usage line."""
    return parameter.metavar if parameter.param_type_name == "argument" else parameter.opts[0]


def words(command: Any) -> dict[str, str]:
    """Maps function arguments to the names a command uses for them.

    Args:
        command: a Typer command.

    Returns:
        Option or placeholder by the name of the argument.
    """
    own = {parameter.name: word(parameter) for parameter in command.params}
    other = {
        argument: next((own[name] for name in names if name in own), "") for argument, names in _PARAMETERS.items()
    }
    return {argument: text for argument, text in other.items() if text} | own


def translated(error: ArgumentError, command: str, commands: Mapping[str, Any]) -> str:
    """Rewrites the message of an error in terms of command-line options.

    Args:
        error: names a function argument or, already, an option.
        command: the running command.
        commands: all commands, since advice may name an option of another one.

    Returns:
        The message.
    """
    own = words(commands[command]) if command in commands else {}
    known = {argument: text for other in commands.values() for argument, text in words(other).items()} | own

    def option(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in known:
            return match[0]
        return known[name] if value in (None, "True") else f"{known[name]} {value.strip('(),') or value}"

    return _ARGUMENT.sub(option, str(error.renamed(own.get(error.argument, error.argument))))
