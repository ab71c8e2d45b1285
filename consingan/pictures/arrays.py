"""A picture as numbers: arrays and bytes to picture tensors and back, grey to colour and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from consingan.errors import UserError
from consingan.grid.kinds import MOST, Kind
from consingan.grid.sizes import are_pictures

CLEAR = (2, 4)  # channels of an array whose last is an alpha
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in grey (ITU-R BT.601)


def to_uint8(x: Tensor) -> np.ndarray:
    """A picture as bytes, rounded to the nearest of 0..255; what lies outside [-1, 1] is clamped.

    Args:
        x: ``[1, C, H, W]`` or ``[C, H, W]`` in [-1, 1].

    Returns:
        ``[H, W, 3]``, or ``[H, W]`` for C = 1.

    Raises:
        UserError: it holds NaN, which only a diverged model produces.
        ValueError: it has another shape.
    """
    planes = one_picture(x)[0].float()
    check_numbers(planes)
    levels = planes.add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return levels[0].numpy() if len(levels) == 1 else levels.permute(1, 2, 0).contiguous().numpy()


def from_array(array: np.ndarray | Tensor, channels: int | None = None) -> Tensor:
    """Pixel values as a picture tensor.

    Args:
        array: an array ``[H, W]`` or ``[H, W, C]`` of uint8 (0..255), uint16 (0..65535) or float in [0, 1], C at most
            8; or a tensor ``[C, H, W]`` or ``[1, C, H, W]`` of floats in [-1, 1]. Of 2 and 4 channels the last is the
            alpha: arrays have straight colours, tensors premultiplied ones.
        channels: 1 converts colour to grey, 3 repeats grey; None keeps what it is.

    Returns:
        ``[1, C, H, W]``, float32 in [-1, 1]; premultiplied.

    Raises:
        UserError: another shape, type or range.
    """
    check_channels(channels)
    picture = _from_tensor(array) if isinstance(array, Tensor) else _from_numpy(array)
    return with_channels(picture, channels or picture.shape[1], darkest=-1)


def kind_of(array: np.ndarray | Tensor, channels: int) -> Kind:
    """What an array or tensor is, see ``from_array``: of 16 bits where an array has them, or floats; else of 8."""
    deep = isinstance(array, np.ndarray) and array.dtype.itemsize > 1
    return Kind(channels, channels in CLEAR, "uint16" if deep else "uint8")


def check_channels(channels: int | None) -> None:
    """Refuse a number of channels that no picture has.

    Raises:
        UserError: it is not 1 to 8, nor None, which means as many as the picture has.
    """
    if channels is not None and not 1 <= channels <= MOST:
        raise UserError(f"channels is {channels}: use 1 for grey, 3 for colour, or up to {MOST}")


def _from_numpy(array: np.ndarray) -> Tensor:
    if not isinstance(array, np.ndarray):
        raise UserError(f"a picture came as {type(array).__name__}: pass a numpy array or a torch tensor")
    planes = array[..., None] if array.ndim == 2 else array
    if planes.ndim != 3 or planes.shape[2] > MOST or planes.size == 0:
        raise UserError(f"a picture array has shape {array.shape}: pass [H, W] or [H, W, C] with C at most {MOST}")
    kind, size = array.dtype.kind, array.dtype.itemsize  # whatever the byte order
    full_scale = {("u", 1): 255, ("u", 2): 65535}.get((kind, size), 1 if kind == "f" else 0)
    if not full_scale:
        raise UserError(f"a picture array has type {array.dtype}: pass uint8, uint16 or float in [0, 1]")
    values = torch.from_numpy(np.array(planes.transpose(2, 0, 1), dtype=np.float32, order="C"))[None]
    values /= full_scale
    _check_range(values, 0, "float array")
    values = Kind(values.shape[1], values.shape[1] in CLEAR).premultiplied(values.clamp_(0, 1))
    return values.mul_(2).sub_(1)


def _from_tensor(x: Tensor) -> Tensor:
    if not x.is_floating_point():
        raise UserError(f"a picture tensor has type {x.dtype}: pass floats in [-1, 1] or a numpy array")
    picture = x[None] if x.ndim == 3 else x
    if picture.ndim != 4 or len(picture) != 1 or not 1 <= picture.shape[1] <= MOST or picture.numel() == 0:
        raise UserError(f"a picture tensor has shape {tuple(x.shape)}: pass [C, H, W] with C at most {MOST}")
    _check_range(x, -1, "tensor")
    return picture.detach().float()


def _check_range(x: Tensor, low: int, what: str) -> None:
    darkest, brightest = float(x.min()), float(x.max())
    if not (darkest >= low - 1e-3 and brightest <= 1 + 1e-3):  # written so that NaN fails too
        raise UserError(f"a picture {what} has values from {darkest:g} to {brightest:g}: scale them to [{low}, 1]")


def levels_of(x: Tensor, kind: Kind) -> np.ndarray:
    """A picture as files hold it: straight colours of the depth of its kind.

    Args:
        x: ``[1, C, H, W]`` or ``[C, H, W]`` in [-1, 1], premultiplied; what lies outside is clamped.
        kind: what it is.

    Returns:
        ``[H, W, C]``, or ``[H, W]`` for C = 1.

    Raises:
        UserError: it holds NaN.
        ValueError: it has another shape.
    """
    planes = one_picture(x, kind.channels).float()
    check_numbers(planes)
    levels = kind.stored(planes)[0].permute(1, 2, 0).contiguous().numpy()
    return levels[..., 0] if kind.channels == 1 else levels


def check_numbers(planes: Tensor) -> None:
    """Refuse NaN, which only a diverged model produces.

    Raises:
        UserError: says so.
    """
    if bool(planes.isnan().any()):
        raise UserError("the picture holds NaN values, the model that made it has diverged: train it again")


def coloured(levels: np.ndarray) -> np.ndarray:
    """Grey with alpha ``[H, W, 2]`` as colour with alpha ``[H, W, 4]``; the latter as it is."""
    return levels if levels.shape[2] == 4 else levels[..., [0, 0, 0, 1]]


def one_picture(x: Tensor, channels: int | None = None) -> Tensor:
    """A picture ``[1, C, H, W]`` or ``[C, H, W]`` as ``[1, C, H, W]`` on the CPU.

    Args:
        x: the picture.
        channels: that it must have; 1 or 3 if None.

    Raises:
        ValueError: it has another shape.
    """
    x = x[None] if x.ndim == 3 else x
    if channels is not None and x.ndim == 4 and x.shape[:2] == (1, channels) and x.numel():
        return x.detach().cpu()
    if not are_pictures(x) or len(x) != 1:
        raise ValueError(f"a picture is [1, C, H, W] or [C, H, W] with C = 1 or 3, not {tuple(x.shape)}")
    return x.detach().cpu()


def as_seen(x: Tensor) -> Tensor:
    """Colours ``[B, C, H, W]`` as grey or red, green and blue: the first three of many, the first of two."""
    return x if x.shape[1] in (1, 3) else x[:, : 3 if x.shape[1] > 3 else 1]


def with_channels(x: Tensor, channels: int, darkest: float = 0.0) -> Tensor:
    """A picture in grey or in colour: ``[B, channels, H, W]``.

    Args:
        x: ``[B, C, H, W]``, C = 1 or 3, in [darkest, 1].
        channels: 1 for the luma, 3 for three equal channels of grey.
        darkest: the value of black.
    """
    if x.shape[1] == channels:
        return x
    if channels == 3:
        return x.repeat(1, 3, 1, 1)
    red, green, blue = x.split(1, dim=1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).clamp_(darkest, 1)
