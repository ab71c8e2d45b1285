"""Frechet distance of two Gaussians, and the single-image FID that is built on it."""

from collections.abc import Callable

import torch
from torch import Tensor

from consingan.metrics.pictures import as_rgb
from consingan.metrics.statistics import Gaussian, gaussian


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Squared Frechet (Wasserstein-2) distance of two Gaussians; 0 for equal ones.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^(1/2) C2 C1^(1/2))^(1/2))
    D. Dowson, B. Landau, "The Frechet distance between multivariate normal distributions", 1982.

    With A = C1^(1/2) C2^(1/2) the last root is (A A^T)^(1/2), and its trace the sum of A's singular values.
    Taken so it is exact to rounding for singular covariances too (more channels than positions): the
    eigenvalues of the product would square the numbers first and lose half the digits of the small ones.
    """
    shift = (first.mean - second.mean).square().sum()
    overlap = torch.linalg.svdvals(square_root(first.covariance) @ square_root(second.covariance)).sum()
    spread = first.covariance.trace() + second.covariance.trace() - 2 * overlap
    return (shift + spread.clamp_min(0)).item()  # the spread is never negative but for rounding


def square_root(covariance: Tensor) -> Tensor:
    """Symmetric square root of a symmetric matrix without negative eigenvalues but for rounding."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


@torch.no_grad()
def sifid(real: Tensor, samples: Tensor, network: Callable[[Tensor], Tensor]) -> float:
    """Single-image Frechet distance: that of deep features at all positions of one picture; lower is better.

    T. R. Shaham, T. Dekel, T. Michaeli, "SinGAN", ICCV 2019. Pictures keep their sizes. Values differ
    several times between implementations and between networks: compare them within one only.

    Args:
        real: ``[1, C, H, W]``, values in [0, 1]; C = 1 or 3.
        samples: ``[N, C, H', W']``, values in [0, 1].
        network: maps ``[1, 3, H, W]`` in [0, 1], on the CPU, to features ``[1, d, h, w]`` on any device; see
            ``inception.load_inception``.

    Returns:
        The mean over the samples.

    Raises:
        UserError: a picture is too small for the network, or holds what is not finite.
    """
    wanted = gaussian(network(as_rgb(real, "the real picture")))
    found = [gaussian(network(sample)) for sample in as_rgb(samples, "samples").split(1)]
    return sum(frechet_distance(wanted, each) for each in found) / len(found)
