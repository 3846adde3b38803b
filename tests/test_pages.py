"""README and the pages of `docs/`: their examples run, one block after the other, and what the prose says of them holds.

Pages are discovered. The Python blocks of a page share one namespace, console blocks run the command, all in an empty folder;
`HOLDS` has the assertions on the results. A block marked `no-run` needs hardware or packages that the tests do not have.
"""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taylornets import cli
from taylornets._regime._verdict import NAMES
from taylornets.estimators import TaylorClassifier
from taylornets.estimators._ntk import _DECOMPOSED
from taylornets.estimators._parameters import PENALTIES
from taylornets.optimizers import METHODS
from taylornets.randomization import SignedMoments
from taylornets.series import RULES, TESTED
from taylornets.tabular import _baselines, _curve, _path

ROOT = Path(__file__).parents[1]
# The notebooks run when the site is built; generated pages are not sources.
PAGES = {
    name: path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if not re.match(r"docs/(_build|notebooks|reference/generated)/", name := path.relative_to(ROOT).as_posix())
}
BLOCKS = {
    name: re.findall(r"```(python|console)\n(.*?)```", path.read_text(), re.DOTALL) for name, path in PAGES.items()
}

Capture = pytest.CaptureFixture[str]


def readme(names: dict[str, Any], out: str) -> None:
    assert float(names["result"].certificate.relative_gap) <= 1e-8
    assert "of the global minimum" in out
    regime, loss = names["regime"], names["loss"]
    assert loss(names["after"]) < 0.5 * loss(names["before"])  # it is a training run
    assert regime.verdict in out
    # The terms of the last example are those that the first one measures.
    terms, model, x = names["terms"], names["model"], names["x"]
    assert [term.shape for term in terms] == [(200, 1)] * 4
    moved = np.asarray(model(names["after"], x) - model(names["before"], x), "float64")
    for order in (1, 2, 3):
        left = np.linalg.norm(moved - np.sum(terms[1 : order + 1], axis=0, dtype="float64")) / np.linalg.norm(moved)
        np.testing.assert_allclose(left, regime.error[order - 1], rtol=1e-2, atol=1e-4)
    certificate = names["classifier"].certificate_of_error_
    assert certificate.rows == pytest.approx(0.2 * 569, abs=1)
    assert certificate.error < certificate.bound < 0.2


def certificate(names: dict[str, Any], out: str) -> None:
    assert re.search(r"reached 0\.\d+, bound 0\.\d+\ngap \d\.\de-0[4-9]", out)


def choosing(names: dict[str, Any], out: str) -> None:
    first, second = (float(value) for value in re.findall(r"R² (-?[\d.]+)", out))
    assert first < 0.6
    assert second > 0.75
    assert "of the global minimum" in out


def five_minutes(names: dict[str, Any], out: str) -> None:
    assert "Training is certified as optimal" in out
    assert "397 training rows" in out
    assert Path("run/report.html").exists()
    assert len(Path("predictions.csv").read_text().splitlines()) == 21
    assert Path("predict.npz").exists()


def generalization(names: dict[str, Any], out: str) -> None:
    assert "vacuous: the bound" in out
    assert "positive semidefinite up to rounding" in out
    assert out.splitlines()[-1].startswith("True ")


def landscape(names: dict[str, Any], out: str) -> None:
    assert float(names["escapes"].certificate.relative_gap) <= 1e-8
    assert names["saddle"].min_eigenvalue < 0
    assert out.count("of the global minimum") == 2


def regime(names: dict[str, Any], out: str) -> None:
    assert names["regime"].max_order == 4
    assert names["found"].history.steps[-1] == 100
    assert names["drift"].shape == (5, 1, 5, 1)


def learner(names: dict[str, Any], out: str) -> None:
    assert "even: quadratic forms in it express even functions only\nNone\n" in out
    assert float(names["error"]) < 0.15
    assert float(names["found"].certificate.relative_gap) <= 1e-3
    assert float(names["both"].certificate.relative_gap) <= 1e-3
    assert names["linear"].shape == names["quadratic"].shape == (240, 1)


def target_exponents(names: dict[str, Any], out: str) -> None:
    assert "2 3\n" in out
    assert names["spectrum"].exponent == 2
    assert "do not predict the models of `tn.fit`" in out


def taylor_mode(names: dict[str, Any], out: str) -> None:
    assert names["value"].shape == (5, 2)


