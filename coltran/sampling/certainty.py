"""Draws pictures of how sure the colorizer was (paper, figures 5 and 12).

Each pixel shows the largest of the 512 probabilities that the colorizer gave when it chose that pixel's color. Near 1,
only one color was possible. Near 0, many were.
"""

from __future__ import annotations

import io

import numpy as np

_COLOR_MAP = "viridis"  # equal steps look equal, also to the color-blind and in gray print
_INCHES = 5.0
_MAX_ASPECT = 4.0  # of the picture; narrower or wider photos are shown with this aspect
_WIDE = 1.6  # from this aspect on, the color bar and its label fit better below
_DPI = 120


def certainty_map(max_probability_HW: np.ndarray, *, aspect: float | None = None, title: str | None = None) -> bytes:
    """Draws a map as a PNG file. Its color bar always reaches from 0 to 1, so that maps can be compared.

    Args:
      max_probability_HW: float [H, W] in 0..1, such as one of `pipeline.Result.max_probability`.
      aspect: the photo's width / height, with which to show the map; by default the map's own.
      title: a line above the map.
    Raises:
      ValueError: the array does not have two axes, or has values outside 0..1 or NaN.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    _check(max_probability_HW)
    height, width = max_probability_HW.shape
    shown = min(max(aspect or width / height, 1 / _MAX_ASPECT), _MAX_ASPECT)
    wide = shown > _WIDE
    inches = (
        _INCHES * min(1.0, shown) + (0.2 if wide else 1.0),
        _INCHES * min(1.0, 1 / shown) + (0.8 if wide else 0.2) + (0.3 if title else 0),
    )
    figure = Figure(figsize=inches, layout="constrained")  # pyplot would keep the figure and need a display
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    drawn = axes.imshow(
        max_probability_HW, vmin=0, vmax=1, cmap=_COLOR_MAP, extent=(0, shown, 1, 0), interpolation="nearest"
    )
    axes.set_axis_off()
    if title:
        axes.set_title(title, fontsize=9)
    bar = figure.colorbar(drawn, location="bottom" if wide else "right", ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.set_label("probability of the most likely color", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def certainty_array(max_probability: np.ndarray) -> bytes:
    """Returns the bytes of a .npy file that holds the probabilities, float [H, W]."""
    buffer = io.BytesIO()
    np.save(buffer, max_probability)
    return buffer.getvalue()


def certainty_colors(max_probability_HW: np.ndarray) -> np.ndarray:
    """Draws only the map in the same colors, float [H, W] in 0..1 to uint8 [H, W, 3]. Raises as `certainty_map`."""
    import matplotlib

    _check(max_probability_HW)
    return matplotlib.colormaps[_COLOR_MAP](max_probability_HW, bytes=True)[..., :3]


def _check(max_probability_HW: np.ndarray) -> None:
    tiny = 1e-6  # in float32, the exp of a logarithm may be just above 1
    if max_probability_HW.ndim != 2 or not ((max_probability_HW >= 0) & (max_probability_HW <= 1 + tiny)).all():
        raise ValueError(f"expected probabilities [H, W] in 0..1, got an array {list(max_probability_HW.shape)}")
