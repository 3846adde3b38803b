"""The notebooks of `docs/notebooks`: each one runs from top to bottom, and its own assertions hold.

Notebooks are Jupytext Markdown and are discovered. The code cells of a notebook run as one module in an empty folder; `%config`
lines, which concern the display alone, are dropped. The tests at the end plant mistakes and check that each one is found.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}

FRONT = re.compile(r"\A---\n(.*?)^---\n", re.DOTALL | re.MULTILINE)
CELL = re.compile(r"^(`{3,})\{code-cell\}[^\n]*\n(.*?)^\1[ \t]*$", re.DOTALL | re.MULTILINE)
OPTIONS = re.compile(r"\A(?:---\n(.*?)^---\n|((?::[^\n]*\n)+))", re.DOTALL | re.MULTILINE)
DISPLAY = re.compile(r"^%config [^\n]*$", re.MULTILINE)
FENCE = re.compile(r"^(`{3,}|~{3,})(\{?[\w-]*\}?)[^\n]*\n.*?^\1[ \t]*$", re.DOTALL | re.MULTILINE)
HEADER = ("format_name: myst", "name: python3")  # what Jupytext and MyST-NB read


def cells(text: str) -> Iterator[tuple[str, str]]:
    """The options and the source of every code cell."""
    for _, body in CELL.findall(text):
        found = OPTIONS.match(body)
        yield (found[0], body[found.end() :]) if found else ("", body)


def problems(text: str) -> list[str]:
    """What a notebook lacks, or has and should not have."""
    front = FRONT.match(text)
    found = [f"front matter lacks {entry!r}" for entry in HEADER if not front or entry not in front[1]]
    sources = list(cells(text))
    if not any("assert" in source for _, source in sources):
        found.append("no assertion")
    if not re.search(r"^#+ .*\bExercise", text, re.MULTILINE):
        found.append("no exercise")
    elif not any(
        "hide-input" in options and "assert" in source for options, source in cells(text[text.index("Exercise") :])
    ):
        found.append("no solution: a cell with the tag hide-input and an assertion, after the heading of the exercise")
    if any("output" in kind for _, kind in FENCE.findall(text)) or "data:image" in text:
        found.append("stored output")
    found += [f"cell {i}: a figure without alt text" for i, (options, source) in enumerate(sources, 1)
              if "plt.subplots" in source and "alt:" not in options]  # fmt: skip
    return found


def execute(name: str, text: str) -> dict[str, Any]:
    """Runs the cells one after the other; an error names the notebook and the cell."""
    names: dict[str, Any] = {"__name__": "__main__", "display": print}
    for i, (_, source) in enumerate(cells(text), 1):
        try:
            exec(compile(DISPLAY.sub("", source), f"{name}, cell {i}", "exec"), names)
        except Exception as error:
            error.add_note(f"In {name}, cell {i}:\n{source}")
            raise
    return names


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, figures without a screen, and matplotlib's settings as they were."""
    monkeypatch.chdir(tmp_path)
    with mpl.rc_context():
        plt.switch_backend("Agg")
        yield tmp_path
        plt.close("all")


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_runs(name: str, empty_folder: Path):
    execute(name, NOTEBOOKS[name])
    assert list(empty_folder.iterdir()) == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_is_complete(name: str):
    assert problems(NOTEBOOKS[name]) == []


def test_notebooks_were_found():
    assert len(NOTEBOOKS) >= 4
    assert list(FOLDER.parent.rglob("*.ipynb")) == []  # sources alone


GOOD = """---
jupytext:
  text_representation:
    format_name: myst
kernelspec:
  name: python3
---

# A notebook

```{code-cell} ipython3
%config InlineBackend.figure_formats = ["svg"]
value = 1
```

```{code-cell} ipython3
---
mystnb:
  image:
    alt: A figure.
---
fig, ax = plt.subplots()
```

## Exercise

```{code-cell} ipython3
:tags: [hide-input]

assert value == 1
```
"""

PLANTED = {
    "no front matter": ("format_name: myst", "format_name: markdown", "front matter lacks 'format_name: myst'"),
    "another kernel": ("name: python3", "name: julia", "front matter lacks 'name: python3'"),
    "no assertion": ("assert value == 1", "value == 1", "no assertion"),
    "no exercise": ("## Exercise", "## Summary", "no exercise"),
    "a visible solution": (":tags: [hide-input]", ":tags: [exercise]", "no solution"),
    "a stored output": ("# A notebook", "```{code-cell-output}\n1\n```", "stored output"),
    "a stored figure": ("# A notebook", "![](data:image/png;base64,AA)", "stored output"),
    "no alt text": ("    alt: A figure.", "    width: 200px", "cell 2: a figure without alt text"),
}


def test_good_notebook_passes():
    assert problems(GOOD) == []
    assert [source.count("%") for _, source in cells(GOOD)] == [1, 0, 0]


@pytest.mark.parametrize("name", PLANTED)
def test_planted_mistake_is_found(name: str):
    text, other, problem = PLANTED[name]
    assert GOOD.count(text) == 1
    assert any(found.startswith(problem) for found in problems(GOOD.replace(text, other)))


def test_failing_cell_is_named():
    text = GOOD.replace("fig, ax = plt.subplots()", "").replace("value == 1", "value == 2")
    with pytest.raises(AssertionError) as raised:
        execute("1_planted", text)
    assert raised.value.__notes__ == ["In 1_planted, cell 3:\n\nassert value == 2\n"]


def test_unknown_magic_fails():
    with pytest.raises(SyntaxError):
        execute("1_planted", GOOD.replace("%config", "%matplotlib"))
