"""Checks whether images and networks have sizes that fit, and resizes images so that they do."""

import numpy as np

from coltran.errors import UserError
from coltran.images import colors, geometry
from coltran.networks.colorizer import Colorizer
from coltran.networks.upsampler import Upsampler


def resized(largest: np.ndarray, fallback: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Makes gray images, uint8 [N,*size]. Takes `fallback` if it has that size, else resizes `largest` by area."""
    if fallback.shape[1:] == size:
        return fallback
    return np.stack([geometry.area_resize(image, *size) for image in largest])


def resized_coarse(coarse_NHW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes coarse colors to uint16 [N,*size] by area. Each channel goes to its nearest level."""
    if coarse_NHW.shape[1:] == size:
        return coarse_NHW
    rgb = np.stack([geometry.area_resize(image, *size) for image in colors.coarse_to_rgb(coarse_NHW)])
    return colors.rgb_to_coarse(rgb + (1 << colors.COARSE_BITS - 1))  # bins start at 224 or less: no overflow


def check_gray(name: str, gray: np.ndarray, size: tuple[int, ...]) -> None:
    """Raises UserError unless `gray` is uint8 [N,*size]."""
    if gray.dtype != np.uint8 or gray.ndim != 3 or gray.shape[1:] != size:
        raise UserError(f"{name} must be uint8 [N,{size[0]},{size[1]}], got {gray.dtype} {list(gray.shape)}")


def pixels(network: Colorizer | Upsampler | None) -> tuple[int, int] | None:
    """Returns (height, width) of the images that a network takes, or None without a network."""
    return None if network is None else (network.config.height, network.config.width)


def check_sizes(colorizer: Colorizer | None, color: Upsampler | None, spatial: Upsampler | None) -> None:
    """Raises UserError unless the three networks fit together."""
    if colorizer is not None and colorizer.config.num_symbols != colors.NUM_COARSE_COLORS:
        raise UserError(
            f"the colorizer has {colorizer.config.num_symbols} symbols; images need {colors.NUM_COARSE_COLORS}"
        )
    core, size = pixels(colorizer), pixels(color)
    if core and size and (size[0] < core[0] or size[1] < core[1]):
        text = f"{size[0]}x{size[1]}"
        raise UserError(f"the colorizer makes {core[0]}x{core[1]} pixels, the color upsampler takes {text}")
    low = size or core or (1, 1)
    if spatial is not None and (spatial.config.height % low[0] or spatial.config.width % low[1]):
        text = f"{spatial.config.height}x{spatial.config.width}"
        raise UserError(f"the spatial upsampler's {text} pixels are no whole multiple of {low[0]}x{low[1]}")
