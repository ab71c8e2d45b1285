"""The settings of a training on several pictures of a kind (``training.album``)."""

from __future__ import annotations

from dataclasses import dataclass

from consingan.config.setting import setting

Words = tuple[str, ...]  # of a flag that may be given several times
Shares = tuple[float, ...]  # of a flag that takes a list of numbers


@dataclass(frozen=True)
class Album:
    """Further pictures that the same model learns from."""

    also: Words = setting(
        (),
        "a further picture of the same kind, for one model of all; --input_name a.jpg b.jpg means the same",
        file=True,
    )
    weights: Shares = setting(
        (),
        "how often each of several pictures is learned from, in their order, as 2,1,1; by default all alike",
        above=0,
        high=1000,
    )

    @property
    def pictures(self) -> int:
        """How many pictures the model learns from."""
        return 1 + len(self.also)

    @property
    def shares(self) -> Shares:
        """By picture the share of the iterations that learn from it; they sum to 1."""
        weights = self.weights or (1.0,) * self.pictures
        return tuple(weight / sum(weights) for weight in weights)

    def chosen(self, number: float) -> int:
        """The picture that a uniform number in [0, 1) stands for, from 0."""
        passed = 0.0
        for picture, share in enumerate(self.shares):
            passed += share
            if number < passed:
                return picture
        return self.pictures - 1
