"""The JSON codec: round trips, and errors that name values of unsupported types."""

import json
import math
from typing import Any

import pytest

from taylornets import ArgumentError, records
from taylornets.records import Section
from taylornets.records.codec import CodecRule, decode, encode

COMPLEX = CodecRule(
    "$complex",
    lambda value: isinstance(value, complex),
    lambda value, name, inner: {"$complex": [inner(value.real, name), inner(value.imag, name)]},
    lambda written, inner: complex(*inner(written["$complex"])),
)


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -0.0, 0.1 + 0.2, "ü $float", [], {}, {"a": [1, {"b": None}]}, math.inf, -math.inf, [math.inf, [2]]],
)
def test_round_trip(value: Any):
    assert decode(json.loads(json.dumps(encode(value), allow_nan=False))) == value


def test_nan_and_tuples():
    found = decode(encode({"a": (1, math.nan)}))
    assert found["a"][0] == 1
    assert math.isnan(found["a"][1])


def test_rules_write_further_types_at_any_depth():
    value = {"z": [complex(1, math.inf), 2j]}
    written = encode(value, (COMPLEX,))
    assert written == {"z": [{"$complex": [1.0, {"$float": "inf"}]}, {"$complex": [0.0, 2.0]}]}
    assert decode(written, (COMPLEX,)) == value


def test_other_types_are_named():
    with pytest.raises(ArgumentError, match=r"value\.a\.1: expected numbers, strings, .* got a complex"):
        encode({"a": [1, 2j]})
    with pytest.raises(
        ArgumentError, match=r"record: expected a record of this version, got an object with '\$complex'"
    ):
        decode({"$complex": [1, 2]})


def test_records_are_rules():
    section = Section("a", "A", ["One."], {"x": math.inf})
    assert records.loads(records.dumps({"kept": [section]})) == {"kept": [section]}
