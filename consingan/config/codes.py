"""The settings of codes (``gan.codes``)."""

from __future__ import annotations

from dataclasses import dataclass

from consingan.config.setting import setting


@dataclass(frozen=True)
class Codes:
    """What the generator is given beside its noise, for the critic to read off the picture (InfoGAN)."""

    codes: int = setting(
        0,
        "numbers from -1 to 1 that a sample is made by, each of which learns to change one thing in it",
        low=0,
        high=32,
    )
    code_categories: int = setting(
        0, "kinds that a sample is one of, as one code more, each of which learns to look different", low=0, high=32
    )
    code_weight: float = setting(
        30.0, "weight of the loss by which codes can be read off a sample; higher values make them change more", above=0
    )

    @property
    def channels(self) -> int:
        """Numbers that a sample's codes are: the continuous ones, and one for each category."""
        return self.codes + self.code_categories

    @property
    def flag(self) -> str:
        """The flag that asks for codes, as one types it."""
        return f"--codes {self.codes}" if self.codes else f"--code_categories {self.code_categories}"
