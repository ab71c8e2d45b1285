"""Several pictures on one sheet: grids, and rows with captions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from consingan.grid import sizes
from consingan.grid.kinds import Kind
from consingan.grid.resize import resize
from consingan.pictures.arrays import one_picture, with_channels
from consingan.pictures.decoding import in_unit

SMALLEST_TEXT, TEXT_SHARE = 10, 20  # px of a caption at least; else that share of the widest picture
CHECK, DARKER = 8, 0.4  # px of a checkerboard's squares, and how much darker than white every second one is
VIEW_SIDE = 480  # px, the longer side of a picture in a side by side view


def grid(pictures: Sequence[Tensor], columns: int | None = None, gap: int = 2) -> Tensor:
    """Pictures on a white sheet, row by row: ``[1, C, H', W']`` in [-1, 1], in colour if any of them is.

    Every cell has the size of the largest picture, smaller ones are centred.

    Args:
        pictures: ``[1, C, H, W]`` or ``[C, H, W]`` in [-1, 1], of any sizes.
        columns: of the sheet; about as many as rows if None.
        gap: white pixels between cells; none lie at the rim.

    Raises:
        ValueError: there are no pictures.
    """
    if not pictures:
        raise ValueError("a grid needs at least one picture")
    cells = [one_picture(picture).float() for picture in pictures]
    count = max(cell.shape[1] for cell in cells)
    height, width = (max(cell.shape[side] for cell in cells) for side in (2, 3))
    columns = max(1, min(columns or math.ceil(math.sqrt(len(cells))), len(cells)))
    rows = math.ceil(len(cells) / columns)
    sheet = torch.ones(1, count, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for index, cell in enumerate(cells):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[:, :, top : top + height, left : left + width] = _centred(with_channels(cell, count), height, width)
    return sheet


def labelled_row(items: Sequence[tuple[str, Tensor]], gap: int = 4) -> Tensor:
    """Pictures side by side, captions below: ``[1, C, H', W']`` in [-1, 1], in colour if any of them is.

    Pictures are centred to the height of the largest, captions stand on one line in black on white; a cell is as wide
    as the wider of picture and caption.

    Args:
        items: captions and pictures ``[1, C, H, W]`` or ``[C, H, W]`` in [-1, 1], of any sizes.
        gap: white pixels between cells.

    Raises:
        ValueError: there are no pictures.
    """
    pictures = [one_picture(picture).float() for _, picture in items]
    if not pictures:
        raise ValueError("a row needs at least one picture")
    height = max(SMALLEST_TEXT, max(picture.shape[3] for picture in pictures) // TEXT_SHARE)
    captions = [_caption(text, height) for text, _ in items]
    count = max(picture.shape[1] for picture in pictures)
    tallest = max(picture.shape[2] for picture in pictures)
    cells = []
    for picture, caption in zip(pictures, captions, strict=True):
        width = max(picture.shape[3], caption.shape[3])
        above = _centred(with_channels(picture, count), tallest, width)
        below = _centred(with_channels(caption, count), caption.shape[2], width)
        cells.append(torch.cat([above, below], dim=2))
    return torch.cat([F.pad(cell, (0, gap), value=1.0) for cell in cells[:-1]] + cells[-1:], dim=3)


def side_by_side(items: Sequence[tuple[str, Tensor | None]], side: int = VIEW_SIDE) -> Tensor:
    """A row to judge by: pictures ``[1, C, H, W]`` of at most ``side`` px; those that are None are left out."""
    return labelled_row([(text, at_most(picture, side)) for text, picture in items if picture is not None])


def at_most(picture: Tensor, side: int) -> Tensor:
    """The picture ``[1, C, H, W]`` in [-1, 1], shrunk where its longer side is above ``side`` px."""
    return resize(picture, sizes.at_most(sizes.size_of(picture), side)).clamp(-1, 1)


def on_checks(picture: Tensor, kind: Kind | None) -> Tensor:
    """A picture ``[1, C, H, W]`` of a kind in grey or colour, transparent parts on a checkerboard; plain ones as is."""
    if kind is None or kind.plain:
        return picture
    rows, columns = (torch.arange(side, device=picture.device) // CHECK for side in picture.shape[2:])
    dark = (rows[:, None] + columns) % 2
    return kind.seen(picture.clamp(-1, 1), (1 - DARKER * dark)[None, None].to(picture.dtype))


def _caption(text: str, height: int) -> Tensor:
    """One line of text of a height in px, black on white, ``[1, 1, h, w]`` in [-1, 1]; h is the same for every text."""
    font = ImageFont.load_default(height)
    line = " ".join(text.split())
    left, _, right, _ = font.getbbox(line)
    tallest = font.getbbox("Agjy|")[3]
    strip = Image.new("L", (math.ceil(right - left) + 4, math.ceil(tallest) + 4), 255)
    ImageDraw.Draw(strip).text((2 - left, 2), line, fill=0, font=font)
    return in_unit(strip).mul_(2).sub_(1)


def _centred(picture: Tensor, height: int, width: int) -> Tensor:
    """The picture in the middle of a white ``[1, C, height, width]``."""
    down, across = height - picture.shape[2], width - picture.shape[3]
    return F.pad(picture, (across // 2, across - across // 2, down // 2, down - down // 2), value=1.0)
