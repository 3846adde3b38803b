"""Conversion of values to strict JSON and back, used for records, models and results.

JSON has neither NaN nor infinity; such floats are written as `{"$float": "nan" | "inf" | "-inf"}`. Rules add further types,
as objects with a key that starts with "$". Without a rule, tuples become lists.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from taylornets import _checks

_FLOAT = "$float"
_KNOWN = "numbers, strings, booleans, None, lists, dicts, and types that can be saved"


@dataclass(frozen=True)
class CodecRule:
    """Conversion rule for values of a type.

    Attributes:
        tag: key that identifies the object, starting with "$".
        matches: whether a value has this type.
        encode: `encode(value, name, inner)` returns the object; `inner(part, name)` encodes parts.
        decode: `decode(written, inner)` returns the value; `inner(part)` decodes parts.
    """

    tag: str
    matches: Callable[[Any], bool]
    encode: Callable[[Any, str, Callable[[Any, str], Any]], dict[str, Any]]
    decode: Callable[[dict[str, Any], Callable[[Any], Any]], Any]


def encode(value: Any, rules: Iterable[CodecRule] = (), name: str = "value") -> Any:
    """Converts `value` to JSON types.

    Args:
        value: None, strings, booleans, numbers, lists and dicts of them, and values that match a rule.
        rules: conversion rules; the first match applies.
        name: name of the value in error messages.

    Raises:
        ArgumentError: for a value of another type; the message names the part.

    Example:
        >>> encode({"a": [1, float("inf")]})
        {'a': [1, {'$float': 'inf'}]}
    """
    rules = tuple(rules)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_FLOAT: repr(float(value))}
    for rule in rules:
        if rule.matches(value):
            return rule.encode(value, name, lambda part, part_name: encode(part, rules, part_name))
    if isinstance(value, Mapping):
        return {key: encode(item, rules, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item, rules, f"{name}.{i}") for i, item in enumerate(value)]
    raise _checks.ArgumentError(name, _KNOWN, f"a {type(value).__name__}")


def decode(value: Any, rules: Iterable[CodecRule] = ()) -> Any:
    """The inverse of `encode` with the same rules.

    Args:
        value: output of `encode`, read from JSON.
        rules: as for `encode`.

    Raises:
        ArgumentError: for an object of a type without a rule.

    Example:
        >>> decode({"a": [1, {"$float": "inf"}]})
        {'a': [1, inf]}
    """
    rules = tuple(rules)
    if isinstance(value, list):
        return [decode(item, rules) for item in value]
    if not isinstance(value, dict):
        return value
    tag = next((key for key in value if key.startswith("$")), None)
    if tag is None:
        return {key: decode(item, rules) for key, item in value.items()}
    if tag == _FLOAT:
        return float(value[_FLOAT])
    rule = next((rule for rule in rules if rule.tag == tag), None)
    if rule is None:
        raise _checks.ArgumentError("record", "a record of this version", f"an object with {tag!r}")
    return rule.decode(value, lambda part: decode(part, rules))
