"""How sure an FID is, and what it would be with infinitely many images.

An FID of N images is off in two ways. It scatters, as any number from a sample does. And it is too high, by about b / N
with a b that depends on the images (`eval/distances/floor.py`), so that two FIDs may be compared only at the same N.
Both are measured here from the same features, by leaving images out:

- Scatter: the delete-group jackknife. The images are dealt into G groups; the FIDs without one group each show how much
  a group matters.
- Bias: the same FIDs are of (G - 1) / G of the images, and the difference to the FID of all, times G - 1, is b / N
  (`corrected`). Or smaller and smaller subsets are taken, and the line through FID against 1/N is followed to 1/N = 0
  (`infinite`; Chong and Forsyth 2020, "Effectively unbiased FID").

What is never done is a bootstrap: drawing N images with replacement repeats some, which doubles the bias that it should
measure. All subsets here are without replacement.

Both lines are straight only while every subset has more images than dims, so that its covariance has full rank. Below
that an FID grows less than 1/N: in simulation with 150 images of 128 dims `infinite` would keep 12% to 18% of the bias
(with 100 images, 34% to 46%). Where it is so, the fields are None rather than wrong.
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
    """An FID and how far to trust it; None where there are too few groups or images to say.

    Attributes:
      fid: of all groups merged, the FID as any tool would give it; biased up.
      standard_error: of `fid`, by the delete-group jackknife. About right where the two sets differ; about 1.5 times
        too large for two sets of one distribution, whose FID hardly scatters, and up to 1.4 times with hardly more
        images than dims. Being from G groups, it is itself uncertain by 1 / sqrt(2 (G - 1)), 24% for 10 groups.
      corrected: `fid` without its bias, by the jackknife; it scatters as `fid` does. May be negative: an unbiased
        estimate of something near 0 must be. None unless G - 1 groups have more images than dims, on both sides.
      infinite: intercept of the least squares of `curve` against 1/N. None unless half of the groups have more images
        than dims, on both sides. May be negative too.
      infinite_standard_error: of `infinite`. The subsets overlap, so that the residuals of the line say nothing of it;
        it is the jackknife's again, scaled by how unequally the fit weighs the groups (a few percent).
      curve: (N, mean FID of subsets of N fake images), ascending, the last of all images.
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

    For 10 groups it takes 19 distances: all images, 10 times all but a group, the two halves, and two subsets each of
    6, 7 and 8 groups. At 5000 images and 2048 dims they took 35 s together on 2 cores (benchmarks/fid.py), where
    one distance takes 1.5 s; memory peaks at 1.7 GB, the groups themselves included.

    Args:
      real: statistics of G disjoint groups of images, dealt at random, of sizes equal within 1. G = 10 is usual.
      fake: the same of the other side. Group i of both sides is left out together, so where fake images are made from
        real ones, both of a pair should be in groups of the same index.
      progress: called after every distance with how many are done and how many there are.

    A side of which only the statistics of the whole are known is given as one group. Then the groups of the other side
    alone are left out: `standard_error` is what comes from that side, the one that matters when colorizers are
    compared against one reference; `corrected`, `infinite` and the curve are left out, as the other half of the bias
    cannot be seen.

    Raises:
      UserError: fewer than 2 images on a side, different dims, or values that are not finite.
      ValueError: numbers of groups that differ (and neither is 1), or groups of unequal sizes.
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
    """The distance of some groups, and how many fake images they hold."""

    members: tuple[int, ...]
    count: int
    distance: float


def _checked(real: Sequence[Statistics], fake: Sequence[Statistics]) -> int:
    """The number of groups."""
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
    """Counts the images in the smallest `groups` of the groups. Of a side with one group nothing is left out."""
    counts = sorted(group.count for group in side)
    return sum(counts if len(side) == 1 else counts[:groups])


def _merged(side: Sequence[Statistics]) -> Statistics:
    merged = side[0]
    for group in side[1:]:
        merged = merged.merge(group)
    return merged


def _window_sizes(groups: int) -> tuple[int, ...]:
    """Numbers of groups of the curve's points: the half, and a few between it and the leave-one-outs."""
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
    """Distances of the subsets that `_subsets` names, the last of all groups."""
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
    """Indices and statistics of groups: per size the first groups, and the last half followed by the first ones; all
    leave-one-outs; and at last all.

    Each is the merge of a running prefix and a stored suffix, so that the cost grows with the number of groups and not
    with its square: a merge of 2048 dims moves 33 MB. The suffixes are what takes memory, 33 MB a group.
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
    """Intercept of the curve's points against 1/N, each point weighing the same, and how unevenly groups enter it.

    To first order, a subset's FID is off by the mean of what its groups are off by, u_g. The intercept, a weighted sum
    of subsets, is then off by sum_g c_g u_g with sum_g c_g = 1. Were all c_g = 1/G, it would scatter exactly as the FID
    of all images does; the windows make it sqrt(G sum c_g^2) times as much. In simulation (64 and 128 dims, flat
    and falling spectra, Gaussian and skewed features) the error so found was 0.9 to 1.2 times the true scatter. More
    weight for the points of more images lowered the scatter by 1% to 4%, which is not worth a rule.
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
