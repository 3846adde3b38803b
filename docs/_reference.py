"""Pages of the reference, written from the package: a new public name, command, claim or rule cannot be missing.

This file does not use Sphinx; `tests/test_reference_pages.py` checks what it writes.
"""

import functools
import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import typer

import taylornets as tn
from taylornets.cli import _root, load
from taylornets.reproduction import claims
from taylornets.series import RULES

ROOT = Path(__file__).parents[1]
EXIT_CODES = {
    _root.DONE: "Success; in `reproduce`, every claim held.",
    _root.BROKEN: "The run finished, but a claim did not hold.",
    _root.WRONG_REQUEST: "Invalid request; standard error has one line that names the option.",
    _root.NOT_WRITTEN: "The results are complete, but could not be written, for example because the disk is full.",
    _root.INTERRUPTED: "Interrupted by Ctrl-C or SIGTERM; finished parts are kept, and `--resume` continues.",
    _root.BROKEN_PIPE: "The reader of the output, such as `head`, closed it.",
}


def rooms(room: ModuleType = tn, name: str = "taylornets") -> Iterator[tuple[str, ModuleType]]:
    """The package and each public room below it, with the name by which users reach it."""
    yield name, room
    for inner in room.__all__:
        thing = getattr(room, inner)
        if inspect.ismodule(thing):
            yield from rooms(thing, f"{name}.{inner}")


@functools.cache
def targets() -> Mapping[str, str]:
    """The full name of the entry of each public name, by its name without `taylornets.`; one entry for each object."""
    found: dict[str, str] = {}
    roof = {id(getattr(tn, name)): f"taylornets.{name}" for name in tn.__all__}
    for where, room in rooms():
        found[where.removeprefix("taylornets").lstrip(".")] = where
        for name in room.__all__:
            thing = getattr(room, name)
            if not inspect.ismodule(thing):
                full = f"{where}.{name}"
                found[full.removeprefix("taylornets.")] = roof.get(id(thing), full)
    return {name: full for name, full in found.items() if name}


def resolve(full: str) -> Any:
    """The object of a full name."""
    thing: Any = tn
    for part in full.split(".")[1:]:
        thing = getattr(thing, part)
    return thing


