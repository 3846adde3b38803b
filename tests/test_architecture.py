"""The rooms import downward only, nothing is hidden in functions, and no module grows without end.

Imports are read from the source by `ast`; nothing is imported. The table of levels is that of the architecture; the
tests at the end plant violations in trees of their own and see each one caught.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "taylornets"

LEVELS = {
    "_checks": 0, "_devices": 0, "_discover": 0, "_errors": 0, "_files": 0, "_measures": 0, "_processors": 0, "_programs": 0,
    "_trees": 0,
    "_checkpoints": 1, "activations": 1, "datafiles": 1, "losses": 1, "penalties": 1, "records": 1, "series": 1,
    "statistics": 1,
    "expansion": 2, "report": 2, "two_layer": 2,
    "expressivity": 3, "kernels": 3, "learners": 3, "randomization": 3, "targets": 3,
    "models": 4, "objectives": 4, "optimizers": 4,
    "_evaluator": 5, "certificates": 5,
    "_fit": 6, "_regime": 6, "generalization": 6, "training": 6,
    "dynamics": 7, "estimators": 7, "torch": 7,
    "learning": 8, "sweeps": 8,
    "diagnosis": 9, "reproduction": 9, "tabular": 9,
    "cli": 10,
    "__main__": 11,
}  # fmt: skip

# Planted weights are those of a target, a learner's exponents too, a sweep is a grid of learning problems, trees and devices
# are checked, an objective is the risk of a model, training for a bound returns what `fit` returns, and
# programs are compiled by device.
NEIGHBORS = {
    ("expressivity", "targets"), ("learners", "targets"), ("sweeps", "learning"), ("_trees", "_checks"),
    ("_devices", "_checks"), ("_programs", "_devices"), ("_checks", "_errors"), ("objectives", "models"),
    ("generalization", "_fit"),
}  # fmt: skip

# Rooms that see less than what lies below them.
ONLY = {
    "report": {"taylornets._checks", "taylornets.records"},
    "compat": {"taylornets._checks", "taylornets.expansion"},
}

# The roof `taylornets` itself gathers the public names of the rooms below this level; from here on, they may be used.
ROOF = LEVELS["learning"]

# The places that import by name while the program runs: the command line, which must start without its extras, the helper
# that imports every module of a room with a registry, the roof, which loads its rooms when they are asked for, the
# reader of checkpoints, which loads Orbax, an extra, where a checkpoint is of its kind, and the one place that loads PyTorch.
DYNAMIC = {
    "__init__.py",
    "cli/__init__.py",
    "_discover.py",
    "_checkpoints.py",
    "diagnosis/_checkpoints.py",
    "torch/_libraries.py",
}

# `taylornets.targets.Polynomial` keeps the name that users call.
NAMESAKES: set[tuple[str, frozenset[str]]] = set()

# Modules over the limit, each with its reason.
LARGE: dict[str, str] = {}
LINES = 300

# Functions with more than ten parameters, each with its reason: those of the contract, which spells them out with what users
# add to them, and the command line, whose parameters are the options.
PARAMETERS = 10
WIDE = {
    "_fit/_fit.py fit": "contract",
    "_fit/_path.py fit_path": "contract: what `fit` takes",
    "_regime/_regime.py regime": "contract",
    "_regime/_path.py regime_path": "contract, with what `regime` takes",
    "torch/_regime.py regime": "contract, and the choices of inputs and outputs that only PyTorch has",
    "certificates/_dual.py certify": "contract",
    "estimators/_taylor.py TaylorEstimator.__init__": "contract: the parameters of a scikit-learn estimator",
    "cli/_tables.py fit": "one parameter per option",
    "cli/_tables.py predict": "one parameter per option",
    "cli/_app.py diagnose": "one parameter per option",
    "dynamics/_run.py run": "contract",
    "training/_training.py taylorized_training": "contract, with `ntk_inputs` and `restart_at`, which callers pass by name",
}

# Functions over the limit, docstrings not counted.
FUNCTION_LINES = 60
LONG = {"cli/_app.py diagnose": "one line per option", "cli/_tables.py fit": "one line per option"}


def room(path: Path, source: Path) -> str:
    """`activations/_relu.py` and `losses.py` lie in rooms `activations` and `losses`."""
    first = path.relative_to(source).parts[0]
    return first.removesuffix(".py")


def imported(node: ast.AST, path: Path, source: Path) -> Iterator[str]:
    """Full names of what an import statement asks for; relative ones are resolved."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = ("taylornets", *path.relative_to(source).parent.parts)
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
        # `from taylornets import losses` asks for a room; `from taylornets.losses import get` for a name in one.
        yield from (f"{base}.{alias.name}" for alias in node.names)


