"""The one scale of shades: even steps of lightness from white to a dark blue, as on the page.

Colours are mixed in Oklab (Björn Ottosson, "A perceptual color space for image processing", 2020),
which is what CSS does for ``color-mix(in oklab, ...)``.
"""

import numpy as np
from numpy.typing import NDArray

_PAPER, _STRONG = np.array([255, 255, 255]) / 255, np.array([11, 61, 145]) / 255
_FROM_LAB = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
_FROM_LMS = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def colour(shade: float) -> tuple[float, float, float]:
    """Red, green and blue, 0 to 1, of a shade from 0, white, to 1."""
    paper, strong = _to_oklab(_PAPER), _to_oklab(_STRONG)
    lms = (_FROM_LAB @ (paper + (strong - paper) * shade)) ** 3
    linear = np.clip(_FROM_LMS @ lms, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = encoded.tolist()
    return red, green, blue


def _to_oklab(encoded: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return np.linalg.solve(_FROM_LAB, np.cbrt(np.linalg.solve(_FROM_LMS, linear)))
