"""Groups of tensors that move together: embeddings, attention, MLP, norms and head, or blocks by depth."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from taylornets._checks import ArgumentError, shown
from taylornets.torch._libraries import library

KINDS = ("kind", "block")
_NORM = re.compile(r"norm|(^|\.)ln(_|\d|\.|$)", re.IGNORECASE)
_PATTERNS = (
    ("embeddings", re.compile(r"embed|(^|\.)(wte|wpe|shared|cls_token|pos_emb)", re.IGNORECASE)),
    ("attention", re.compile(r"att(e)?n|(^|\.)(q|k|v|o|qkv)(_|\.|$)|(q|k|v|o)_proj|in_proj|out_proj", re.IGNORECASE)),
    ("head", re.compile(r"head|classifier|(^|\.)(score|pooler|fc_out|output_layer|qa_outputs)(\.|$)", re.IGNORECASE)),
    ("MLP", re.compile(r"mlp|ffn|feed_?forward|(^|\.)(fc\d?|dense|intermediate|output|linear\d?|wi(_\d)?|wo)(\.|$)"
                       r"|(gate|up|down)_proj", re.IGNORECASE)),
)  # fmt: skip
_BLOCK = re.compile(r"^(.*?(?:^|\.)\d+)\.")


def groups_of(module: Any, names: Iterable[str], groups: str | Mapping[str, str]) -> dict[str, set[str]]:
    """Assigns every tensor that moves to a group.

    Args:
        module: the module.
        names: tensors that move.
        groups: "kind", "block", or regular expressions by group; the first that matches counts.

    Returns:
        Names of tensors by group, in the order of the module; empty groups are left out.
    """
    found: dict[str, set[str]] = {}
    if isinstance(groups, Mapping):
        try:
            patterns = [(str(name), re.compile(pattern)) for name, pattern in groups.items()]
        except (re.error, TypeError) as error:
            raise ArgumentError("groups", "regular expressions by group", f"an invalid one ({error})") from None
    elif groups in KINDS:
        patterns = None
    else:
        raise ArgumentError("groups", "'kind', 'block', or a dict of regular expressions", shown(groups))
    nn = library("torch").nn
    norms = {
        f"{name}.{own}"
        for name, part in module.named_modules()
        if "norm" in type(part).__name__.lower() and not list(part.children())
        for own, _ in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
    }
    embeddings = {
        f"{name}.{own}".lstrip(".")
        for name, part in module.named_modules()
        if isinstance(part, nn.Embedding)
        for own, _ in part.named_parameters(recurse=False)
    }
    for name in names:
        if patterns is not None:
            group = next((group for group, pattern in patterns if pattern.search(name)), "others")
        elif groups == "block":
            match = _BLOCK.match(name)
            group = match[1] if match else "outside the blocks"
        elif name in norms:
            group = "norms"
        elif name in embeddings:
            group = "embeddings"
        else:
            group = _kind(name)
        found.setdefault(group, set()).add(name)
    return found


def _kind(name: str) -> str:
    if _NORM.search(name):
        return "norms"
    return next((kind for kind, pattern in _PATTERNS if pattern.search(name)), "others")
