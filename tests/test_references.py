"""Every reference has a target: links between pages, the bibliography, and "theory N" in the source.

A link with a relative path must lead to a file and, with a fragment, to an explicit anchor or a heading of that file; slugs of
headings are formed as GitHub forms them. Each work in the bibliography of the theory page has an entry in `references.bib`
and the other way round. Each "theory N" in the source and in the tests names a section of the theory page. The tests at the
end plant violations in pages of their own and check that each one is found.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CODE_BLOCK = re.compile(r"^( *)(```+|~~~+)[^\n]*\n.*?^ *\2[ \t]*$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
MATH = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
LINK = re.compile(r"\[[^\[\]]*\]\(<?([^()\s<>]+)>?(?:\s+\"[^\"]*\")?\)")
EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
ANCHOR = re.compile(r"<a id=\"([^\"]+)\"></a>")
HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
ENTRY = re.compile(r"^@\w+\{([^,\s]+),", re.MULTILINE)
# `theory 5`, `theory 5.2`, `theory section 5` and `theory, sections 3 and 5`; of a list the first number.
THEORY = re.compile(r"\btheory,?\s+(?:sections?\s+)?(\d+)\b", re.IGNORECASE)


def pages(root: Path) -> list[Path]:
    """The pages that readers meet, in the root and in `docs`."""
    named = [root / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    folders = (root / "docs", root / "docs" / "notebooks")
    return [*filter(Path.exists, named), *(page for folder in folders for page in sorted(folder.glob("*.md")))]


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading: markup and punctuation go, spaces become hyphens."""
    text = re.sub(r"\[([^\[\]]*)\]\([^()]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """The explicit anchors of a page and the slugs of its headings; a repeated heading gets a number."""
    text = CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))
    found, seen = set(ANCHOR.findall(text)), dict[str, int]()
    for heading in HEADING.findall(text):
        name = slug(ANCHOR.sub("", heading))
        count = seen.get(name, 0)
        seen[name] = count + 1
        found.add(f"{name}-{count}" if count else name)
    return found


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links outside of code and formulas, without those that begin with a scheme."""
    text = page.read_text(encoding="utf-8")
    for pattern in (CODE_BLOCK, CODE, MATH):
        text = pattern.sub(" ", text)
    yield from (target for target in LINK.findall(text) if not EXTERNAL.match(target))


def check_links(root: Path) -> list[str]:
    """Links that lead nowhere, a line for each."""
    problems: list[str] = []
    for page in pages(root):
        where = page.relative_to(root).as_posix()
        for target in links(page):
            path, _, fragment = target.partition("#")
            file = page.parent / path if path else page
            if not file.exists():
                problems.append(f"{where}: {target} leads to no file")
            elif fragment and fragment not in anchors(file):
                problems.append(f"{where}: {target} leads to no anchor")
    return problems


def check_bibliography(root: Path) -> list[str]:
    """Works that only the page or only `references.bib` has, and keys that occur twice."""
    theory = (root / "docs" / "theory.md").read_text(encoding="utf-8")
    cited = [name.removeprefix("ref-") for name in ANCHOR.findall(theory) if name.startswith("ref-")]
    entries = ENTRY.findall((root / "docs" / "references.bib").read_text(encoding="utf-8"))
    return [
        *(f"{key} has no entry in references.bib" for key in sorted({*cited} - {*entries})),
        *(f"{key} has no anchor on the theory page" for key in sorted({*entries} - {*cited})),
        *(f"{key} occurs twice" for keys in (cited, entries) for key in sorted({k for k in keys if keys.count(k) > 1})),
    ]


def check_sections(root: Path) -> list[str]:
    """References of the source and the tests to sections that the theory page does not have."""
    known = anchors(root / "docs" / "theory.md")
    return [
        f"{path.relative_to(root).as_posix()}: {' '.join(match[0].split())} is no section of the theory page"
        for folder in ("src", "tests")
        for path in sorted((root / folder).rglob("*.py"))
        for match in THEORY.finditer(path.read_text(encoding="utf-8"))
        if f"theory-{match[1]}" not in known
    ]


def test_every_link_resolves():
    assert check_links(ROOT) == []


def test_every_work_has_one_entry():
    assert check_bibliography(ROOT) == []


def test_every_section_that_is_referred_to_exists():
    assert check_sections(ROOT) == []


def test_references_were_found():
    counted = [target for page in pages(ROOT) for target in links(page)]
    assert len(counted) > 50
    theory = anchors(ROOT / "docs" / "theory.md")
    assert len([name for name in theory if name.startswith("ref-")]) > 10
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert len(THEORY.findall(sources)) > 50


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("5. Certificates of global optimality", "5-certificates-of-global-optimality"),
        ("Where am I? `tn.stationarity`", "where-am-i-tnstationarity"),
        ("Saddles, and how to escape", "saddles-and-how-to-escape"),
        ("See [the page](page.md)", "see-the-page"),
        ("snake_case - and dash", "snake_case---and-dash"),
    ],
)
def test_slug_is_that_of_github(heading: str, expected: str):
    assert slug(heading) == expected


