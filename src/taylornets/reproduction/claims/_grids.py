"""Grids and studies of the claim `sample_complexity`."""

from taylornets.reproduction.claims._studies import Grid, Study

GRIDS = {
    "ntk": Grid(2, (0.8, 1.2, 1.8, 2.2), padded=False),
    "quadratic": Grid(1, (9, 13, 19, 27, 38)),
    "randomized": Grid(1, (4, 6, 9, 13, 19)),
}
# The grids of the quick profile are shorter, around n*, and the path ends as the full one does. The exponent of the quadratic
# model decreases with d, from 1.6 at d = 13 to 1.2 at d = 39 (theory: 1, up to logarithms).
QUICK_GRIDS = {
    "ntk": Grid(2, (1.2, 1.6, 2.1), padded=False),
    "quadratic": Grid(1, (18, 24, 31, 40), penalties=(3e-6, 3e-7, 3e-8)),
    "randomized": Grid(1, (6, 9, 13)),
}
# p = 3: the width grows with the dimension, since random features must represent a direction of degree p (theory 8). The
# penalties are those that validation selects on the longer path.
CUBIC_GRIDS = {
    "ntk": Grid(3, (0.1, 0.15, 0.22, 0.33, 0.5), padded=False),
    "quadratic": Grid(2, (1.6, 2.2, 3, 4.2, 6), penalties=(3e-7, 3e-8)),
}
CUBIC = Study((10, 14, 20, 28), 5, CUBIC_GRIDS, target="hermite3", width_per_input=40)
QUICK_CUBIC = {
    "ntk": Grid(3, (0.13, 0.2, 0.31, 0.48), padded=False),
    "quadratic": Grid(2, (2.2, 3.1, 4.4, 6.2), penalties=(3e-7, 3e-8)),
}
SMALL_CUBIC = Study((8, 14), 2, QUICK_CUBIC, target="hermite3", width_per_input=40)
UNEVEN_GRIDS = {
    "ntk": Grid(1, (0.8, 1.3, 2, 3, 4.5, 7, 10, 15, 22, 33, 50), padded=False),
    "quadratic": Grid(1, (0.8, 1.3, 2, 3, 4.5, 7, 10, 15, 22, 38)),
}
QUICK_UNEVEN = {
    "ntk": Grid(1, (0.5, 0.8, 1.3, 2, 3, 4.5, 7), padded=False),
    "quadratic": Grid(1, (0.5, 0.8, 1.3, 2, 3, 4.5, 7)),
}
