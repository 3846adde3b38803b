"""Certificates of global optimality, by convex duality (theory 5) and from the landscape (theory 4)."""

from taylornets.certificates._dual import Certificate as Certificate
from taylornets.certificates._dual import certify as certify
from taylornets.certificates._dual import certify_objective as certify_objective
from taylornets.certificates._landscape import Inequality as Inequality
from taylornets.certificates._landscape import Landscape as Landscape
from taylornets.certificates._landscape import curvature_inequality as curvature_inequality
from taylornets.certificates._landscape import landscape as landscape
from taylornets.certificates._landscape import landscape_objective as landscape_objective
