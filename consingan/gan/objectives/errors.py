"""What objectives share whose critics make pictures: how far a picture is from what the critic makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.gan.critics import Critic


def differences(critic: Critic, x: Tensor) -> Tensor:
    """What the critic makes of pictures ``[B, C, h, w]`` in [-1, 1], less these: of their shape, at least float32."""
    from consingan.gan.layers import widened

    return widened(critic(x)) - widened(x)