def title(text: str, mark: str = "=") -> str:
    """A heading."""
    return f"{text}\n{mark * len(text)}\n"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]], widths: str) -> str:
    """A list table; cells are reStructuredText of one line."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in (header, *rows):
        lines += [f"   {'*' if n == 0 else ' '} - {cell}".rstrip() for n, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def first_sentence(thing: Any) -> str:
    """The first sentence of a docstring, on one line."""
    text = " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())
    return re.split(r"(?<=[.])\s", text)[0]


def entry(full: str) -> str:
    """The directive that documents an object."""
    if not inspect.isclass(resolve(full)):
        return f".. autofunction:: {full}\n"
    # Estimators share their methods; those of scikit-learn are documented there.
    inherited = "   :inherited-members: BaseEstimator, ClassifierMixin, RegressorMixin\n"
    return f".. autoclass:: {full}\n   :members:\n" + (inherited if hasattr(resolve(full), "get_params") else "")


def room_page(where: str, room: ModuleType) -> str:
    """The page of a room: its description, a table of its names, and an entry for each name that has no other."""
    entries = targets()
    prefix = f"{where.removeprefix('taylornets').lstrip('.')}."
    names = [name for name in room.__all__ if not inspect.ismodule(getattr(room, name))]
    full = {name: entries[f"{prefix}{name}".lstrip(".")] for name in names}
    rows = [(f":py:obj:`{name} <{full[name]}>`", first_sentence(getattr(room, name))) for name in names]
    parts = [title(where), f".. automodule:: {where}\n   :no-members:\n"]
    if rows:
        parts.append(table(("name", "purpose"), rows, "30 70"))
    parts += [entry(full[name]) for name in names if full[name] == f"{where}.{name}"]
    return "\n".join(parts)


def literal(text: str) -> str:
    """Text as it is, in the typewriter face."""
    return f"``{text}``"


def commands_page() -> str:
    """The command line, from the Typer application."""
    group = typer.main.get_group(load("_app").app)
    parts = [title("The command taylornets"), _sentences(group.help), ""]
    for name, command in group.commands.items():
        arguments = [item for item in command.params if item.param_type_name == "argument"]
        usage = " ".join(["taylornets", name, "[OPTIONS]", *map(_usage, arguments)])
        parts += [
            title(f"taylornets {name}", "-"),
            _sentences(command.help),
            "",
            f".. code-block:: text\n\n   {usage}\n",
        ]
        parts.append(f".. program:: taylornets {name}\n")
        parts += [_parameter(item) for item in command.params if not getattr(item, "hidden", False)]
    return "\n".join(parts)


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _usage(parameter: Any) -> str:
    text = _metavar(parameter) + ("..." if parameter.nargs != 1 else "")
    return text if parameter.required else f"[{text}]"


def _sentences(text: str | None) -> str:
    return " ".join((text or "").split()).replace("*", "\\*").replace("`", "``")


def _parameter(parameter: Any) -> str:
    metavar = _metavar(parameter)
    if parameter.param_type_name == "argument":
        return f".. option:: {metavar}\n\n   {_sentences(parameter.help)}\n"
    flag = getattr(parameter, "is_flag", False)
    spelled = ", ".join(option if flag else f"{option} {metavar}" for option in parameter.opts)
    default = parameter.default
    text = _sentences(parameter.help)
    if not flag and default not in (None, "", (), []) and not callable(default):
        text += f" Default: {literal(str(default))}."
    return f".. option:: {spelled}\n\n   {text}\n"


def exit_codes_page() -> str:
    """The exit codes of the command line."""
    rows = [(literal(str(code)), text.replace("`", "``")) for code, text in EXIT_CODES.items()]
    return title("Exit codes") + "\n" + table(("code", "meaning"), rows, "15 85")


def claims_page() -> str:
    """The claims that `taylornets reproduce` tests, from their registry."""
    parts = [
        title("Claims"),
        "``taylornets reproduce`` tests these claims; ``taylornets reproduce --claim NAME`` tests one. Each claim has a",
        "negative control: the same measurement in a setting in which the theory predicts failure.\n",
    ]
    rows = []
    for name in claims.names():
        claim = claims.get(name)
        rows.append((literal(name), _cell(claim.statement), _cell(claim.predicted), _cell(claim.source)))
    return "\n".join([*parts, table(("name", "claim", "prediction", "source"), rows, "16 34 32 18")])


def _cell(text: str) -> str:
    text = re.sub(r"([*|_\\])", r"\\\1", " ".join(text.split()))
    return re.sub(r"\btheory (\d+)\b", r":ref:`theory \1 <theory-\1>`", text.replace("`", "``"))


def primitives_page() -> str:
    """JAX primitives with a rule of Taylor mode, from `series.RULES`."""
    families = sorted({rule.family for rule in RULES.values()})
    rows = []
    for family in families:
        names = sorted(name for name, rule in RULES.items() if rule.family == family)
        rows.append((family, ", ".join(map(literal, names)), str(len(names))))
    text = (
        f"Taylor mode has rules for {len(RULES)} JAX primitives. All others use the fall-back;\n"
        "``print(tn.explain(f, params, x))`` shows which primitives of a model do. :doc:`/taylor-mode` explains the rules.\n"
    )
    return "\n".join(
        [title("Primitives of Taylor mode"), text, table(("family", "primitives", "number"), rows, "20 68 12")]
    )


def support_page() -> str:
    """Versions that are tested, from the files of constraints and the workflow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    jobs = re.findall(r'\{ name: "[^"]+", python: "([\d.]+)", constraints: "?([\w.-]*)"? \}', workflow)
    shown = ("jax", "numpy", "equinox", "optax", "scikit-learn", "flax", "torch")
    rows = []
    for python, file in jobs:
        pins = (
            dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))
            if file
            else {}
        )
        versions = [pins.get(name, "–" if file or name == "torch" else "newest") for name in shown]
        rows.append((python, literal(file) if file else "none", *versions))
    lists = [("library", project["dependencies"]), *project["optional-dependencies"].items()]
    extras = [(literal(name) if name != "library" else name, ", ".join(map(literal, lines))) for name, lines in lists]
    return "\n".join([
        title("Supported versions"),
        f"Python {project['requires-python'].replace('>=', '≥ ')}. Each row is a job of continuous integration; the",
        "tests of PyTorch run with the pinned versions.\n",
        table(("Python", "constraints", *shown), rows, "10 22" + " 10" * len(shown)),
        title("Requirements of the extras", "-"),
        table(("extra", "requirements"), extras, "15 85"),
    ])  # fmt: skip


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    found = {f"{where}.rst": room_page(where, room) for where, room in rooms()}
    return found | {
        "commands.rst": commands_page(),
        "exit-codes.rst": exit_codes_page(),
        "claims.rst": claims_page(),
        "primitives.rst": primitives_page(),
        "support.rst": support_page(),
    }


def write(folder: Path) -> None:
    """Writes the pages; a page that has not changed keeps its time, so that Sphinx does not read it again."""
    folder.mkdir(parents=True, exist_ok=True)
    current = pages()
    for path in folder.iterdir():
        if path.name not in current:
            path.unlink()
    for name, content in current.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
