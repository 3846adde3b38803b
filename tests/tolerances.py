"""The tolerances of all tests, by precision."""

# Relative tolerance of a result that is one pass of arithmetic away from its reference.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
