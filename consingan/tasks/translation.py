"""Two pictures, each made in the manner of the other, with its own content kept.

Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks" (1703.10593), for
two collections; Lin et al., "TuiGAN: Learning Versatile Image-to-Image Translation with Two Unpaired Images" (ECCV
2020), for two pictures and their pyramids; Kim et al., "Learning to Discover Cross-Domain Relations with Generative
Adversarial Networks" (1703.05192); Liu et al., "Unsupervised Image-to-Image Translation Networks" (1703.00848).

The branch "" has the picture of --input_name, the branch "target" that of --target_name. A branch's critic compares
with its own picture, and its generator sees the other's, cut to the shape of its own; so the branch "target" makes the
first picture in the manner of the second. G_b is the generator of branch b, and p the picture that it saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consingan.grid.sizes import size_of
from consingan.pictures.pyramid import Law, geometric
from consingan.tasks.base import Recipes, Use
from consingan.tasks.terms import Made, Term

if TYPE_CHECKING:
    from torch import Tensor

    from consingan.config import Train
    from consingan.config import Translation as Pair
    from consingan.grid.noise import Draw
    from consingan.tasks.terms import Coder

TARGET = "target"  # the branch of the second picture
BACK = {TARGET: "", "": TARGET}  # by branch the one whose generator goes the other way
COARSER = (1, 2)  # the scales that structure is kept at, as sides of squares that are taken together
CYCLE = "cycle"  # the name of the term, and of its weight among the numbers of an iteration

# The generator changes colours and shapes up to 80 px; above, the finish brings the other's strokes.
FAST: dict[str, Any] = {
    "objective": "lsgan",
    "alpha": 0.0,
    "identity": 0.2,  # more, and colours hardly change: docs/translation.md
    "structure": 0.3,  # without, two textures exchange light and dark; at 1 less of the manner comes
    "history": 50,
    "nfc": 32,
    "Dsteps": 1,
    "Gsteps": 1,
    "train_stages": 3,
    "min_size": 24,
    "max_size": 80,
    "niter": (500, 400, 300),
    "lr_scale": 0.5,
    "lr_g": "auto",
    "lr_d": "auto",
    "decay": "linear",
    "gamma": 0.02,
    "finish": "patches",
}
# Both papers train at the full size; networks and stages are ours.
CYCLEGAN: dict[str, Any] = {
    "objective": "lsgan",
    "alpha": 0.0,
    "history": 50,
    "Dsteps": 1,
    "Gsteps": 1,
    "lr_g": 2e-4,
    "lr_d": 2e-4,
    "decay": "linear",
    "gamma": 0.0,
    "finish": "none",
    "precision": "fp32",
}
TUIGAN: dict[str, Any] = {
    "objective": "wgan-gp",
    "alpha": 0.0,
    "cycle": 1.0,
    "identity": 1.0,
    "total_variation": 0.1,
    "train_depth": 1,
    "finish": "none",
    "precision": "fp32",
}
# Its authors' program weighs the reconstruction by a rate r and the critic by 1 - r, with r 0.01 in the first 10000
# iterations and 0.5 later. Here the critic weighs 1, and a share of the iterations stands for these.
DISCOGAN: dict[str, Any] = {
    "objective": "gan",
    "alpha": 0.0,
    "cycle": 1.0,
    "cycle_start": 0.01,
    "cycle_from": 0.2,
    "cycle_norm": "l2",
    "identity": 0.0,
    "Dsteps": 1,
    "Gsteps": 1,
    "lr_g": 2e-4,
    "lr_d": 2e-4,
    "finish": "none",
    "precision": "fp32",
}


@dataclass(frozen=True)
class Translation:
    """The other picture goes in at every stage; a picture in the manner of the own comes out."""

    name: str = "translation"
    summary: str = "two pictures, each in the manner of the other"
    border: str = "zero"
    sees: str = "a picture"
    takes_naive: bool = False
    first_noise: int = 20  # no stage takes noise alone
    sampling: Use = Use("translate")
    preview: Use = Use("translate", {"longest": 400})

    @property
    def recipes(self) -> Recipes:
        return {
            "fast": FAST,
            "quick": {**FAST, "niter": (300, 200, 120)},
            "best": {**FAST, "nfc": 64, "niter": (2500, 2000, 1500)},
            "paper": CYCLEGAN,
            "paper-cyclegan": CYCLEGAN,
            "paper-tuigan": TUIGAN,
            "paper-discogan": DISCOGAN,
        }

    @property
    def law(self) -> Law:
        return geometric

    def anchor(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return coarsest

    def first_input(self, coarsest: Tensor, draw: Draw) -> Tensor:
        return coarsest

    def further(self, settings: Train) -> Mapping[str, str | Path]:
        return {TARGET: str(settings.translation.target_name)}

    def entering(self, branch: str, pictures: Mapping[str, Tensor], draw: Draw) -> Tensor:
        from consingan.grid.resize import resize

        own, other = pictures[branch], pictures[TARGET if branch == "" else ""]
        return resize(cut_to(other, size_of(own), draw.at("cut").numbers(2)), size_of(own)).clamp(-1, 1)

    def terms(self, settings: Train) -> Sequence[Term]:
        wanted = settings.translation
        found = [
            _cycle_of(wanted),
            Term("identity", wanted.identity, identity),
            Term("structure", wanted.structure, structure),
            Term("total_variation", wanted.total_variation, total_variation),
        ]
        if wanted.share == "latent":
            found += [Term("latent_kl", wanted.latent_kl, latent_kl), Term("autoencoder", wanted.autoencoder, rebuilt)]
        return [term for term in found if term.weight]


def cut_to(picture: Tensor, shape: tuple[int, int], where: Sequence[float]) -> Tensor:
    """The largest part of a picture that has the proportions of ``(H, W)``, to rounding: a view ``[1, C, h, w]``.

    Args:
        picture: ``[1, C, H', W']``.
        shape: ``(H, W)``.
        where: two numbers in [0, 1), how far down and right it lies.
    """
    height, width = size_of(picture)
    scale = min(height / shape[0], width / shape[1])
    h, w = max(1, round(scale * shape[0])), max(1, round(scale * shape[1]))
    top, left = int(where[0] * (height - h + 1)), int(where[1] * (width - w + 1))
    return picture[:, :, top : top + h, left : left + w]


# ---- the losses; differences are means over pixels and channels


def cycle(made: Mapping[str, Made], norm: str) -> Tensor:
    """``sum over both ways of |G_other(G_b(p)) - p|`` (CycleGAN, equation 2); or of squares (DiscoGAN, equation 3)."""
    apart = [made[BACK[name]].passed(one.fake) - _seen(one) for name, one in made.items()]
    return _total([x.square().mean() if norm == "l2" else x.abs().mean() for x in apart])


def cycle_weight(wanted: Pair, progress: float) -> float:
    """The weight of the cycle when a share ``progress`` of the training is done."""
    return wanted.cycle_start if progress < wanted.cycle_from else wanted.cycle


def _cycle_of(wanted: Pair) -> Term:
    """The cycle with its weight, or with that of each iteration where it changes."""
    if not wanted.cycle_from:
        return Term(CYCLE, wanted.cycle, lambda made: cycle(made, wanted.cycle_norm))
    return Term(CYCLE, 1.0, lambda made: made[""].given[CYCLE] * cycle(made, wanted.cycle_norm))


def latent_kl(made: Mapping[str, Made]) -> Tensor:
    """``sum over both of mean(m(p)^2) + mean(m_other(G_b(p))^2)``, m the mean of a code by the encoder that sees it.

    Up to a factor of a half, the divergence of N(m, 1) from N(0, 1) per number of the code, of the pictures and on the
    way back (UNIT, equations 3 and 5, with variances of 1 and the mean in place of the sum as in the authors' program).
    Its weight there is 0.1 beside 100 for the differences of pictures and 10 for the critic; ours is the tenth, as they
    are here.
    """
    found = []
    for name, one in made.items():
        found.append(_wide(_coder(one).mean(_seen(one))).square().mean())
        found.append(_wide(_coder(made[BACK[name]]).mean(one.fake)).square().mean())
    return _total(found)


def rebuilt(made: Mapping[str, Made]) -> Tensor:
    """``sum over both of |D_other(E_b(p)) - p|``: p is encoded by who sees it, and decoded in its own manner.

    The reconstruction of UNIT's autoencoders (equation 3; the absolute difference is the likelihood of a Laplace
    distribution, section 3). Identity in contrast takes a picture through the encoder of the other's, and the
    reconstruction of --alpha does so with the squared difference; both can be left out with this one.
    """
    apart = []
    for name, one in made.items():
        seen = _seen(one)
        again = _coder(made[BACK[name]]).decoded(_coder(one).code(seen), seen)
        apart.append((again - seen).abs().mean())
    return _total(apart)


def identity(made: Mapping[str, Made]) -> Tensor:
    """``sum over both of |G_b(b's own picture) - it|`` (CycleGAN, section 5.2)."""
    return _total([(one.reconstruction - one.real).abs().mean() for one in made.values()])


def structure(made: Mapping[str, Made]) -> Tensor:
    """``sum over both of 1 - r``, r the correlation of brightness of p and G_b(p) in windows of two sizes.

    Light stays light and dark dark: a critic of two textures is as content with the negative, and so is the cycle.
    """
    from consingan.pictures.structure import differences

    return _total([differences(_wide(_seen(one)), _wide(one.fake), COARSER) for one in made.values()])


def total_variation(made: Mapping[str, Made]) -> Tensor:
    """``sum over both of |difference of neighbours|`` of what is made, along both axes (TuiGAN, equation 6)."""
    found = []
    for one in made.values():
        x = _wide(one.fake)
        found.append((x[:, :, 1:] - x[:, :, :-1]).abs().mean() + (x[:, :, :, 1:] - x[:, :, :, :-1]).abs().mean())
    return _total(found)


def _seen(one: Made) -> Tensor:
    assert one.seen is not None  # the task is guided
    return one.seen


def _coder(one: Made) -> Coder:
    assert one.coder is not None  # the latent is shared
    return one.coder


def _wide(x: Tensor) -> Tensor:
    """At least float32."""
    return x if x.dtype.itemsize >= 4 else x.float()


def _total(losses: Sequence[Tensor]) -> Tensor:
    return sum(losses[1:], losses[0])