THEORY_PAGE = '<a id="theory-1"></a>\n## 1. Network\n\n[A](#ref-a2020)\n\n- <a id="ref-a2020"></a>A. Author, 2020.\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small project in which every reference has its target."""
    files = {
        "README.md": "# Project\n\n[Theory](docs/theory.md#theory-1), [heading](docs/theory.md#1-network), [web](https://a.b/c)\n",
        "docs/theory.md": THEORY_PAGE,
        "docs/references.bib": "@article{a2020,\n  title = {A}\n}\n",
        "src/module.py": f'"""Source: theory {1}."""\n',
        "tests/test_module.py": "",
    }
    for name, text in files.items():
        plant(tmp_path, name, text)
    return tmp_path


def plant(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def check(root: Path) -> list[str]:
    return [*check_links(root), *check_bibliography(root), *check_sections(root)]


def test_intact_project_passes(root: Path):
    assert check(root) == []


# Numbers are put in by format strings: this file is among those that are searched.
PLANTED = {
    "missing file": ("README.md", "[a](docs/none.md)\n", "docs/none.md leads to no file"),
    "missing image": ("README.md", "![a](docs/none.svg)\n", "docs/none.svg leads to no file"),
    "missing anchor": ("docs/page.md", "[a](theory.md#theory-2)\n", "theory.md#theory-2 leads to no anchor"),
    "missing anchor of the same page": ("docs/page.md", "# A\n\n[a](#b)\n", "#b leads to no anchor"),
    "anchor of a heading in code": ("docs/page.md", "```\n# B\n```\n\n[a](#b)\n", "#b leads to no anchor"),
    "path from the root": ("docs/page.md", "[a](docs/theory.md)\n", "docs/theory.md leads to no file"),
    "link in the change log": ("CHANGELOG.md", "[a](none.md)\n", "none.md leads to no file"),
    "text in code": ("CONTRIBUTING.md", "[`a`](none.md)\n", "none.md leads to no file"),
    "work without entry": (
        "docs/theory.md",
        THEORY_PAGE + '- <a id="ref-b2021"></a>B. Author, 2021.\n',
        "b2021 has no entry in references.bib",
    ),
    "entry without work": (
        "docs/references.bib",
        "@article{a2020,\n}\n\n@book{b2021,\n}\n",
        "b2021 has no anchor on the theory page",
    ),
    "entry twice": ("docs/references.bib", "@article{a2020,\n}\n\n@book{a2020,\n}\n", "a2020 occurs twice"),
    "section": ("src/module.py", f"# Theory {11}.\n", f"src/module.py: Theory {11} is no section"),
    "section with a part": ("src/module.py", f"# theory {11}.2\n", f"theory {11} is no section"),
    "section in words": ("src/module.py", f"# theory section {11}\n", f"theory section {11} is no section"),
    "section of two digits": ("src/module.py", f"# theory {1}{2}\n", f"theory {12} is no section"),
    "section on the next line": ("src/module.py", f'"""From theory\n{11}."""\n', f"theory {11} is no section"),
    "section in a test": (
        "tests/test_module.py",
        f"# theory {11}\n",
        f"tests/test_module.py: theory {11} is no section",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_violation_is_found(name: str, root: Path):
    where, text, problem = PLANTED[name]
    plant(root, where, text)
    found = check(root)
    assert len(found) == 1
    assert problem in found[0]


ALLOWED = {
    "link in a block of code": "```python\nx = [a](none.md)\n```\n",
    "link in code": "`[a](none.md)`\n",
    "formula": "$E[a](b)$ and\n\n$$ [a](b) $$\n",
    "address": "[a](mailto:a@b.c), [b](http://a.b)\n",
    "repeated heading": "# A\n\n# A\n\n[a](#a), [b](#a-1)\n",
    "explicit anchor": '<a id="here"></a>\n# A\n\n[a](#here)\n',
    "folder": "[a](../docs)\n",
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_passes(name: str, root: Path):
    plant(root, "docs/page.md", ALLOWED[name])
    assert check(root) == []
