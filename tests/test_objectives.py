import pytest
import torch
from torch import nn

from consingan.gan.critics import PatchCritic
from consingan.gan.objectives import gradients
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.gradients import double_backward, fastest_input_gradient
from consingan.gan.objectives.wgan_gp import WganGp


class Linear(nn.Module):
    """D(x) = <w, x> per pixel: its gradient is w everywhere."""

    piecewise_linear = False

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))

    def forward(self, x):
        return torch.einsum("c,bchw->bhw", self.w, x)[:, None]


@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
def test_penalty_of_a_linear_critic_is_its_norm_s_distance_from_one(norm):
    critic = Linear([norm * 0.6, 0.0, norm * 0.8])
    real, fake = torch.rand(1, 3, 5, 6), torch.rand(1, 3, 5, 6)
    sight = Sight(real, fake, {"uniform": torch.tensor(0.3)}, {})
    terms = WganGp(0.1).composed().critic_loss(critic, sight)
    assert terms["penalty"].item() == pytest.approx(0.1 * (norm - 1) ** 2, abs=1e-6)
    assert terms["critic_real"].item() == pytest.approx(-critic(real).mean().item())
    assert terms["critic_fake"].item() == pytest.approx(critic(fake).mean().item())
    (loss,) = WganGp(0.1).composed().generator_loss(critic, sight).values()
    assert loss.item() == pytest.approx(-critic(fake).mean().item())


def test_the_penalty_is_taken_at_the_mixture(monkeypatch):
    seen = []

    def record(critic, x):
        seen.append(x)
        return x

    monkeypatch.setattr(gradients, "fastest_input_gradient", lambda critic: record)
    real, fake = torch.ones(1, 3, 12, 12), -torch.ones(1, 3, 12, 12)
    for u, expected in ((0.0, -1.0), (1.0, 1.0), (0.75, 0.5)):
        WganGp(1.0).composed().critic_loss(
            PatchCritic(features=2), Sight(real, fake, {"uniform": torch.full((1, 1, 1, 1), u)}, {})
        )
        assert seen[-1].unique().tolist() == [expected]


def test_both_ways_to_the_gradient_give_the_same_update(monkeypatch):
    critic = PatchCritic(features=8).double()
    real, fake = (torch.rand(1, 3, 20, 22, dtype=torch.float64) * 2 - 1 for _ in range(2))
    u = torch.rand(1, 1, 1, 1, dtype=torch.float64)
    updates = []
    for way in (double_backward, PatchCritic.input_gradient):
        critic.zero_grad()
        monkeypatch.setattr(gradients, "fastest_input_gradient", lambda critic, way=way: way)
        losses = WganGp(0.1).composed().critic_loss(critic, Sight(real, fake, {"uniform": u}, {}))
        torch.stack(list(losses.values())).sum().backward()
        updates.append([p.grad.clone() for p in critic.parameters()])
    for a, b in zip(*updates, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-8)  # the loss's own norm is taken in float32


def test_smooth_critics_take_the_double_backward():
    assert fastest_input_gradient(PatchCritic(features=2, activation="elu")) is double_backward
    assert fastest_input_gradient(PatchCritic(features=2)) is PatchCritic.input_gradient
