"""The site: what `make docs` writes by itself is complete, and its sources have nothing that a build would leave stale.

The build itself treats warnings as errors; these tests need no Sphinx. The reference has an entry for each public name, which
a walk of its own through `__all__` finds here; the tests that plant a violation show that it is found.
"""

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import taylornets as tn
from taylornets.cli import _root, load
from taylornets.reproduction import claims
from taylornets.series import RULES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# The result and the arguments of the commands, and an option that has no effect and is hidden.
NOT_OPTIONS = {
    "--return",
    "--where",
    "--data",
    "--model",
    "--directory",
    "--config",
    "--first",
    "--second",
    "--drop-constant",
}
OUTPUT = ("outputs", "execution_count", "image/png", "text/html")  # of a stored notebook


def loaded(name: str) -> ModuleType:
    """A module of the folder `docs`, which is not a package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The module that writes the pages of the reference."""
    return loaded("_reference")


@pytest.fixture(scope="module")
def pages(reference: ModuleType) -> dict[str, str]:
    """The generated pages by their file names."""
    return reference.pages()


def public(room: Any = tn, where: str = "taylornets") -> dict[str, Any]:
    """Every public name with its object; rooms included."""
    found: dict[str, Any] = {where: room}
    for name in room.__all__:
        thing = getattr(room, name)
        found |= public(thing, f"{where}.{name}") if inspect.ismodule(thing) else {f"{where}.{name}": thing}
    return found


def without_entry(pages: dict[str, str]) -> list[str]:
    """Public names that no page documents, under this name or the one that `taylornets` has for the same object."""
    text = "\n".join(pages.values())
    entries = set(re.findall(r"^\.\. auto(?:function|class|module):: (\S+)$", text, re.MULTILINE))
    roof = {id(getattr(tn, name)): f"taylornets.{name}" for name in tn.__all__}
    return [name for name, thing in public().items() if not {name, roof.get(id(thing))} & entries]


def stored_outputs(folder: Path) -> list[str]:
    """Notebooks that hold outputs; sources are Markdown, so the other format of notebooks is one of them."""
    found = [path.name for path in sorted(folder.rglob("*.ipynb")) if "_build" not in path.parts]
    for path in sorted(folder.glob("notebooks/*.md")):
        text = path.read_text(encoding="utf-8")
        head = text.partition("---\n")[2].partition("\n---")[0]
        if any(word in head for word in OUTPUT) or "application/vnd" in text:
            found.append(path.name)
    return found


def test_every_public_name_has_an_entry(pages: dict[str, str]):
    assert without_entry(pages) == []


def test_a_name_without_an_entry_is_found(pages: dict[str, str]):
    page = pages["taylornets.kernels.rst"].replace(".. autoclass:: taylornets.kernels.NTK\n", "")
    assert without_entry(pages | {"taylornets.kernels.rst": page}) == ["taylornets.kernels.NTK"]


def test_a_new_public_name_gets_an_entry(reference: ModuleType, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tn.kernels, "brand_new", lambda: None, raising=False)
    monkeypatch.setattr(tn.kernels, "__all__", [*tn.kernels.__all__, "brand_new"])
    reference.targets.cache_clear()
    page = reference.room_page("taylornets.kernels", tn.kernels)
    reference.targets.cache_clear()
    assert ".. autofunction:: taylornets.kernels.brand_new\n" in page


def test_every_command_and_option_is_listed(pages: dict[str, str]):
    sections = re.split(r"^\.\. program:: taylornets ", pages["commands.rst"], flags=re.MULTILINE)[1:]
    listed = {
        text.partition("\n")[0]: set(re.findall(r"^\.\. option:: (--[a-z0-9-]+)", text, re.MULTILINE))
        for text in sections
    }
    commands = {item.callback.__name__.strip("_"): item.callback for item in load("_app").app.registered_commands}
    assert set(listed) == set(commands)
    for name, command in commands.items():
        flags = {f"--{parameter.strip('_').replace('_', '-')}" for parameter in command.__annotations__}
        assert flags - listed[name] <= NOT_OPTIONS, name
        assert not listed[name] - flags, name


def test_every_claim_rule_and_exit_code_is_listed(pages: dict[str, str], reference: ModuleType):
    assert [name for name in claims.names() if f"- ``{name}``" not in pages["claims.rst"]] == []
    assert [name for name in RULES if f"``{name}``" not in pages["primitives.rst"]] == []
    codes = {value for name, value in vars(_root).items() if name.isupper() and isinstance(value, int)}
    assert set(reference.EXIT_CODES) == codes


def test_supported_versions_are_those_of_the_workflow(pages: dict[str, str]):
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    pythons = re.findall(r'^ +- \{ name: .* python: "([\d.]+)"', workflow, re.MULTILINE)
    assert re.findall(r"^   \* - (3\.\d+)$", pages["support.rst"], re.MULTILINE) == pythons
    for file in ("constraints.txt", "constraints-lowest.txt"):
        (jax,) = re.findall(r"^jax==(\S+)$", (ROOT / file).read_text(), re.MULTILINE)
        assert re.search(rf"- ``{re.escape(file)}``\n +- {re.escape(jax)}\n", pages["support.rst"])


