"""Measures how sure an FID is, and what it would be with infinitely many images.

An FID of N images is off in two ways. It scatters, as any number from a sample does. It is also too high by about
b / N, and b depends on the images (`eval/distances/floor.py`). So two FIDs can only be compared at the same N. This
module measures both errors from the same features by leaving images out:

- For the scatter, it uses the delete-group jackknife. The images are dealt into G groups. The FIDs without one group
  each show how much a group matters.
- For the bias, it uses the same FIDs, which are of (G - 1) / G of the images. Their difference to the FID of all
  images, times G - 1, is b / N (`corrected`). The other way takes smaller and smaller subsets and follows the line
  through FID against 1/N to 1/N = 0 (`infinite`; Chong and Forsyth 2020, "Effectively unbiased FID").

We never use a bootstrap. It draws N images with replacement and so repeats some, which doubles the bias that it should
measure. All subsets here are drawn without replacement.

Both lines are straight only while every subset has more images than dims, so that its covariance has full rank. With
fewer images, an FID grows more slowly than 1/N. In simulation with 150 images of 128 dims, `infinite` would keep 12% to
18% of the bias (with 100 images, 34% to 46%). In that case the fields are None rather than wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from coltran.errors import UserError
from eval.distances.frechet import frechet_distance
from eval.distances.statistics import Statistics

_LEAST_GROUPS = 3
_MOST_WINDOW_SIZES = 3


@dataclass(frozen=True, kw_only=True)
class Spread:
    """An FID and how far to trust it. A field is None if there are too few groups or images to know it.

    Attributes:
      fid: FID of all groups merged, as any tool would compute it. It is biased up.
      standard_error: standard error of `fid` by the delete-group jackknife. It is about right if the two sets differ.
        It is about 1.5 times too large for two sets of one distribution, whose FID hardly scatters, and up to 1.4 times
        too large with hardly more images than dims. As it comes from G groups, it is itself uncertain by
        1 / sqrt(2 (G - 1)), which is 24% for 10 groups.
      corrected: `fid` without its bias, by the jackknife. It scatters as `fid` does. It may be negative, as an unbiased
        estimate of something near 0 must be. None unless G - 1 groups have more images than dims on both sides.
      infinite: intercept of the least-squares line of `curve` against 1/N. It may be negative too. None unless half of
        the groups have more images than dims on both sides.
      infinite_standard_error: standard error of `infinite`. The subsets overlap, so the residuals of the line do not
        show it. It is the jackknife's error, scaled by how unequally the fit weighs the groups (a few percent).
      curve: (N, mean FID of subsets of N fake images), ascending. The last entry has all images.
    """

    fid: float
    standard_error: float | None
    corrected: float | None
    infinite: float | None
    infinite_standard_error: float | None
    curve: tuple[tuple[int, float], ...]


def measure_spread(
    real: Sequence[Statistics], fake: Sequence[Statistics], progress: Callable[[int, int], None] | None = None
) -> Spread:
    """Measures an FID, its standard error and its bias from groups of images.

    For 10 groups it computes 19 distances: of all images, 10 times of all but one group, of the two halves, and of two
    subsets each of 6, 7 and 8 groups. At 5000 images and 2048 dims they took 35 s together on 2 cores
    (benchmarks/fid.py), where one distance takes 1.5 s. Memory peaks at 1.7 GB, which includes the groups themselves.

    If you only know the statistics of one side as a whole, give that side as one group. Then only the groups of the
    other side are left out. `standard_error` shows the scatter of that other side, which is the one that matters when
    you compare colorizers against one reference. `corrected`, `infinite` and the curve stay empty, because half of the
    bias cannot be seen.

    Args:
      real: statistics of G disjoint groups of images, dealt at random, with sizes equal within 1. G = 10 is usual.
      fake: the same for the other side. Group i of both sides is left out together. So if fake images are made from
        real ones, both images of a pair should be in groups of the same index.
      progress: called after every distance with the number done and the total number.

    Raises:
      UserError: a side has fewer than 2 images, the dims differ, or a value is not finite.
      ValueError: the numbers of groups differ (and neither is 1), or the groups have unequal sizes.
    """
    groups = _checked(real, fake)
    joint = len(real) == len(fake)
    least = min(_least_count(side, groups - 1) for side in (real, fake))
    if groups < _LEAST_GROUPS or least < 2:
        fid = frechet_distance(_merged(real), _merged(fake))
        if progress:
            progress(1, 1)
        return Spread(
            fid=fid, standard_error=None, corrected=None, infinite=None, infinite_standard_error=None, curve=()
        )
    least_half = min(_least_count(side, groups // 2) for side in (real, fake))
    sizes = _window_sizes(groups) if joint and least_half >= 2 else ()
    subsets = _distances(real, fake, sizes, progress)

    fid = subsets[-1].distance
    without = np.array([subset.distance for subset in subsets if len(subset.members) == groups - 1])
    error = float(np.sqrt((groups - 1) / groups * np.sum((without - without.mean()) ** 2)))
    infinite, unevenness = _extrapolate(subsets, groups)
    dims = real[0].dims
    return Spread(
        fid=fid,
        standard_error=error,
        corrected=float(groups * fid - (groups - 1) * without.mean()) if joint and least > dims else None,
        infinite=infinite if sizes and least_half > dims else None,
        infinite_standard_error=error * unevenness if sizes and least_half > dims else None,
        curve=tuple(_curve(subsets)) if sizes else (),
    )


@dataclass(frozen=True, kw_only=True)
class _Subset:
    """The distance of some groups, and the number of their fake images."""

    members: tuple[int, ...]
    count: int
    distance: float


def _checked(real: Sequence[Statistics], fake: Sequence[Statistics]) -> int:
    """Checks the sizes of both sides, and returns the number of groups."""
    for side in (real, fake):
        if not side:
            raise UserError("an FID needs at least 2 images in each set, got none")
        counts = [group.count for group in side]
        if max(counts) - min(counts) > 1:
            raise ValueError(f"expected groups of sizes equal within 1, got {min(counts)} to {max(counts)}")
    if len(real) != len(fake) and 1 not in (len(real), len(fake)):
        raise ValueError(f"expected as many groups on both sides, got {len(real)} and {len(fake)}")
    return max(len(real), len(fake))


def _least_count(side: Sequence[Statistics], groups: int) -> int:
    """Counts the images in the smallest `groups` of the groups. A side with one group counts as a whole."""
    counts = sorted(group.count for group in side)
    return sum(counts if len(side) == 1 else counts[:groups])


def _merged(side: Sequence[Statistics]) -> Statistics:
    merged = side[0]
    for group in side[1:]:
        merged = merged.merge(group)
    return merged


def _window_sizes(groups: int) -> tuple[int, ...]:
    """Returns the group counts of the curve's points: half of the groups, and a few counts up to all but one."""
    between = range(groups // 2 + 1, groups - 1)
    if len(between) > _MOST_WINDOW_SIZES:
        between = np.linspace(between[0], between[-1], _MOST_WINDOW_SIZES).round().astype(int).tolist()
    return (groups // 2, *between)


def _distances(
    real: Sequence[Statistics],
    fake: Sequence[Statistics],
    sizes: tuple[int, ...],
    progress: Callable[[int, int], None] | None,
) -> list[_Subset]:
    """Measures the distances of the subsets that `_subsets` yields. The last one is of all groups."""
    groups = max(len(real), len(fake))
    total = 2 * len(sizes) + groups + 1
    sides = [
        _subsets(side, sizes) if len(side) > 1 else zip(itertools.repeat(()), itertools.repeat(side[0]))
        for side in (real, fake)
    ]
    measured = []
    for (real_members, first), (fake_members, second) in zip(*sides, strict=False):
        distance = frechet_distance(first, second)
        members = real_members or fake_members
        measured.append(_Subset(members=members, count=second.count, distance=distance))
        if progress:
            progress(len(measured), total)
    return measured


def _subsets(groups: Sequence[Statistics], sizes: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Statistics]]:
    """Yields the indices and the merged statistics of subsets of the groups.

    For each size these are the first groups, and the last half followed by the first groups. There is also each subset
    without one group. The last one has all groups.

    Each subset merges a running prefix and a stored suffix, so the cost grows with the number of groups and not with
    its square. (A merge of 2048 dims moves 33 MB.) The suffixes take the memory, 33 MB per group.
    """
    number, half = len(groups), len(groups) // 2
    nothing = Statistics.empty(groups[0].dims)
    suffixes = [nothing]
    for group in reversed(groups):
        suffixes.append(group.merge(suffixes[-1]))
    suffixes.reverse()
    everything, prefix = tuple(range(number)), nothing
    for k in everything:
        if k in sizes:
            yield everything[:k], prefix
        if k + half in sizes:
            yield everything[number - half :] + everything[:k], suffixes[number - half].merge(prefix)
        yield everything[:k] + everything[k + 1 :], prefix.merge(suffixes[k + 1])
        prefix = prefix.merge(groups[k])
    yield everything, prefix


def _curve(subsets: list[_Subset]) -> Iterator[tuple[int, float]]:
    by_size = sorted(subsets, key=lambda subset: len(subset.members))
    for _, same in itertools.groupby(by_size, key=lambda subset: len(subset.members)):
        subsets_of_size = list(same)
        counts = [subset.count for subset in subsets_of_size]
        yield round(np.mean(counts)), float(np.mean([subset.distance for subset in subsets_of_size]))


def _extrapolate(subsets: list[_Subset], groups: int) -> tuple[float, float]:
    """Returns the intercept of the curve's points against 1/N, and how unevenly the groups enter it.

    Each point has the same weight. To first order, a subset's FID is off by the mean error of its groups, u_g. The
    intercept is a weighted sum of subsets, so it is off by sum_g c_g u_g with sum_g c_g = 1. If all c_g were 1/G, it
    would scatter exactly as the FID of all images does. The windows make it scatter sqrt(G sum c_g^2) times as much.
    In simulation (64 and 128 dims, flat and falling spectra, Gaussian and skewed features) this error was 0.9 to 1.2
    times the true scatter. More weight for the points of more images lowered the scatter by 1% to 4%, which is not
    worth a rule.
    """
    sizes = np.array([len(subset.members) for subset in subsets])
    points, which, repeats = np.unique(sizes, return_inverse=True, return_counts=True)
    inverse = 1 / points
    weights = 1 / len(points) - inverse.mean() * (inverse - inverse.mean()) / np.sum((inverse - inverse.mean()) ** 2)
    weights = (weights / repeats)[which]
    shares = np.zeros(groups)
    for subset, weight in zip(subsets, weights, strict=True):
        shares[list(subset.members)] += weight / len(subset.members)
    intercept = float(sum(weight * subset.distance for subset, weight in zip(subsets, weights, strict=True)))
    return intercept, float(np.sqrt(groups * np.sum(shares**2)))
