"""The floor: two finite sets of images have a Frechet distance above 0 even if they come from one distribution.

A covariance of N images is off by chance, and two such covariances differ: the distance of two sets never averages to
0, but to a floor that falls as 1/N. It says how much of a measured FID would be there with perfect colors. For Gaussian
features whose covariance has the eigenvalues l_i, the second-order expansion of the trace of the root gives

    (1/N) [2 tr C + sum_ij l_i l_j (1 + d_ij) / (l_i + l_j)],    d_ij = 1 where i = j, else 0.

The first term is the difference of the two means, the second that of the two covariances.
"""

import numpy as np

from coltran.errors import UserError
from eval.distances.frechet import EIGENVALUE_CLIP
from eval.distances.statistics import Statistics


def expected_floor(statistics: Statistics, count: int) -> float:
    """Returns the expected Frechet distance between two independent sets of one distribution.

    Args:
      statistics: of any set of that distribution, at least 2 vectors; its covariance stands for the true one.
        Chance spreads its eigenvalues, which makes the floor too low: in simulation with 128 dims by 16% to 22% from
        twice as many vectors as dims, 8% to 12% from four times, 3% to 5% from ten times. Give the largest set there
        is.
      count: images in each of the two sets. The formula is the leading term in 1/count; in simulation it was within 2%
        from as many images as dims on, and 10% to 14% too high with half as many.

    Returns:
      A number >= 0.

    Raises:
      UserError: fewer than 2 vectors, or a count below 2.
    """
    if count < 2:
        raise UserError(f"a Frechet distance needs at least 2 images in each set, got {count}")
    values = np.linalg.eigvalsh(statistics.covariance)
    # Directions without spread add nothing; keeping them would divide 0 by 0, or rounding by rounding.
    values = values[values > EIGENVALUE_CLIP * values[-1]]
    pairs = np.outer(values, values)
    pairs /= values[:, None] + values
    # The diagonal of `pairs` is l_i / 2, and counts twice.
    return float(2 * values.sum() + pairs.sum() + values.sum() / 2) / count
