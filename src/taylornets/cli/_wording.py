"""Words of the command line: the rooms below name Python arguments, and their errors are translated here, by one table.

An error about `drop_constant` is about `--drop-constant` for whoever runs `taylornets fit`. What an argument is called follows
from the parameters of the commands themselves; the table has only the arguments whose parameter has another name. In a
message, an argument stands in backquotes, alone or as in a call: `` `drop` `` reads `--drop`, `` `rank=2` `` reads `--rank 2`,
`` `resume=True` `` reads `--resume`.
"""

import re
from collections.abc import Mapping
from typing import Any

from taylornets._checks import ArgumentError

# Arguments of functions and the parameters of commands that set them; the first one that a command has.
_PARAMETERS = {
    "source": ("data",), "name": ("claim",), "names": ("claim",), "path": ("config", "init"), "write_template": ("init",),
    "image_shape": ("images",),
}  # fmt: skip
_ARGUMENT = re.compile(r"`([a-z_]\w*)(?:=([^`]*))?`")


def word(parameter: Any) -> str:
    """A parameter of a command as the user writes it: the option, or the placeholder in the usage."""
    return parameter.metavar if parameter.param_type_name == "argument" else parameter.opts[0]


def words(command: Any) -> dict[str, str]:
    """What a command calls the arguments of the functions below it.

    Args:
        command: typer's.

    Returns:
        Option or placeholder by the name of the argument.
    """
    own = {parameter.name: word(parameter) for parameter in command.params}
    other = {
        argument: next((own[name] for name in names if name in own), "") for argument, names in _PARAMETERS.items()
    }
    return {argument: text for argument, text in other.items() if text} | own


def translated(error: ArgumentError, command: str, commands: Mapping[str, Any]) -> str:
    """The message of an error in words of the command line.

    Args:
        error: about an argument of a function, or about an option already.
        command: the one that runs.
        commands: all of them: advice may name an option of another one.

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