def is_private_jax(name: str, here: str) -> bool:
    parts = name.split(".")
    if parts[0] == "jaxlib":
        return True
    if parts[0] != "jax":
        return False
    hidden = any(part.startswith("_") for part in parts[1:])
    return (hidden or parts[1:2] == ["interpreters"]) and here != "series"


def private_part(name: str, source: Path) -> str | None:
    """The underscore module in a full name, below a room of the package, if there is one."""
    parts = name.split(".")
    for i in range(2, len(parts)):
        path = source.joinpath(*parts[1 : i + 1])
        if parts[i].startswith("_") and (path.is_dir() or path.with_suffix(".py").exists()):
            return ".".join(parts[: i + 1])
    return None


def check_target(name: str, here: str, rooms: set[str], source: Path) -> str | None:
    """What is wrong with an import of `name` from a module in room `here`, or None."""
    if is_private_jax(name, here):
        return f"imports JAX's private {name}"
    parts = name.split(".")
    if parts[0] != "taylornets":
        return None
    there = parts[1] if len(parts) > 1 and parts[1] in rooms else "__init__"
    if there != here and private_part(name, source):
        return f"imports {private_part(name, source)}, a private module of another room"
    if here == "__init__":
        allowed = LEVELS.get(there, 0) < ROOF
    elif there == here:
        allowed = True
    elif here in ONLY:
        allowed = any(name == entry or name.startswith(entry + ".") for entry in ONLY[here])
    elif there == "__init__":
        allowed = LEVELS.get(here, 0) >= ROOF
    else:
        allowed = LEVELS.get(there, ROOF) < LEVELS.get(here, 0) or (here, there) in NEIGHBORS
    return None if allowed else f"may not import {name}"


