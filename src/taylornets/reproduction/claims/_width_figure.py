"""The figure of certified gaps by width, for the claim `escape`."""

import numpy as np

from taylornets import statistics
from taylornets.records import Figure, Plot, Series


def width_figure(widths: tuple[int, ...], gaps: np.ndarray, rate: float, penalty: str) -> Figure:
    """Mean gaps by width, with the predicted rate through their center."""
    grid = np.asarray(widths, float)
    mean, low, high = statistics.spread(gaps)
    anchor = np.exp(np.mean(np.log(mean)) - rate * np.mean(np.log(grid)))
    series = (
        Series("certified relative gap of the trained network", grid, mean, low, high, group="a"),
        Series("theory: $m^{-1/2}$", grid, anchor * grid**rate, kind="theory", group="a"),
    )
    return Figure(
        "network_certificate",
        "The certificate of the randomized network becomes tighter with the width",
        (Plot("width $m$ (hidden units)", "certified relative gap", series, "log2", "log"),),
        f"Networks trained on their exact randomized risk (L-BFGS), {penalty}. The bound "
        f"covers every displacement of the network. Mean over {gaps.shape[0]} data sets, 95 % intervals.",
        highlight=True,
    )
