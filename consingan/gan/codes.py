"""Codes: what a generator is given beside its noise, for a head of the critic to read off the picture.

Source: Chen et al., "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial
Nets" (1606.03657).

The codes of a picture are a vector: the continuous ones, uniform in [-1, 1], then a number for each category, 1 for the
picture's and 0 for the others. Zeros are no code: those of the reconstruction. They enter stage 0 as constant maps
behind the channels of its input, so that a picture of any size, or a part of it, is made by the same codes; the
features carry them on through all later stages. In shape comments: B pictures, K the vector's length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from consingan.config import Codes
from consingan.errors import UserError
from consingan.gan.sources import channels_last
from consingan.grid.noise import Draw, Source

LARGEST = 2.0  # of a continuous code in a sample; learned are those up to 1
Range = tuple[float, float]


def drawn(codes: Codes, draw: Draw) -> Tensor:
    """The codes of a picture, ``[1, K]``, from the place of its random numbers."""
    numbers = draw.at("code").uniform((1, codes.codes + 1))
    category = (numbers[:, -1:] * codes.code_categories).floor()
    return torch.cat([2 * numbers[:, :-1] - 1, one_hot(codes, category)], dim=1)


def one_hot(codes: Codes, category: Tensor) -> Tensor:
    """``[B, 1]``, the number of a category -> ``[B, categories]``."""
    return (torch.arange(codes.code_categories, device=category.device) == category).to(category.dtype)


def joined(x: Tensor, values: Tensor) -> Tensor:
    """An input ``[B or 1, C, h, w]`` with the codes ``[B, K]`` behind its channels: ``[B, C + K, h, w]``."""
    if not values.shape[1]:
        return x
    batch, size = values.shape[0], x.shape[2:]
    maps = values.to(x)[:, :, None, None].expand(-1, -1, *size)
    return channels_last(torch.cat([x.expand(batch, -1, -1, -1), maps], dim=1))


def joining(source: Source, values: Tensor) -> Source:
    """A source of inputs with codes behind their channels, as ``joined``."""
    return (lambda window: joined(source(window), values)) if values.shape[1] else source


def replacing(source: Source, values: Tensor) -> Source:
    """A source of inputs with other codes ``[B, K]`` in place of those that they have."""
    count = values.shape[1]
    return (lambda window: joined(source(window)[:, :-count], values)) if count else source


# ---- codes as a person gives them


def parsed(words: Sequence[str], codes: Codes) -> dict[int, Range]:
    """``("0=-1..1", "1=0.5")`` -> ``{0: (-1, 1), 1: (0.5, 0.5)}``, by the number of the code; the category is the last.

    Raises:
        UserError: one is no such word, names no code of the model or one that another names, or is out of range.
    """
    found: dict[int, Range] = {}
    count = codes.codes + bool(codes.code_categories)
    if words and not count:
        raise UserError(f"--code {words[0]} needs a model with codes, and this one has none; train one with --codes 2.")
    for word in words:
        name, _, value = word.partition("=")
        ends = value.split("..")
        try:
            low, high = float(ends[0]), float(ends[-1])
        except ValueError:
            ends = []
        if not 1 <= len(ends) <= 2 or not (name.isascii() and name.isdigit() and len(name) < 4):
            raise UserError(f"--code is {word!r}; give NUMBER=VALUE, as 0=0.5, or NUMBER=FROM..TO, as 0=-1..1.")
        index = int(name)
        if index >= count:
            raise UserError(f"--code {word} names code {index}, but this model has codes 0 to {count - 1}; give one.")
        if index in found:
            raise UserError(f"--code {word} is the second for code {index}; give one.")
        check_range(codes, index, (low, high), word)
        found[index] = low, high
    return found


def check_range(codes: Codes, index: int, ends: Range, word: str) -> None:
    """Refuse values that a code cannot have; those of the category are whole numbers."""
    if index == codes.codes:
        most = codes.code_categories - 1
        if not all(end in range(most + 1) for end in ends):
            raise UserError(f"--code {word} is of the category; give a whole number from 0 to {most}.")
    elif not all(abs(end) <= LARGEST for end in ends):
        raise UserError(f"--code {word} is out of range; give numbers from {-LARGEST:g} to {LARGEST:g}.")


def fixed(found: Mapping[int, Range]) -> dict[int, float]:
    """Those that have one value."""
    return {index: low for index, (low, high) in found.items() if low == high}


def changed(codes: Codes, values: Tensor, given: Mapping[int, float]) -> Tensor:
    """The codes ``[B, K]`` with some of them given, by their number."""
    values = values.clone()
    for index, value in given.items():
        if index == codes.codes:
            values[:, index:] = one_hot(codes, values.new_full((len(values), 1), value))
        else:
            values[:, index] = value
    return values


def words(codes: Codes, values: Tensor) -> str:
    """The codes ``[1, K]`` of a picture as one types them: ``0=0.5 1=-0.31``; no category is not named."""
    (row,) = values.tolist()
    found = [f"{index}={value:.4g}" for index, value in enumerate(row[: codes.codes])]
    category = [f"{codes.codes}={number}" for number, value in enumerate(row[codes.codes :]) if value]
    return " ".join(found + category)


def facts(codes: Codes, values: Tensor) -> dict[str, str]:
    """The codes of a picture for its file, where its model has codes."""
    return {"codes": words(codes, values)} if codes.channels else {}
