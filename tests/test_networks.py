import pytest
import torch

from consingan.gan.critics import PatchCritic
from consingan.gan.generator import GrowingGenerator

SIZES = [(13, 17), (16, 21), (21, 27)]


def inputs_for(generator, sizes, batch=1):
    return [torch.randn(generator.input_shape(stage, size, batch)) for stage, size in enumerate(sizes)]


def test_published_parameter_counts():
    generator = GrowingGenerator()
    assert generator.parameters_with(6) == 668_227
    for _ in range(5):
        generator.grow()
    assert sum(p.numel() for p in generator.parameters()) == 668_227
    assert sum(p.numel() for p in PatchCritic().parameters()) == 113_153


def test_receptive_field_of_the_critic_is_11():
    critic = PatchCritic()
    x = torch.randn(1, 3, 31, 33, requires_grad=True)
    scores = critic(x)
    assert scores.shape == (1, 1, 21, 23)
    scores[0, 0, 10, 11].backward()
    touched = x.grad.abs().sum(dim=(0, 1)).nonzero()
    assert touched.min(dim=0).values.tolist() == [10, 11]
    assert touched.max(dim=0).values.tolist() == [20, 21]


@pytest.mark.parametrize("border", ["extend", "zero"])
@pytest.mark.parametrize(
    ("kernel", "layers", "padding"), [(3, 3, 0), (5, 2, 0), (3, 3, 1), (1, 2, 0), (3, 1, 0), (5, 3, 1)]
)
def test_every_geometry_keeps_the_stage_sizes(border, kernel, layers, padding):
    generator = GrowingGenerator(features=4, kernel=kernel, layers=layers, padding=padding, border=border)
    for grown in range(1, 4):
        sizes = SIZES[:grown]
        picture = generator(inputs_for(generator, sizes), [0.1] * grown, sizes)
        assert picture.shape == (1, 3, *sizes[-1])
        assert picture.abs().max() <= 1
        generator.grow()


@pytest.mark.parametrize("border", ["extend", "zero"])
def test_retargeted_and_odd_sizes(border):
    generator = GrowingGenerator(features=4, border=border)
    generator.grow()
    sizes = [(11, 40), (15, 83)]
    assert generator(inputs_for(generator, sizes), [1, 0.1], sizes).shape == (1, 3, 15, 83)


def test_a_new_stage_is_a_copy_that_shares_nothing():
    generator = GrowingGenerator(features=4)
    generator.grow()
    first, second = generator.stages
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.data_ptr() != b.data_ptr()


def test_growing_leaves_the_lower_stages_output_unchanged():
    generator = GrowingGenerator(features=8)
    inputs = inputs_for(generator, SIZES[:1])
    before = generator.features(inputs, [1.0], SIZES)
    generator.grow()
    assert torch.equal(generator.features(inputs, [1.0], SIZES), before)


@pytest.mark.parametrize("border", ["extend", "zero"])
def test_a_start_in_the_middle_equals_the_whole(border):
    generator = GrowingGenerator(features=8, border=border)
    generator.grow()
    generator.grow()
    inputs = inputs_for(generator, SIZES)
    below = generator.features(inputs[:2], [1, 0.1, 0.1], SIZES)
    whole = generator(inputs, [1, 0.1, 0.1], SIZES)
    assert torch.equal(generator(inputs, [1, 0.1, 0.1], SIZES, start=2, below=below), whole)


def test_the_residual_is_on_features():
    generator = GrowingGenerator(features=4, border="zero")
    generator.grow()
    torch.nn.init.zeros_(generator.stages[1][-1][0].weight)
    torch.nn.init.zeros_(generator.stages[1][-1][0].bias)
    inputs = inputs_for(generator, SIZES[:2])
    below = generator.features(inputs[:1], [1.0], SIZES)
    same_size = [SIZES[0], SIZES[0]]
    inputs[1] = torch.randn(generator.input_shape(1, SIZES[0]))
    assert torch.equal(generator.features(inputs, [1, 0.5], same_size), below)


def test_noise_reaches_the_edge_only_where_the_border_is_extended():
    for border, reaches in (("extend", True), ("zero", False)):
        generator = GrowingGenerator(features=4, border=border)
        assert (generator.input_shape(1, (20, 20))[2] > 20) is reaches


@pytest.mark.parametrize("norm", [False, True])
def test_pictures_of_a_batch_do_not_see_each_other(norm):
    generator = GrowingGenerator(features=8, norm=norm)
    inputs = inputs_for(generator, SIZES[:1], batch=3)
    together = generator(inputs, [1.0], SIZES)
    alone = torch.cat([generator([x], [1.0], SIZES) for x in inputs[0].split(1)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_norm_uses_the_picture_s_own_statistics_in_training_and_sampling():
    generator = GrowingGenerator(features=4, norm=True)
    x = inputs_for(generator, SIZES[:1])
    trained = generator.train()(x, [1.0], SIZES)
    assert torch.equal(generator.eval()(x, [1.0], SIZES), trained)
    convolution, norm, _ = generator.head
    out = norm(convolution(x[0]))
    spread = out.std(dim=(2, 3), unbiased=False)[0]
    torch.testing.assert_close(spread, norm.weight.detach().abs(), rtol=1e-2, atol=1e-3)


def test_initial_weights():
    torch.manual_seed(0)
    generator = GrowingGenerator(norm=True)
    convolution, norm, _ = generator.stages[0][0]
    assert convolution.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert norm.bias.abs().max() == 0


@pytest.mark.parametrize("activation", ["lrelu", "prelu"])
@pytest.mark.parametrize("slope", [0.05, 0.3])
def test_input_gradient_equals_autograd_and_so_does_a_loss_on_it(activation, slope):
    critic = PatchCritic(features=6, activation=activation, slope=slope).double()
    for parameter in critic.parameters():
        parameter.data *= 10  # far from the origin, so that many signs differ
    x = torch.randn(2, 3, 16, 17, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    got = critic.input_gradient(x.detach())
    torch.testing.assert_close(got, expected)
    loss = [(g.norm(dim=1) - 1).square().mean() for g in (expected, got)]
    wanted, had = (torch.autograd.grad(one, list(critic.parameters()), allow_unused=True) for one in loss)
    for a, b in zip(wanted, had, strict=True):
        zero = torch.zeros(())
        torch.testing.assert_close(
            (zero if b is None else b).sum(), (zero if a is None else a).sum(), check_dtype=False
        )
        if b is not None:
            torch.testing.assert_close(b, a)


def test_which_critics_are_piecewise_linear():
    assert [PatchCritic(activation=a).piecewise_linear for a in ("lrelu", "prelu", "elu", "selu")] == [1, 1, 0, 0]
