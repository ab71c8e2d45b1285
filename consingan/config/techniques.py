"""The settings of techniques that go with any objective (``gan.techniques``)."""

from __future__ import annotations

from dataclasses import dataclass

from consingan.config.setting import setting


@dataclass(frozen=True)
class Techniques:
    """What is added to an objective. Those that change the networks are settings of these."""

    feature_matching: float = setting(
        0.0, "weight of a loss that makes the critic's inner features of samples alike to the picture's", low=0
    )
    label_smoothing: float = setting(
        0.0, "how far the label of the real picture is below that of the objective, such as 0.1", low=0, high=0.5
    )
    historical_averaging: float = setting(
        0.0, "weight of a loss that keeps both networks near the mean of what they were in the stage", low=0
    )
    ema: float = setting(
        0.0,
        "samples are made with a running mean of the generator's weights; the share that it keeps in "
        "each iteration, such as 0.99; 0: with the weights themselves",
        low=0,
        high=0.99999,
    )
    history: int = setting(
        0, "samples of earlier iterations that the critic is shown in place of half of the new ones", low=0, high=1000
    )
