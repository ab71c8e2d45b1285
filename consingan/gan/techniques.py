"""Techniques that go with any objective, and the objective with them.

Source: Salimans et al., "Improved Techniques for Training GANs" (1606.03498), section 3: feature matching (3.1),
minibatch discrimination (3.2, ``minibatch``), historical averaging (3.3), one-sided label smoothing (3.4), virtual
batch norm (3.5, ``layers.VirtualNorm``). Beside these: spectral norms (``norms.Spectral``) and a mean of the
generator's weights, which samples are made with.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from consingan.config import Network, Train
from consingan.errors import UserError
from consingan.gan import album, norms
from consingan.gan.critics import Critic, PatchCritic
from consingan.gan.history import History
from consingan.gan.layers import widened
from consingan.gan.minibatch import Closeness
from consingan.gan.model import SingleImageModel
from consingan.gan.objectives import played
from consingan.gan.objectives.base import Labelled, Objective, Sight
from consingan.grid.noise import Draw

Loss = Callable[[Critic, Sight], dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Technique:
    """What is added to an objective, hook by hook; those that are not given do nothing.

    Args:
        remembered: by name what it remembers, as it is at the beginning of a stage.
        critic_loss, generator_loss: further losses, as the objective's own (``objectives.base.Objective``).
        after_critic: after each step of the critic.
        after_iteration: after an iteration, given what is remembered.
        work: further work of an iteration, in pictures that pass the critic once.
        draw: further random numbers of a step, as the objective's own.
        shown: what the critic is shown in a step, of what there is.
    """

    remembered: Mapping[str, Tensor] | None = None
    critic_loss: Loss = lambda critic, sight: {}
    generator_loss: Loss = lambda critic, sight: {}
    after_critic: Callable[[nn.Module], None] = lambda critic: None
    after_iteration: Callable[[Mapping[str, Tensor]], None] = lambda state: None
    work: float = 0.0
    draw: Callable[[Draw, int | None], dict[str, Tensor]] = lambda draw, step: {}
    shown: Callable[[Sight], Sight] = lambda sight: sight


@dataclass(frozen=True, eq=False)
class Improved:
    """An objective with techniques, itself one.

    Args:
        objective: whose numbers, figures and advice it has.
        settings: the configuration, for its critic.
        techniques: whose losses and hooks come after the objective's own.
    """

    objective: Objective
    settings: Train
    techniques: Sequence[Technique] = ()

    @property
    def judged(self) -> tuple[str, ...]:
        """The objective's."""
        return self.objective.judged

    @property
    def optimiser(self) -> str:
        """The objective's."""
        return self.objective.optimiser

    @property
    def advice(self) -> str:
        """The objective's."""
        return self.objective.advice

    def critic(self, network: Network) -> nn.Module:
        """The objective's, of spectral norms where these are wanted.

        Raises:
            UserError: a technique needs another critic than the objective's.
        """
        critic = self.objective.critic(network)
        needing = {
            "feature_matching": self.settings.techniques.feature_matching,
            "minibatch_discrimination": network.minibatch_discrimination,
        }
        for name, value in needing.items():
            if value and not isinstance(critic, PatchCritic):
                raise UserError(
                    f"--{name} {value:g} is for a critic that scores patches, which that of --objective "
                    f"{self.settings.objective.objective} does not; leave it out or choose another objective."
                )
        if network.spectral_norm:
            norms.normalise(critic)
        return critic

    def smallest(self, network: Network) -> int:
        """The objective's."""
        return self.objective.smallest(network)

    def begin(self) -> dict[str, Tensor]:
        """The objective's and the techniques'; those of parameters lie where these do."""
        return self.objective.begin() | remembered(self.techniques)

    def draw(self, draw: Draw, step: int | None, shape: Sequence[int]) -> dict[str, Tensor]:
        """The objective's and the techniques'."""
        numbers = self.objective.draw(draw, step, shape)
        for technique in self.techniques:
            numbers |= technique.draw(draw, step)
        return numbers

    def critic_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """As ``Objective.critic_loss``."""
        for technique in self.techniques:
            sight = technique.shown(sight)
        losses = self.objective.critic_loss(critic, sight)
        for technique in self.techniques:
            losses |= technique.critic_loss(critic, sight)
        return losses

    def generator_loss(self, critic: Critic, sight: Sight) -> dict[str, Tensor]:
        """As ``Objective.generator_loss``."""
        losses = self.objective.generator_loss(critic, sight)
        for technique in self.techniques:
            losses |= technique.generator_loss(critic, sight)
        return losses

    def after_critic(self, critic: nn.Module, state: Mapping[str, Tensor]) -> None:
        """As ``Objective.after_critic``."""
        self.objective.after_critic(critic, state)
        for technique in self.techniques:
            technique.after_critic(critic)

    def after_iteration(self, state: Mapping[str, Tensor], losses: Mapping[str, Tensor]) -> None:
        """As ``Objective.after_iteration``."""
        self.objective.after_iteration(state, losses)
        for technique in self.techniques:
            technique.after_iteration(state)

    def figures(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The objective's."""
        return self.objective.figures(losses)

    def measure(self, critic: Critic, sight: Sight, reconstruction: float) -> tuple[float, float]:
        """The objective's."""
        return self.objective.measure(critic, sight, reconstruction)

    def work(self, critic_steps: int) -> float:
        """As ``Objective.work``."""
        return self.objective.work(critic_steps) + sum(technique.work for technique in self.techniques)


# ---- from a configuration


def improved(settings: Train, techniques: Sequence[Technique] = ()) -> Objective:
    """What is learned by with a configuration: its objective, improved where it wants any technique.

    Args:
        settings: the configuration.
        techniques: bound to networks; without any it makes critics.

    Raises:
        UserError: it has no labels to smooth.
    """
    objective, share = played(settings.objective), settings.techniques.label_smoothing
    if share:
        smoothed = objective.smoothed(share) if isinstance(objective, Labelled) else None
        if smoothed is None:
            raise UserError(
                f"--label_smoothing {share:g} is for an objective with labels, which --objective "
                f"{settings.objective.objective} does not have; leave it out or choose another objective."
            )
        objective = smoothed
    return Improved(objective, settings, tuple(techniques)) if any_wanted(settings) else objective


def any_wanted(settings: Train) -> bool:
    """Whether a configuration wants a technique that has a hook, or a critic of its own."""
    network, wanted = settings.network, settings.techniques
    of_networks = network.virtual_batch_norm or network.spectral_norm or network.minibatch_discrimination
    return bool(of_networks or wanted.feature_matching or wanted.historical_averaging or wanted.ema or wanted.history)


def remembered(techniques: Iterable[Technique]) -> dict[str, Tensor]:
    """What techniques remember at the beginning of a stage."""
    found: dict[str, Tensor] = {}
    for technique in techniques:
        found |= {name: value.clone() for name, value in (technique.remembered or {}).items()}
    return found


def techniques(settings: Train, model: SingleImageModel, critic: nn.Module) -> Iterator[Technique]:
    """The techniques that a configuration wants, bound to these networks."""
    wanted, network = settings.techniques, settings.network
    if wanted.feature_matching:
        yield feature_matching(wanted.feature_matching)
    if wanted.historical_averaging:
        yield historical_averaging(wanted.historical_averaging, model.generator, critic)
    if network.minibatch_discrimination:
        yield remembering(next(module for module in critic.modules() if isinstance(module, Closeness)))
    if network.spectral_norm:
        yield Technique(after_critic=norms.iterate)
    if network.virtual_batch_norm:
        yield referring(model)
    if wanted.history:
        yield of_fakes(History(wanted.history), model)
    if wanted.ema:
        mean = of_generator(model.generator, wanted.ema)
        yield Technique(mean.begin(), after_iteration=mean.update)


# ---- the techniques


def feature_matching(weight: float) -> Technique:
    """``weight * |E f(real) - E f(fake)|^2`` for the generator (section 3.1).

    f are the features of the critic's last inner layer, and E is their mean over the patches of the one picture, in
    place of that over a batch.
    """

    def loss(critic: Critic, sight: Sight) -> dict[str, Tensor]:
        with torch.no_grad():
            wanted = mean_features(critic, sight.real)
        return {"features": weight * (wanted - mean_features(critic, sight.fake)).square().sum()}

    return Technique(generator_loss=loss, work=4)


def mean_features(critic: Critic, picture: Tensor) -> Tensor:
    """Features of the last inner layer, in the mean over the patches of a picture ``[1, C, h, w]``: ``[1, N]``."""
    return widened(critic.features(picture)[-1]).mean(dim=(2, 3))  # type: ignore[attr-defined]


def historical_averaging(weight: float, generator: nn.Module, critic: nn.Module) -> Technique:
    """``weight * |p - mean of p so far|^2`` for the parameters p of each network (section 3.3).

    The mean is that over the iterations of the stage: a stage begins with other networks, and fresh optimisers.
    """
    of = {name: Mean(f"history.{name}", net, 1.0) for name, net in (("generator", generator), ("critic", critic))}

    def loss(name: str) -> Loss:
        return lambda critic, sight: {f"{name}_history": weight * of[name].distance(sight.state)}

    def update(state: Mapping[str, Tensor]) -> None:
        for mean in of.values():
            mean.update(state)

    remembered = {name: value for mean in of.values() for name, value in mean.begin().items()}
    return Technique(remembered, loss("critic"), loss("generator"), after_iteration=update)


def remembering(closeness: Closeness) -> Technique:
    """The fake of an iteration is remembered for minibatch discrimination, after the losses on it."""

    def loss(critic: Critic, sight: Sight) -> dict[str, Tensor]:
        with torch.no_grad():
            closeness.remember(critic.features(sight.fake)[-1])  # type: ignore[attr-defined]
        return {}

    return Technique(generator_loss=loss, work=1)


def of_fakes(history: History, model: SingleImageModel) -> Technique:
    """The critic is shown fakes of earlier iterations of the stage in place of some of the new ones."""

    def shown(sight: Sight) -> Sight:
        return replace(sight, fake=history.shown(sight.fake, sight.drawn, sight.state))

    size = model.sizes[max(0, model.stages - 1)]
    begun = history.begin((1, model.generator.channels, *size), model.device)
    return Technique(begun, draw=history.draw, shown=shown)


def referring(model: SingleImageModel) -> Technique:
    """The reference of virtual batch norm is taken anew after each iteration; that is a pass of the generator."""
    anchors: list[Tensor] = []  # from the first iteration on, where a recording can read them

    def refer(state: Mapping[str, Tensor]) -> None:
        anchors.extend(() if anchors else norms.whole_anchors(model))
        norms.refer(model, anchors)

    return Technique(after_iteration=refer, work=2)


@dataclass(frozen=True, eq=False)
class Mean:
    """A mean of a network's parameters over iterations, in which each weighs ``keep`` times as much as the next.

    With n updates it is ``sum_i keep^(n - i) p_i / sum_i keep^(n - i)``: of the parameters that were, with no share of
    what came before the first. All of it lies on the device.

    Args:
        name: what its tensors' names begin with.
        network: whose parameters.
        keep: from 0 to 1; at 1 all weigh the same.
    """

    name: str
    network: nn.Module
    keep: float

    def begin(self) -> dict[str, Tensor]:
        """Before the first update: the parameters as they are, with no weight."""
        held = {self.called(name): p.detach() for name, p in self.network.named_parameters()}
        device = next(self.network.parameters()).device
        return held | {f"{self.name}_weight": torch.zeros(1, device=device)}

    @torch.no_grad()
    def update(self, state: Mapping[str, Tensor]) -> None:
        """Take in the parameters as they are, in place."""
        weight = state[f"{self.name}_weight"].mul_(self.keep).add_(1)
        for name, p in self.network.named_parameters():
            state[self.called(name)].lerp_(p, (1 / weight).to(p.dtype))

    def distance(self, state: Mapping[str, Tensor]) -> Tensor:
        """Squared distance of the parameters to the mean, 0-dim."""
        apart = [(p - state[self.called(name)]).square().sum() for name, p in self.network.named_parameters()]
        return torch.stack(apart).sum()

    def called(self, parameter: str) -> str:
        """The name of a parameter's mean."""
        return f"{self.name}.{parameter}"


def of_generator(generator: nn.Module, keep: float) -> Mean:
    """The mean of a generator's weights that samples are made with."""
    return Mean("average", generator, keep)


def averaged(model: SingleImageModel, state: Mapping[str, Tensor]) -> SingleImageModel:
    """The model as samples are made with it: with the mean of its weights where one is kept, else itself.

    Anchors and amplitudes are the model's own: they are part of the function that all these weights were learned for.
    """
    keep = model.settings.techniques.ema
    if not keep:
        return model
    twin = copy.copy(model)
    twin.generator = copy.deepcopy(model.generator)
    mean = of_generator(twin.generator, keep)
    with torch.no_grad():
        for name, p in twin.generator.named_parameters():
            p.copy_(state[mean.called(name)])
    norms.refer(twin)
    twin.pages = [album.sharing(page, twin.generator) for page in model.pages]
    return twin