HOLDS = {
    "README.md": readme,
    "docs/certificate.md": certificate,
    "docs/choosing.md": choosing,
    "docs/five-minutes.md": five_minutes,
    "docs/generalization.md": generalization,
    "docs/landscape.md": landscape,
    "docs/regime.md": regime,
    "docs/learners.md": learner,
    "docs/targets.md": target_exponents,
    "docs/taylor-mode.md": taylor_mode,
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The baselines with one setting each: what they score is not what is tested here."""
    for name in ("_RIDGES", "_ALPHAS", "_COSTS", "_DECAYS", "_LEAVES", "_LEAF_NODES"):
        monkeypatch.setattr(_baselines, name, getattr(_baselines, name)[:1])
    monkeypatch.setattr(_baselines, "_TREES", 5)
    monkeypatch.setattr(_baselines, "_ROUNDS", 5)
    monkeypatch.setattr(_path, "PENALTIES", (1e-3, 1e-5))
    monkeypatch.setattr(_curve, "_CURVE", (1.0,))


@pytest.mark.parametrize("name", [name for name, blocks in BLOCKS.items() if blocks])
def test_examples_run(name: str, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    names: dict[str, Any] = {"__name__": "__main__"}
    for kind, content in BLOCKS[name]:
        if kind == "python":
            exec(compile(content, name, "exec"), names)
            continue
        with pytest.raises(SystemExit) as ended:
            cli.main(shlex.split(content)[1:])
        assert ended.value.code == 0
    HOLDS.get(name, lambda names, out: None)(names, capfd.readouterr().out)


def test_what_is_asserted_belongs_to_a_page():
    assert {name for name, blocks in BLOCKS.items() if blocks} >= set(HOLDS)


def test_every_page_is_linked_from_the_readme():
    text = PAGES["README.md"].read_text()
    pages = [name for name in PAGES if re.fullmatch(r"docs/[\w-]+\.md", name) and name != "docs/index.md"]
    assert [name for name in pages if name not in text] == []  # other pages are on the site


def test_readme_is_short_and_has_every_part():
    lines = PAGES["README.md"].read_text().splitlines()
    assert len(lines) <= 100
    titles = [line[3:] for line in lines if line.startswith("## ")]
    assert titles == ["Install", "Examples", "Two commands", "Documentation", "Citation"]


def test_readme_names_targets_extras_and_versions_that_exist():
    text = PAGES["README.md"].read_text()
    targets = re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"^    make (\w+)", text, re.MULTILINE)) == {"reproduce", "test"} <= set(targets)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (supported,) = re.findall(r"^Supported: .*", text, re.MULTILINE)
    named = re.findall(r"`(\w+)`", supported) + re.findall(r"\[([\w,]+)\]'", text)[0].split(",")
    assert [name for name in named if name not in project["optional-dependencies"]] == []
    minors = [
        name.removeprefix("Programming Language :: Python :: ") for name in project["classifiers"] if ":: 3." in name
    ]
    assert f"Python {minors[0]} to {minors[-1]} and JAX 0.10 to {TESTED}" in supported
    assert "jax>=0.10" in project["dependencies"]
    assert f"PyTorch ≥ {project['optional-dependencies']['torch'][0].removeprefix('torch>=')}" in supported


def test_readme_cites_the_paper_and_the_software():
    (block,) = re.findall(r"```bibtex\n(.*?)```", PAGES["README.md"].read_text(), re.DOTALL)
    fields = [dict(re.findall(r"(\w+) *= \{(.*)\},?$", entry, re.MULTILINE)) for entry in block.split("@")[1:]]
    (known,) = re.findall(r"@inproceedings\{bai2020,.*?\n\}", (ROOT / "docs" / "references.bib").read_text(), re.DOTALL)
    assert fields[0].items() <= dict(re.findall(r"(\w+) *= \{(.*)\},?$", known, re.MULTILINE)).items()
    assert f'title: "{fields[1]["title"]}"' in (ROOT / "CITATION.cff").read_text()


def test_options_on_the_pages_exist():
    options = {name for command in _commands() for name in command}
    written = {
        (name, option)
        for name, path in PAGES.items()
        for line in re.findall(r"^(?:    |)taylornets [a-z]+.*$", path.read_text(), re.MULTILINE)
        for option in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", line)
    }
    assert sorted(item for item in written if item[1] not in options) == []


def _commands() -> list[set[str]]:
    """The names of the options of every command, as its parameters spell them."""
    return [
        {parameter.strip("_").replace("_", "-") for parameter in item.callback.__annotations__} | {"help", "version"}
        for item in cli.load("_app").app.registered_commands
    ]


def row_of(name: str, first: str) -> list[str]:
    (row,) = re.findall(rf"^\| {first} \| ?(.*?) ?\|$", PAGES[name].read_text(), re.MULTILINE)
    return [cell.strip() for cell in row.split("|")]


def test_table_of_total_variations():
    shown = [float(cell) for cell in row_of("docs/higher-orders.md", "T")]
    np.testing.assert_allclose(shown, [SignedMoments(k).total_variation for k in range(2, 9)], rtol=5e-3)


def test_table_names_every_method():
    text = PAGES["docs/landscape.md"].read_text()
    assert set(re.findall(r'^\| `"(\w+)"`', text, re.MULTILINE)) == {"auto", *METHODS}  # next to "dual_newton"


def test_figures_of_choosing_are_those_of_the_code():
    assert f"{_DECOMPOSED:,} rows" in PAGES["docs/choosing.md"].read_text()
    assert (PENALTIES[0], PENALTIES[-1]) == (1e-1, 1e-9)
    assert TaylorClassifier().width == 256


def test_verdicts_of_the_regime_are_explained():
    text = PAGES["docs/regime.md"].read_text()
    assert [name for name in NAMES.values() if f"`{name}`" not in text] == []


@pytest.mark.parametrize("family", sorted({rule.family for rule in RULES.values()}))
def test_table_lists_every_rule(family: str):
    (cell,) = row_of("docs/taylor-mode.md", family)
    assert re.findall(r"`([^`]+)`", cell) == sorted(name for name, rule in RULES.items() if rule.family == family)
