"""Modules with the names of other packages, mapped on this one."""

from taylornets.compat import neural_tangents as neural_tangents