def test_unchanged_pages_are_left_alone(reference: ModuleType, pages: dict[str, str], tmp_path: Path):
    reference.write(tmp_path)
    (tmp_path / "old.rst").write_text("no longer public")
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    reference.write(tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == {
        name: time for name, time in before.items() if name != "old.rst"
    }
    assert {path.name for path in tmp_path.iterdir()} == set(pages)


def test_no_output_of_a_notebook_is_stored():
    assert stored_outputs(DOCS) == []


def test_stored_output_is_found(tmp_path: Path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "a.md").write_text("---\nkernelspec:\n  name: python3\noutputs: [1]\n---\n# A\n")
    (tmp_path / "notebooks" / "b.ipynb").write_text("{}")
    assert stored_outputs(tmp_path) == ["b.ipynb", "a.md"]


def test_site_uses_no_network():
    """Neither the configuration nor the style names an address, and MathJax comes with the site."""
    for path in (DOCS / "conf.py", *sorted((DOCS / "_static").iterdir())):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
        assert "http" not in text, path.name


def test_make_docs_without_the_extra_is_one_sentence(tmp_path: Path):
    """With an environment whose installer fails, as without a package index."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text("#!/bin/sh\necho 'ERROR: No matching distribution found for sphinx' >&2\nexit 1\n")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "docs", f"VENV={venv}"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode != 0
    sentences = [
        line for line in done.stderr.splitlines() if not line.startswith("make") or line.startswith("make docs needs")
    ]
    (line,) = sentences
    assert re.fullmatch(r"make docs needs the extra 'docs', which could not be installed \(see .*docs\.log\): .*", line)
    assert "No matching distribution" in (venv / "docs.log").read_text()


@pytest.fixture(scope="module")
def check() -> ModuleType:
    """The module that checks the built site."""
    return loaded("_check")


SITE = {
    "index.html": '<a href="a/far.html">far</a> <a href="#here">here</a><p id="here"></p><img src="x.svg" alt="x">',
    "a/far.html": '<a href="../index.html#here">back</a><dt id="taylornets.fit"></dt><a href="https://a.b">elsewhere</a>',
    "x.svg": "<svg/>",
}
BROKEN = {
    '<a href="none.html">a</a>': "index.html: the link none.html leads to no page",
    '<a href="a/far.html#none">a</a>': "index.html: the link a/far.html#none leads to no anchor",
    '<img src="x.svg">': "index.html: x.svg has no alternative text",
    '<img src="y.svg" alt="y">': "index.html: y.svg does not exist",
    '<script src="https://cdn.example/mathjax.js"></script>': "index.html: loads https://cdn.example/mathjax.js from elsewhere",
    '<link rel="stylesheet" href="//fonts.example/a.css">': "index.html: loads //fonts.example/a.css from elsewhere",
}


def lay(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_site_in_order_has_no_problem(check: ModuleType, tmp_path: Path):
    assert check.problems(lay(tmp_path, SITE), ["taylornets.fit"]) == []


@pytest.mark.parametrize("planted", BROKEN)
def test_problem_of_a_page_is_found(planted: str, check: ModuleType, tmp_path: Path):
    assert check.problems(lay(tmp_path, SITE | {"index.html": SITE["index.html"] + planted})) == [BROKEN[planted]]


def test_a_missing_or_distant_name_is_found(check: ModuleType, tmp_path: Path):
    chain = {f"{n}.html": f'<a href="{n + 1}.html">next</a>' for n in range(4)} | {
        "4.html": '<dt id="taylornets.load"></dt>'
    }
    folder = lay(tmp_path, SITE | chain | {"index.html": SITE["index.html"] + '<a href="0.html">0</a>'})
    assert check.problems(folder, ["taylornets.fit", "taylornets.load", "taylornets.none"]) == [
        "taylornets.load is more than 3 clicks away",
        "taylornets.none has no entry in the reference",
    ]


# --- the pages in a browser --------------------------------------------------------------------------------------------

SEEN = {
    "<p style='color: #999'>pale</p>": "contrast of 'pale' below AA",
    "<p style='background: rgba(0, 0, 0, 0.6)'>black on grey</p>": "contrast of 'black on grey' below AA",
    "<p><img src='data:,'></p>": "data:, has no words",
    "<p style='width: 2000px'>wide</p>": "2008 px wide",
    "<script>console.error('broken')</script>": "console: broken",
    "<p style='color: #999; visibility: hidden'>hidden</p><p style='background: rgba(0, 0, 0, 0.1)'>black</p>": None,
}


@pytest.mark.parametrize("planted", SEEN)
def test_problem_of_a_page_in_a_browser_is_found(planted: str, tmp_path: Path):
    pytest.importorskip("playwright", reason="Playwright is not installed")
    module = loaded("_browser")
    if module.browser() is None:
        pytest.skip("neither Chromium nor Chrome is installed")
    page = tmp_path / "page.html"
    style = (
        "<!DOCTYPE html><html lang=en><meta name=viewport content='width=device-width'><style>img{width:1px}</style>"
    )
    page.write_text(f"{style}<body style='margin: 8px'><p>in order</p>{planted}</body></html>")
    found = list(module.problems([page]))
    expected = [f"page.html at {width} px, {scheme}: {SEEN[planted]}" for width, scheme in module.VIEWS]
    assert found == (expected if SEEN[planted] else [])
