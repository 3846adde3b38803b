"""Links of the site: anchors of Markdown pages, files outside of `docs`, and names of the library in code."""

import re
from pathlib import Path
from typing import Any

import _reference
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

# Names of other libraries, which have no page here.
# Types of the engine, which annotations name, have none either; they may change at any time.
EXTERNAL = [
    ("py:.*", r"(?!taylornets|tn\.).*"),
    ("py:class", r"taylornets\.(.+\.)?_\w+\..+|taylornets\.penalties\.\w+"),
]

ANCHOR = re.compile(r'<a id="([\w-]+)"></a>')
NAME = re.compile(r"(?:tn|taylornets)\.([\w.]+)(?:\(.*\))?", re.DOTALL)
# Pages that show a file of the root; links to the file lead to the page.
ROOT = Path(__file__).parents[1]
SHOWN = {
    "howto/contributing": "CONTRIBUTING.md", "results/changelog": "CHANGELOG.md", "reference/security": "SECURITY.md",
}  # fmt: skip


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Puts in the files of the root, and writes anchors as MyST spells them, so that links to them are checked."""
    text = source[0]
    if docname in SHOWN:
        app.env.note_dependency(str(ROOT / SHOWN[docname]))
        text = (ROOT / SHOWN[docname]).read_text(encoding="utf-8").replace("](docs/", "](/")
    for page, file in SHOWN.items():
        text = re.sub(rf"\]\((?:\.\./)+{re.escape(file)}", f"](/{page}.md", text)
    text = re.sub(rf"^{ANCHOR.pattern}\n(?=#)", r"(\1)=\n", text, flags=re.MULTILINE)
    source[0] = ANCHOR.sub(r"[]{#\1}", text)


def link_names(app: Sphinx, doctree: nodes.document) -> None:
    """Turns each public name in code, such as `tn.fit`, into a link to its entry."""
    targets = _reference.targets()
    for literal in list(doctree.findall(nodes.literal)):
        match = NAME.fullmatch(literal.astext())
        if match is None or match[1] not in targets or isinstance(literal.parent, (nodes.reference, nodes.title)):
            continue
        if isinstance(literal.parent, addnodes.pending_xref):
            continue
        attributes: dict[str, Any] = {
            "refdomain": "py", "reftype": "obj", "reftarget": targets[match[1]], "refexplicit": True,
            "refdoc": app.env.docname,
        }  # fmt: skip
        reference = addnodes.pending_xref("", **attributes)
        literal.replace_self(reference)
        reference += literal


def setup(app: Sphinx) -> None:
    """Connects both."""
    app.connect("source-read", read)
    app.connect("doctree-read", link_names)
