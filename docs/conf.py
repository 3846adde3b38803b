"""Configuration of the site; `make docs` builds it. The pages of the reference are written by `_reference.py`."""

import re
import sys
from pathlib import Path
from typing import Any

import sphinx
from jax.typing import ArrayLike, DTypeLike
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import _links  # noqa: E402  # in the same folder
import _reference  # noqa: E402

import taylornets  # noqa: E402

UNIONS = {"~jax.typing.ArrayLike": ArrayLike, "~jax.typing.DTypeLike": DTypeLike}

project = "taylornets"
author = "The taylornets authors"
release = version = taylornets.__version__
copyright = author  # no year: the same sources give the same site

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True  # a cross reference without a target is an error
nitpick_ignore_regex = _links.EXTERNAL
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_dmath_allow_labels = False
nb_execution_mode = "force"
nb_execution_timeout = 300  # seconds per cell
# A failure is a warning, which `make docs` turns into an error; the log shows the cell and its traceback.
nb_execution_show_tb = True
nb_output_stderr = "remove-warn"

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = ["Source", "Notes"]
default_role = "literal"

html_theme = "furo"
html_title = f"taylornets {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_logo = "_static/logo.svg"
html_favicon = "_static/favicon.svg"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5f99", "color-brand-content": "#1f5f99"},
    "dark_css_variables": {"color-brand-primary": "#8ec5ff", "color-brand-content": "#8ec5ff"},
}
pygments_style = "a11y-light"
pygments_dark_style = "a11y-dark"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
mathjax_path = "mathjax/tex-svg.js"  # shipped with the site; SVG needs no fonts


def _mathjax(app: Sphinx) -> None:
    """Copies MathJax into the site."""
    source = Path(sphinx.__file__).parents[1] / "sphinx-mathjax-offline" / "static" / "mathjax" / "tex-svg.js"
    target = Path(app.outdir) / "_static" / "mathjax" / "tex-svg.js"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def _write_reference(app: Sphinx) -> None:
    _reference.write(Path(app.srcdir) / "reference" / "generated")


def _docstring(_app: Sphinx, what: str, name: str, _thing: Any, _options: Any, lines: list[str]) -> None:
    """Prepares a docstring for reStructuredText: indented formulas are shown as they are."""
    if what == "class" and lines and lines[0].startswith(f"{name.rpartition('.')[2]}("):
        lines.clear()  # written by Python for a dataclass
    found: list[str] = []
    described = True  # before the first section, such as "Args:"
    for line in lines:
        described = described and not re.fullmatch(r"[A-Z]\w+:", line)
        indented = line.startswith("    ") and not line.lstrip().startswith((">>>", "- "))
        if described and indented and len(found) > 1 and not found[-1] and not found[-2].startswith("    "):
            found += ["::", ""]
        code = line.lstrip().startswith(">>>") or (described and indented)
        line = line if code else re.sub(r"\btheory (\d+)\b", r":ref:`theory \1 <theory-\1>`", line)  # noqa: PLW2901
        found.append(re.sub(r"`` (`[^`]+`) ``", r"``\1``", line))
    lines[:] = found


def _skip(_app: Sphinx, _what: str, name: str, _thing: Any, _skip: bool, _options: Any) -> bool | None:
    """Leaves out what scikit-learn adds to each estimator."""
    return True if re.fullmatch(r"set_\w+_request|[gs]et_params|get_metadata_routing", name) else None


# Unions that JAX names; annotations lose the name.
ALIASES = {stringify_annotation(union, "smart"): name for name, union in UNIONS.items()}


def _name_types(app: Sphinx, *_event: Any) -> None:
    """Writes the name of a union in the descriptions of arguments."""
    for annotations in app.env.current_document.autodoc_annotations.values():
        for argument in annotations:
            for union, name in ALIASES.items():
                annotations[argument] = annotations[argument].replace(union, name)


def setup(app: Sphinx) -> None:
    """Connects the steps of this site."""
    app.connect("builder-inited", _write_reference)
    app.connect("builder-inited", _mathjax)
    app.connect("autodoc-process-docstring", _docstring, priority=400)  # before napoleon
    app.connect("autodoc-skip-member", _skip)
    app.connect("object-description-transform", _name_types, priority=400)  # before autodoc
    _links.setup(app)
