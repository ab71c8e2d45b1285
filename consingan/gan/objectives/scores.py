"""What objectives share whose critics score patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.gan.critics import Critic


def balance(critic: Critic, real: Tensor, fake: Tensor) -> float:
    """Mean score of the picture less that of the made one, over the standard deviation of both pictures' scores.

    0 where the critic cannot tell them apart, 2 where it does so at every place.

    Args:
        critic: scores pictures.
        real, fake: ``[1, C, h, w]`` in [-1, 1].
    """
    import torch

    scores = critic(torch.cat([real, fake])).float()
    score_real, score_fake = scores.mean(dim=(1, 2, 3))
    return ((score_real - score_fake) / scores.std(correction=0).clamp_min(1e-12)).item()