def functions(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node


def is_dynamic(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return name in ("import_module", "__import__")


def private_attributes(tree: ast.Module) -> Iterator[str]:
    """`jax._src` and `jax.interpreters` written out as attributes of an imported `jax`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "jax":
            yield f"jax.{node.attr}"


def check_module(path: Path, source: Path) -> list[str]:
    where = path.relative_to(source).as_posix()
    here = room(path, source)
    text = path.read_text(encoding="utf-8")
    problems: list[str] = []
    if len(text.splitlines()) > LINES and where not in LARGE:
        problems.append(f"has {len(text.splitlines())} lines, more than {LINES}")
    if here not in LEVELS and here not in ONLY and here != "__init__":
        problems.append(f"lies in an unknown room {here!r}")
    rooms = {room(other, source) for other in source.rglob("*.py")} | set(LEVELS) | set(ONLY)
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for name in imported(node, path, source):
            problem = check_target(name, here, rooms, source)
            problems += [problem] if problem else []
        if is_dynamic(node) and where not in DYNAMIC:
            problems.append("imports a module by name while it runs")
    problems += [f"uses JAX's private {name}" for name in private_attributes(tree) if is_private_jax(name, here)]
    hidden = {
        name for function in functions(tree) for node in ast.walk(function) for name in imported(node, path, source)
    }
    problems += [f"hides the import of {name} in a function" for name in sorted(hidden)]
    return [f"{where} {problem}" for problem in problems]


def named_functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All functions and methods with their qualified names."""
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{child.name}".lstrip(".")
            if not isinstance(child, ast.ClassDef):
                yield name, child
        yield from named_functions(child, name)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many parameters a function has; `self` and `cls` do not count."""
    taken = function.args
    names = [argument.arg for argument in (*taken.posonlyargs, *taken.args)]
    return (
        len(names)
        - (names[:1] in (["self"], ["cls"]))
        + len(taken.kwonlyargs)
        + len([star for star in (taken.vararg, taken.kwarg) if star])
    )


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Its lines without those of its docstring."""
    first = function.body[0]
    text = first if ast.get_docstring(function) is not None else None
    whole = (function.end_lineno or 0) - function.lineno + 1
    return whole - ((text.end_lineno or 0) - text.lineno + 1 if text is not None else 0)


def check_functions(source: Path) -> list[str]:
    """A function with more than ten parameters lacks a value, and one of more than sixty lines is two."""
    problems: list[str] = []
    for path in sorted(source.rglob("*.py")):
        where = path.relative_to(source).as_posix()
        for name, function in named_functions(ast.parse(path.read_text(encoding="utf-8"))):
            full, count, length = f"{where} {name}", parameters(function), lines(function)
            if count > PARAMETERS and full not in WIDE:
                problems.append(f"{full} has {count} parameters, more than {PARAMETERS}")
            if length > FUNCTION_LINES and full not in LONG:
                problems.append(f"{full} has {length} lines, more than {FUNCTION_LINES}")
    return problems


class Kind(NamedTuple):
    """A class of the package: its file, the names of its bases, the methods it defines, those of them that are abstract."""

    where: str
    bases: tuple[str, ...]
    methods: frozenset[str]
    abstract: frozenset[str]


def classes(source: Path) -> dict[str, Kind]:
    """Classes by `module.name`; a base is looked up in its own module first, then in the modules that it is imported from."""
    found: dict[str, Kind] = {}
    for path in sorted(source.rglob("*.py")):
        where = path.relative_to(source).as_posix()
        module = ".".join(path.relative_to(source).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        known = {alias.asname or alias.name: f"{node.module}.{alias.name}".removeprefix("taylornets.")
                 for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level
                 for alias in node.names}  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                names = [ast.unparse(base).split("[")[0] for base in node.bases]
                bases = tuple(
                    known.get(head, f"{module}.{head}") + (f".{rest}" if rest else "")
                    for head, _, rest in (name.partition(".") for name in names)
                )
                methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
                abstract = {
                    item.name
                    for item in methods
                    if any("abstract" in ast.unparse(decorator) for decorator in item.decorator_list)
                }
                found[f"{module}.{node.name}"] = Kind(
                    where, bases, frozenset(item.name for item in methods), frozenset(abstract)
                )
    return found


def resolved(base: str, known: dict[str, Kind]) -> str | None:
    """The class behind a base: itself, or the one of its name in the room whose front re-exports it."""
    room, _, name = base.rpartition(".")
    fronts = [full for full in known if full.startswith(f"{room}.") and full.endswith(f".{name}")]
    return base if base in known else fronts[0] if fronts else None


def check_classes(source: Path) -> list[str]:
    """A class is abstract or final: what it defines, no class below it defines again; and two are enough in a row."""
    known = classes(source)
    problems: list[str] = []
    for full, kind in known.items():
        name = full.rpartition(".")[2]
        for base in filter(None, (resolved(base, known) for base in kind.bases)):
            grand = [other for other in (resolved(above, known) for above in known[base].bases) if other]
            short = base.rpartition(".")[2]
            if grand:
                problems.append(f"{kind.where} {name} is the third class in a row: {name}, {short}, {grand[0]}")
            for ancestor in (base, *grand):
                concrete = known[ancestor].methods - known[ancestor].abstract
                again = sorted(method for method in kind.methods & concrete if method != "__init__")
                problems += [
                    f"{kind.where} {name} overrides {ancestor.rpartition('.')[2]}.{method}" for method in again
                ]
    return problems + namesakes(known)


def namesakes(known: dict[str, Kind]) -> list[str]:
    """Two classes of one name; a name that begins with an underscore is its file's own."""
    places: dict[str, list[str]] = {}
    for full, kind in known.items():
        places.setdefault(full.rpartition(".")[2], []).append(kind.where)
    return [
        f"{where} {name} has a namesake in {others[0]}"
        for name, (*others, where) in places.items()
        if others and not name.startswith("_") and (name, frozenset([*others, where])) not in NAMESAKES
    ]


def check(source: Path) -> list[str]:
    modules = sorted(source.rglob("*.py"))
    found = [problem for path in modules for problem in check_module(path, source)]
    return found + check_classes(source) + check_functions(source)


def test_package_keeps_to_its_architecture():
    assert check(SOURCE) == []


def test_package_was_found():
    assert len(list(SOURCE.rglob("*.py"))) > 10


NAMES = ", ".join("abcdefghij")  # ten parameters

PLANTED = {
    "upward": (
        "losses.py",
        "from taylornets.two_layer import TwoLayerNetwork\n",
        "may not import taylornets.two_layer",
    ),
    "upward, of a room": ("losses.py", "from taylornets import two_layer\n", "may not import taylornets.two_layer"),
    "upward, relative": (
        "losses.py",
        "from .two_layer import TwoLayerNetwork\n",
        "may not import taylornets.two_layer",
    ),
    "upward, from a folder": (
        "losses/_base.py",
        "from ..two_layer import get\n",
        "may not import taylornets.two_layer",
    ),
    "upward, plain": ("losses.py", "import taylornets.cli\n", "may not import taylornets.cli"),
    "sideways": ("losses.py", "from taylornets import penalties\n", "may not import taylornets.penalties"),
    "from the roof": ("_fit/_fit.py", "from taylornets import TwoLayerNetwork\n", "may not import taylornets.Two"),
    "the roof itself": ("_fit/_fit.py", "import taylornets\n", "may not import taylornets"),
    "roof of the command line": ("__init__.py", "from taylornets.cli import main\n", "may not import taylornets.cli"),
    "report of the runner": ("report/_page.py", "from taylornets import reproduction\n", "may not import"),
    "compat of training": ("compat/neural_tangents.py", "from taylornets import training\n", "may not import"),
    "hidden": (
        "_fit/_fit.py",
        "def f():\n    from taylornets import losses\n",
        "hides the import of taylornets.losses",
    ),
    "hidden, of another library": ("_fit/_fit.py", "def f():\n    import scipy\n", "hides the import of scipy"),
    "hidden in a method": ("_fit/_fit.py", "class A:\n    def f(self):\n        import scipy\n", "hides the import"),
    "dynamic": ("_fit/_fit.py", "import importlib\nimportlib.import_module('scipy')\n", "imports a module by name"),
    "private jax": ("_fit/_fit.py", "from jax._src import core\n", "imports JAX's private jax._src.core"),
    "private jax, plain": ("_fit/_fit.py", "import jax._src.core\n", "imports JAX's private"),
    "private jax, attribute": ("_fit/_fit.py", "import jax\njax._src\n", "uses JAX's private jax._src"),
    "jax's interpreters": ("_fit/_fit.py", "from jax.interpreters import ad\n", "imports JAX's private"),
    "jaxlib": ("_fit/_fit.py", "import jaxlib\n", "imports JAX's private jaxlib"),
    "unknown room": ("attic/_old.py", "", "unknown room 'attic'"),
    "unknown module": ("helpers.py", "", "unknown room 'helpers'"),
    "targets of expressivity": ("targets.py", "from taylornets import expressivity\n", "may not import"),
    "size": ("_fit/_fit.py", "x = 1\n" * (LINES + 1), f"has {LINES + 1} lines"),
    "size of the roof": ("__init__.py", "x = 1\n" * (LINES + 1), f"has {LINES + 1} lines"),
    "parameters": ("losses.py", f"def f({NAMES}, *, k): ...\n", "f has 11 parameters"),
    "parameters with stars": ("losses.py", f"def f({NAMES}, **k): ...\n", "f has 11 parameters"),
    "parameters of a method": (
        "losses.py",
        f"class A:\n  def f(self, {NAMES}, k): ...\n",
        "A.f has 11 parameters",
    ),
    "lines of a function": ("losses.py", "def f():\n" + "  x = 1\n" * FUNCTION_LINES, "f has 61 lines"),
    "lines of a nested function": (
        "losses.py",
        "def f():\n  def g():\n" + "    x = 1\n" * FUNCTION_LINES,
        "f.g has 61 lines",
    ),
    "override": ("losses.py", "class A:\n  def f(self): ...\nclass B(A):\n  def f(self): ...\n", "B overrides A.f"),
    "depth": ("losses.py", "class A: ...\nclass B(A): ...\nclass C(B): ...\n", "C is the third"),
}


def plant(source: Path, where: str, text: str) -> Path:
    path = source / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return source


@pytest.mark.parametrize("name", PLANTED)
def test_planted_violation_is_caught(name: str, tmp_path: Path):
    where, text, problem = PLANTED[name]
    found = check(plant(tmp_path, where, text))
    assert len(found) >= 1
    assert all(where in line for line in found)
    assert any(problem in line for line in found)


ALLOWED = {
    "downward": ("two_layer/_network.py", "from taylornets import activations, _checks\nimport jax.numpy as jnp\n"),
    "own room": ("losses/__init__.py", "from taylornets.losses._base import Loss\nfrom . import _base\n"),
    "report of the records": ("report/_page.py", "from taylornets import records\n"),
    "report of a record": ("report/_page.py", "from taylornets.records import Figure\n"),
    "compat of the expansion": ("compat/neural_tangents.py", "from taylornets.expansion import linearize\n"),
    "private jax in series": ("series/_rules.py", "from jax.interpreters import ad\nfrom jax._src import core\n"),
    "dynamic in the command line": ("cli/__init__.py", "import importlib\nimportlib.import_module('typer')\n"),
    "expressivity of targets": ("expressivity.py", "from taylornets.targets import Polynomial\n"),
    "roof": ("__init__.py", "from taylornets._fit import fit\nfrom taylornets import losses\n"),
    "claims from the roof": ("reproduction/claims/coupling.py", "import taylornets as tn\n"),
    "ten parameters": ("losses.py", f"class A:\n  def f(self, {NAMES}): ...\n"),
    "a long docstring": ("losses.py", 'def f():\n  """A.\n\n' + "  More.\n" * 80 + '  """\n'),
    "abstract": (
        "losses.py",
        "import abc\nclass A(abc.ABC):\n  @abc.abstractmethod\n  def f(self): ...\nclass B(A):\n  def f(self): ...\n",
    ),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_passes(name: str, tmp_path: Path):
    assert check(plant(tmp_path, *ALLOWED[name])) == []
