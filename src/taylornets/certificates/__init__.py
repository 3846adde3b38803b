"""Certificates of global optimality by convex duality (theory 5)."""

from taylornets.certificates._dual import Certificate as Certificate
from taylornets.certificates._dual import certify as certify
from taylornets.certificates._dual import certify_objective as certify_objective
from taylornets.certificates._dual import is_certifiable as is_certifiable
