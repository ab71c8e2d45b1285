"""The settings of a task of two pictures, each to be made in the manner of the other (``tasks.translation``)."""

from __future__ import annotations

from dataclasses import dataclass

from consingan.config.setting import setting


@dataclass(frozen=True)
class Translation:
    """The other picture, and the losses that tie two generators together."""

    target_name: str | None = setting(None, "picture whose manner the first one takes, and the other way", file=True)
    cycle: float = setting(10.0, "weight of the loss of the way there and back", low=0)
    cycle_norm: str = setting(
        "l1", "difference that the way there and back is judged by: absolute or squared", choices=("l1", "l2")
    )
    cycle_start: float = setting(0.0, "weight of the same loss until --cycle_from", low=0)
    cycle_from: float = setting(
        0.0, "share of the training's iterations after which the way there and back has its weight", low=0, high=1
    )
    identity: float = setting(5.0, "weight of the loss by which a picture of the manner wanted stays as it is", low=0)
    structure: float = setting(
        0.0, "weight of the loss that keeps light and dark of the picture apart as they are, place by place", low=0
    )
    total_variation: float = setting(0.0, "weight of the loss that keeps translations smooth", low=0)
    share: str = setting(
        "none",
        "layers: the generators share their first layers and the critics their last ones, as CoGAN does; latent: the "
        "generators share what they say of a picture, with noise, as UNIT does; none: nothing",
        choices=("none", "layers", "latent"),
    )
    latent_kl: float = setting(
        0.01, "weight, where a latent is shared, of the loss that holds it to a standard normal distribution", low=0
    )
    autoencoder: float = setting(
        10.0, "weight, where a latent is shared, of the loss of each picture made of its own latent", low=0
    )
    guide_noise: float = setting(
        0.0, "deviation of the noise beside the picture at every stage, by which translations differ", low=0, high=10
    )
