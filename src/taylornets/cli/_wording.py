"""Translation of error messages to the command line: errors name Python arguments, and this module maps them to options.

An error about `drop_constant` concerns `--drop-constant` for a user of `taylornets fit`. Option names are derived from the
parameters of the commands; the table below lists only arguments whose option has a different name. Messages quote arguments
in backticks, alone or with a value: `` `drop` `` becomes `--drop`, `` `rank=2` `` becomes `--rank 2`, and
`` `resume=True` `` becomes `--resume`.
"""

import ast
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from taylornets._errors import STRING, ArgumentError

# For each function argument, candidate command parameters that set it; the first that the command has is used.
_PARAMETERS = {
    "source": ("data",), "name": ("claim",), "names": ("claim",), "path": ("config", "init"), "write_template": ("init",),
    "image_shape": ("images",),
}  # fmt: skip
_ONCE = frozenset({"target", "group"})  # parsed as lists, so that a second value is an error and not taken in silence
_LONGEST = 600  # characters of a message on one line
# Strings are texts of the data, in which backticks and names of arguments are no markup.
_TOKEN = re.compile(rf"`(?P<name>[a-z_]\w*)(?:=(?P<value>(?:{STRING}|[^`'\"])*))?`|`[^`]*`|{STRING}")


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


def translated(error: ArgumentError, given: Sequence[str] | str, commands: Mapping[str, Any]) -> str:
    """Rewrites the message of an error in terms of command-line options.

    Several errors are listed one below the other. If options can mend all of them, the last line is a command to continue with.

    Args:
        error: names a function argument or, already, an option.
        given: the command and its arguments, or the command alone.
        commands: all commands.

    Returns:
        The message: one line for one error, and a second one for a long command to continue with.
    """
    line = [given] if isinstance(given, str) else list(given)
    command = line[0] if line else ""
    own = words(commands[command]) if command in commands else {}
    every = (error, *error.others)
    texts = [_one(part, own, commands) for part in every]
    again = continuation(every, line, own, commands.get(command))
    if len(texts) == 1:
        line_break = " " if len(texts[0]) + len(again) < _LONGEST else "\n"
        return f"{texts[0]}{line_break}To continue: {again}" if again else texts[0]
    shared = all(part.argument == error.argument for part in every)
    head = f"{own.get(error.argument, error.argument)}: " if shared else ""
    numbered = [f"{place}. {text.removeprefix(head)}" for place, text in enumerate(texts, 1)]
    lines = [f"{head}{len(texts)} problems:", *numbered]
    return "\n".join([*lines, f"To continue: {again}"] if again else lines)


def _one(error: ArgumentError, own: Mapping[str, str], commands: Mapping[str, Any]) -> str:
    advice = phrased(error.advice, own, commands)
    alone = ArgumentError(own.get(error.argument, error.argument), error.expected, error.got, advice)
    return _options(str(alone), own)


def phrased(text: str, own: Mapping[str, str], commands: Mapping[str, Any]) -> str:
    """Rewrites sentences in terms of options, and leaves out those about options that the command lacks.

    Args:
        text: full sentences; arguments are in backticks.
        own: options of the command by argument; see `words`.
        commands: all commands.
    """
    known = {argument for other in commands.values() for argument in words(other)}
    quoted: list[str] = []

    def hide(match: re.Match[str]) -> str:
        quoted.append(match[0])
        return f"\0{len(quoted) - 1}\0"

    def shown(sentence: str) -> str:
        return re.sub("\0(\\d+)\0", lambda match: quoted[int(match[1])], sentence)

    kept: list[str] = []
    for sentence in map(shown, re.split(r"(?<=[.!?])\s+(?=[A-Z\0])", _TOKEN.sub(hide, text))):
        named = {match["name"] for match in _TOKEN.finditer(sentence)}
        if not (named & known) - set(own):
            kept.append(_options(sentence, own))
    return " ".join(kept)


def _options(text: str, own: Mapping[str, str]) -> str:
    def option(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"]
        if name not in own:
            return match[0]
        return own[name] if value in (None, "True") else f"{own[name]} {_quoted(value)}"

    return _TOKEN.sub(option, text)


def _quoted(value: str) -> str:
    """Writes a Python value for the shell: strings in single quotes, numbers as they are."""
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value.strip("(),") or value
    first = found[0] if isinstance(found, tuple) and found else found
    return "'" + first.replace("'", "'\"'\"'") + "'" if isinstance(first, str) else str(first)


def continuation(errors: Sequence[ArgumentError], line: Sequence[str], own: Mapping[str, str], command: Any) -> str:
    """Returns the command with the options that mend all errors; empty if no options do."""
    if command is None or not all(error.mends for error in errors) or len(line) < 2:
        return ""
    found = list(line)
    seen: set[tuple[str, Any]] = set()
    multiple = {parameter.name for parameter in command.params if getattr(parameter, "multiple", False)} - _ONCE
    for name, value in (mend for error in errors for mend in error.mends):
        if name not in own or not own[name].startswith("-"):
            return ""
        if (name, value) in seen:
            continue
        seen.add((name, value))
        if value is None or name not in multiple:
            found = _without(found, own[name])
        found += [] if value is None else [own[name]] if value is True else [own[name], str(value)]
    return shlex.join(["taylornets", *found])


def _without(line: Sequence[str], option: str) -> list[str]:
    """Removes an option and its value."""
    kept: list[str] = []
    skip = False
    for item in line:
        if not skip and item != option and not item.startswith(f"{option}="):
            kept.append(item)
        skip = item == option and not skip
    return kept
