"""What the channels of a picture are, and how it is written down: 8 or 16 bits, with alpha or without.

Inside the program a picture with alpha is premultiplied: its colours are multiplied by how opaque they are, and the
alpha stands behind them. So a transparent pixel is 0 in all channels, whatever colour a file hides under it, and
whatever mixes pixels (resizing, convolutions, votes) mixes light and not hidden colours. Files hold straight colours.
Source: Porter and Duff, Compositing Digital Images, SIGGRAPH 1984, section 3.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

FULL = {"uint8": 255, "uint16": 65535}  # by depth, the value of full intensity
MOST = 8  # channels of a picture
SHORT = {"uint8": "8-bit", "uint16": "16-bit"}


@dataclass(frozen=True)
class Kind:
    """What a picture is.

    Args:
        channels: 1 to 8, the alpha among them.
        alpha: whether the last of them is one.
        depth: the type of a value in files, a key of ``FULL``.
    """

    channels: int = 3
    alpha: bool = False
    depth: str = "uint8"

    @property
    def colours(self) -> int:
        """Channels that are no alpha."""
        return self.channels - self.alpha

    @property
    def plain(self) -> bool:
        """Whether it is 8-bit grey or colour without alpha, which every format holds."""
        return self.channels in (1, 3) and not self.alpha and self.depth == "uint8"

    @property
    def words(self) -> str:
        """It, in a few words."""
        named = {1: "grey", 3: "colour"}.get(self.colours, f"{self.colours} channels")
        return f"{SHORT[self.depth]} {named}{' with alpha' if self.alpha else ''}"

    def values(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, values: Any, channels: int) -> Kind:
        """What a file says; 8 bits without alpha where it says nothing, as those of earlier versions.

        Args:
            values: from ``values``, or None.
            channels: of its model.

        Raises:
            ValueError: it makes no sense.
        """
        if values is None:
            return cls(channels)
        names = {"channels", "alpha", "depth"}
        if isinstance(values, dict) and set(values) == names and type(values["alpha"]) is bool:
            sound = values["channels"] == channels and values["depth"] in tuple(FULL)
            if sound and (not values["alpha"] or channels - 1 in (1, 3)):
                return cls(**values)
        raise ValueError("channels")

    def stored(self, x: Tensor) -> Tensor:
        """A premultiplied picture ``[B, C, H, W]`` in [-1, 1] as files hold it: straight, of the depth's type."""
        import torch

        levels = (self.straight(x.clamp(-1, 1)) + 1) * (FULL[self.depth] / 2)
        return levels.round().to(getattr(torch, self.depth)).contiguous()

    def light(self, levels: Tensor) -> Tensor:
        """What files hold as a premultiplied picture in [0, 1]; the inverse of ``stored`` but for the range."""
        return self.premultiplied(levels.float() / FULL[self.depth])

    def signed(self, levels: Tensor) -> Tensor:
        """What files hold as a premultiplied picture in [-1, 1]; the inverse of ``stored``."""
        if self.alpha:
            return self.light(levels) * 2 - 1
        return levels.float() / (FULL[self.depth] / 2) - 1

    def premultiplied(self, x: Tensor) -> Tensor:
        """A straight picture ``[B, C, H, W]`` in [0, 1], its colours multiplied by its alpha."""
        if not self.alpha:
            return x
        import torch

        alpha = x[:, -1:]
        return torch.cat([x[:, :-1] * alpha, alpha], dim=1)

    def straight(self, x: Tensor) -> Tensor:
        """A premultiplied picture in [-1, 1] with straight colours, in [-1, 1]; those of what is transparent are black.

        A network may make colours that are brighter than their alpha allows; they are as bright as can be.
        """
        if not self.alpha:
            return x
        import torch

        alpha = (x[:, -1:] + 1) / 2
        least = 0.5 / FULL[self.depth]  # what is rounded to transparent
        colour = ((x[:, :-1] + 1) / 2 / alpha.clamp_min(least)).clamp(0, 1)
        return torch.cat([torch.where(alpha < least, 0.0, colour), alpha], dim=1) * 2 - 1

    def seen(self, x: Tensor, paper: Tensor | float = 1.0) -> Tensor:
        """A picture ``[B, C, H, W]`` as one looks at it, in grey or colour ``[B, 1 or 3, H, W]``, in [-1, 1].

        Alpha is laid on paper; of more than three colours the first three are shown, of two the first.

        Args:
            x: premultiplied, in [-1, 1].
            paper: in [-1, 1], a number or ``[1, 1, H, W]``.
        """
        shown = x[:, : 3 if self.colours >= 3 else 1]
        return shown + (1 - (x[:, -1:] + 1) / 2) * (paper + 1) if self.alpha else shown
