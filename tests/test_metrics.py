"""Quality figures against brute force, closed forms and recorded values."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

from consingan.errors import UserError
from consingan.metrics.features import patch_strips, patches_at, random_directions
from consingan.metrics.figures import coherence, completeness, copy_share, diversity, swd
from consingan.metrics.frechet import frechet_distance, sifid
from consingan.metrics.inception import InceptionTrunk, load_inception
from consingan.metrics.pictures import match
from consingan.metrics.statistics import (
    Gaussian,
    gaussian,
    nearest_distances,
    order_statistics,
    projected_quantiles,
)
from consingan.metrics.table import METRICS, evaluate

DEFAULT = [name for name, metric in METRICS.items() if not metric.network]


def blocks(height: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture of coloured blocks and grain, and two samples: new grain; the second has its blocks moved."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 232, (1, 3, height // 8 + 1, width // 8 + 1), generator=draw)
    coarse = coarse.repeat_interleave(8, 2).repeat_interleave(8, 3)[:, :, :height, :width]
    grain = torch.randint(0, 24, (3, 3, height, width), generator=draw)
    pictures = (torch.cat([coarse, coarse, coarse.roll((5, -3), (2, 3))]) + grain) / 255
    return pictures[:1], pictures[1:]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def all_patches(picture: torch.Tensor) -> np.ndarray:
    """[1, 3, H, W] -> [places, 147] in float64, by two loops."""
    pixels = picture[0].double().numpy()
    height, width = pixels.shape[1:]
    return np.array([pixels[:, i : i + 7, j : j + 7].ravel() for i in range(height - 6) for j in range(width - 6)])


def resized(picture: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return F.interpolate(picture, size=(height, width), mode="bicubic", antialias=True).clamp(0, 1)


# --- all five against the measuring script that the published comparison was made with

RECORDED = [  # real, samples (height, width, seed), tolerance, what the script says of PNG files of them
    # More patches than queries at half size, so the choice of queries is tested too.
    ((160, 150, 3), (160, 150, 3), 1e-5, (0.0035800098, 0.0068422711, 0.006129176, 0.12853986, 0.64548612)),
    ((41, 30, 4), (41, 30, 4), 1e-5, (0.0348710626, 0.0130268296, 0.0129935395, 0.0976190493, 0.707296550)),
    # Other sizes: the script rounds the resized picture to 8 bits, ours does not.
    ((160, 150, 3), (96, 120, 5), 1e-3, (0.0240673817, 0.0491029806, 0.0482229274, 0.0, 0.660969138)),
]


@pytest.mark.parametrize(("real", "samples", "tolerance", "recorded"), RECORDED)
def test_values_equal_the_recorded_ones(real, samples, tolerance, recorded):
    found = evaluate(blocks(*real)[0], blocks(*samples)[1])
    assert found == pytest.approx(dict(zip(DEFAULT, recorded, strict=True)), rel=tolerance)


# --- properties of all five


def test_copies_are_perfect_and_not_diverse():
    picture, _ = blocks(50, 41, seed=1)
    perfect = {"swd": 0, "coherence": 0, "completeness": 0, "copy": 1, "diversity": 0}
    assert evaluate(picture, picture.expand(3, -1, -1, -1)) == perfect


def test_smooth_copies_are_perfect():
    # Neighbouring patches are nearly equal here: the search may take one for the other, to no harm.
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    assert evaluate(ramp, ramp) == pytest.approx({"swd": 0, "coherence": 0, "completeness": 0, "copy": 1}, abs=1e-10)


def test_order_of_samples_is_irrelevant():
    picture, _ = blocks(30, 33, seed=1)
    samples = noise(4, 3, 30, 33)
    assert evaluate(picture, samples) == pytest.approx(evaluate(picture, samples.flip(0)), rel=1e-6)


@pytest.mark.parametrize("name", ["swd", "coherence", "completeness", "copy"])
def test_value_is_the_mean_over_samples(name):
    picture, samples = blocks(30, 33, seed=2)
    single = [METRICS[name](picture, sample[None]) for sample in samples]
    assert METRICS[name](picture, samples) == pytest.approx(sum(single) / 2, rel=1e-6)


@pytest.mark.parametrize("name", DEFAULT)
def test_grey_equals_grey_in_three_channels(name):
    picture, samples = noise(1, 1, 20, 21), noise(2, 1, 20, 21, seed=1)
    three = METRICS[name](picture.expand(-1, 3, -1, -1), samples.expand(-1, 3, -1, -1))
    assert METRICS[name](picture, samples) == three


def test_inputs_stay_as_they_were():
    picture, samples = blocks(20, 21, seed=5)
    before = picture.clone(), samples.clone()
    evaluate(picture, samples)
    assert torch.equal(picture, before[0])
    assert torch.equal(samples, before[1])


def test_evaluate_takes_names_in_order():
    picture, samples = blocks(20, 21, seed=5)
    found = evaluate(picture, samples, ("copy", "swd"))
    assert list(found) == ["copy", "swd"]
    assert found["swd"] == swd(picture, samples)
    with pytest.raises(ValueError, match="sharpness"):
        evaluate(picture, samples, ("swd", "sharpness"))


def test_evaluate_leaves_out_diversity_where_it_does_not_exist():
    picture, samples = blocks(20, 21, seed=5)
    without = list(DEFAULT[:4])
    assert DEFAULT[4] == "diversity"
    assert list(evaluate(picture, samples[:1])) == without
    assert list(evaluate(torch.full_like(picture, 0.5), samples)) == without


# --- swd


@pytest.mark.parametrize(("height", "width"), [(20, 25), (7, 7), (64, 66)])  # the last: over 2048 patches
def test_swd_by_sorting(height, width):
    picture, sample = noise(1, 3, height, width), noise(1, 3, height, width, seed=1) ** 2
    draws = torch.randn(147, 256, generator=torch.Generator().manual_seed(0)).double().numpy()
    directions = draws / np.linalg.norm(draws, axis=0)
    total = 0.0
    for scale in (1, 2, 4):
        sorted_ = []
        for x in (picture, sample):
            small = resized(x, max(8, round(height / scale)), max(8, round(width / scale)))
            sorted_.append(np.sort(all_patches(x if scale == 1 else small) @ directions, axis=0))
        ranks = np.rint(np.linspace(0, 1, 2048) * (len(sorted_[0]) - 1)).astype(int)
        total += np.abs(sorted_[0][ranks] - sorted_[1][ranks]).mean()
    assert swd(picture, sample) == pytest.approx(total / 3, rel=1e-4)  # ranks at .5 may round otherwise


def test_swd_of_uniform_pictures_is_the_mean_projection():
    grey = torch.full((1, 3, 30, 30), 0.5)
    sums = random_directions(256).double().sum((1, 2, 3)).abs().mean().item()
    assert swd(grey, grey + 0.25) == pytest.approx(0.25 * sums, rel=1e-5)


def test_directions_are_unit_vectors():
    assert random_directions(256).flatten(1).norm(dim=1) == pytest.approx(torch.ones(256), rel=1e-6)


def test_order_statistics_of_a_short_row():
    rows = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, -1.0]])
    assert order_statistics(rows, 3).tolist() == [[1, 2, 3], [-1, 0, 5]]


def test_quantiles_do_not_depend_on_the_budget():
    picture, directions = noise(1, 3, 40, 30), random_directions(12)
    whole = projected_quantiles(picture, directions, 100)
    for budget in (1, 34 * 24 * 5):
        torch.testing.assert_close(projected_quantiles(picture, directions, 100, budget), whole)


# --- coherence and completeness


def test_nearest_patches_by_all_distances():
    picture, sample = noise(1, 3, 40, 50), noise(1, 3, 40, 50, seed=1)
    real, found = (torch.from_numpy(all_patches(resized(x, 20, 25))) for x in (picture, sample))
    distances = torch.cdist(found, real).square() / 147
    assert coherence(picture, sample) == pytest.approx(distances.min(1).values.mean().item(), rel=1e-5)
    assert completeness(picture, sample) == pytest.approx(distances.min(0).values.mean().item(), rel=1e-5)


def test_a_part_of_the_picture_is_coherent_but_not_complete():
    picture, _ = blocks(64, 64, seed=6)
    part = picture[:, :, :32, :32].repeat(1, 1, 2, 2)
    assert coherence(picture, part) < 0.4 * completeness(picture, part)


def test_each_means_the_other_with_exchanged_pictures():
    picture, samples = blocks(40, 44, seed=7)
    assert coherence(picture, samples[1:]) == completeness(samples[1:], picture)


@pytest.mark.parametrize("chunk", [1, 100, 10**6])
def test_nearest_distances_do_not_depend_on_the_chunk(chunk):
    queries, picture = noise(1100, 147), noise(1, 3, 21, 30, seed=1)
    found = nearest_distances(queries, picture, chunk)
    torch.testing.assert_close(found, nearest_distances(queries, picture))


@pytest.mark.parametrize("chunk", [1, 50, 10**6])
def test_patches_are_listed_row_by_row(chunk):
    picture = noise(1, 3, 12, 17)
    patches = torch.from_numpy(all_patches(picture)).float()
    assert torch.equal(torch.cat(list(patch_strips(picture, chunk)), dim=1).T, patches)
    assert torch.equal(patches_at(picture, torch.tensor([65, 0, 11])), patches[[65, 0, 11]])


# --- copy and diversity


def test_copy_counts_windows_of_small_difference():
    picture = torch.full((1, 3, 20, 20), 0.5)
    sample = picture.clone()
    sample[:, :, :, 10:] += 0.08  # mean difference 0.0114 for each column of the window beyond the edge
    # A 7 px window starting at column j has j - 3 such columns: below 0.03 for j <= 5, of 14 starts.
    assert copy_share(picture, sample) == pytest.approx(6 / 14)
    assert copy_share(picture, picture + 0.0299) == 1
    assert copy_share(picture, picture + 0.0301) == 0


def test_copy_averages_over_channels():
    picture = torch.full((1, 3, 8, 8), 0.5)
    sample = picture.clone()
    sample[:, 0] += 0.08  # 0.08 / 3 < 0.03
    assert copy_share(picture, sample) == 1


def test_diversity_of_two_levels():
    picture = torch.zeros(1, 3, 8, 8)
    picture[:, :, :4] = 1  # 96 ones, 96 zeros: variance 0.25 * 192 / 191
    samples = torch.stack([torch.full((3, 8, 8), value) for value in (0.2, 0.4, 0.6)])  # deviation 0.2
    assert diversity(picture, samples) == pytest.approx(0.2 / (0.25 * 192 / 191) ** 0.5, rel=1e-6)


# --- sizes and wrong inputs


def test_match_is_pillows_bicubic():
    # Mild contrast: Pillow clips between the two directions, which shows where sharp edges overshoot.
    picture = ((blocks(60, 47, seed=8)[0] / 2 + 0.25) * 255).round() / 255
    image = Image.fromarray((picture[0] * 255).round().byte().permute(1, 2, 0).numpy())
    for height, width in [(31, 20), (90, 100), (60, 30)]:
        pillow = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32) / 255
        ours = match(picture, (height, width))[0].permute(1, 2, 0).numpy()
        difference = np.abs(ours - pillow) * 255
        assert difference.max() < 1.1  # Pillow rounds twice
        assert difference.mean() < 0.4
    assert match(picture, (60, 47)) is picture


def test_real_is_resized_to_the_samples():
    picture, _ = blocks(60, 48, seed=8)
    samples = match(picture, (40, 30))
    assert evaluate(picture, samples) == {"swd": 0, "coherence": 0, "completeness": 0, "copy": 1}


def test_smallest_picture_is_one_patch():
    assert evaluate(torch.zeros(1, 3, 7, 7), torch.zeros(1, 3, 7, 7))["copy"] == 1
    with pytest.raises(UserError, match=r"50 x 6 px.*7 x 7 px"):
        evaluate(torch.zeros(1, 3, 7, 7), torch.zeros(1, 3, 6, 50))


def test_diversity_refuses_what_it_cannot_measure():
    picture, samples = blocks(20, 20, seed=9)
    with pytest.raises(UserError, match="--num_samples"):
        diversity(picture, samples[:1])
    with pytest.raises(UserError, match=r"0\.250"):
        diversity(torch.full((1, 3, 20, 20), 0.25), samples)


def test_pixels_that_are_no_numbers_are_a_users_error():
    samples = noise(2, 3, 20, 20)
    samples[1, 0, 3, 4] = torch.nan
    with pytest.raises(UserError, match="diverged"):
        evaluate(noise(1, 3, 20, 20), samples)


@pytest.mark.parametrize(
    ("real", "samples"),
    [
        (torch.zeros(2, 3, 9, 9), torch.zeros(2, 3, 9, 9)),
        (torch.zeros(3, 9, 9), torch.zeros(2, 3, 9, 9)),
        (torch.zeros(1, 4, 9, 9), torch.zeros(2, 3, 9, 9)),
        (torch.zeros(1, 3, 9, 9), torch.zeros(0, 3, 9, 9)),
        (torch.full((1, 3, 9, 9), -1.0), torch.zeros(2, 3, 9, 9)),
    ],
    ids=["two real pictures", "no batch", "alpha", "no samples", "in [-1, 1]"],
)
def test_wrong_tensors_are_refused(real, samples):
    with pytest.raises(ValueError, match="must"):
        evaluate(real, samples)


# --- Frechet distance and SIFID


def random_gaussian(dimensions: int, rank: int, seed: int) -> Gaussian:
    draw = torch.Generator().manual_seed(seed)
    factor = torch.randn(dimensions, rank, generator=draw, dtype=torch.float64)
    return Gaussian(torch.randn(dimensions, generator=draw, dtype=torch.float64), factor @ factor.T)


@pytest.mark.parametrize("rank", [30, 4])  # full and singular
def test_frechet_distance_of_shifted_gaussians(rank):
    first = random_gaussian(30, rank, seed=0)
    shift = torch.linspace(-1, 2, 30, dtype=torch.float64)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-10)
    moved = Gaussian(first.mean + shift, first.covariance)
    assert frechet_distance(first, moved) == pytest.approx(shift.square().sum().item(), rel=1e-12)


def test_frechet_distance_of_commuting_gaussians():
    # Covariances with the same axes: the squared differences of the standard deviations add up.
    axes, _ = torch.linalg.qr(random_gaussian(5, 5, seed=1).covariance)
    a, b = torch.tensor([[1, 2, 3, 0, 5], [4, 2, 1, 3, 0]], dtype=torch.float64)
    mean = torch.zeros(5, dtype=torch.float64)
    first, second = (Gaussian(mean, (axes * deviations**2) @ axes.T) for deviations in (a, b))
    # a deviation of 0 is the root of a rounding error, so half of the digits are left
    assert frechet_distance(first, second) == pytest.approx((a - b).square().sum().item(), rel=1e-7)


def test_frechet_distance_of_any_gaussians():
    # tr (C1 C2)^(1/2) by the eigenvalues of the plain product, which is well conditioned here.
    first, second = random_gaussian(6, 12, seed=2), random_gaussian(6, 12, seed=3)
    roots = torch.linalg.eigvals(first.covariance @ second.covariance).real.sqrt().sum()
    spread = first.covariance.trace() + second.covariance.trace() - 2 * roots
    wanted = (first.mean - second.mean).square().sum() + spread
    assert frechet_distance(first, second) == pytest.approx(wanted.item(), rel=1e-10)
    assert frechet_distance(second, first) == pytest.approx(wanted.item(), rel=1e-10)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_gaussian_is_mean_and_covariance(chunk):
    features = noise(1, 5, 6, 9) + 3
    mean, covariance = gaussian(features, chunk)
    rows = features[0].flatten(1).double().numpy()
    np.testing.assert_allclose(mean, rows.mean(1), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(rows), rtol=1e-12, atol=1e-15)


def pixels(pictures: torch.Tensor) -> torch.Tensor:
    return pictures


def test_sifid_with_pixels_as_features():
    picture = noise(1, 3, 12, 14) / 2
    shift = torch.tensor([0.1, 0.2, 0.3])[None, :, None, None]
    mixed = picture[:, :, torch.randperm(12, generator=torch.Generator().manual_seed(0))]
    assert sifid(picture, mixed, pixels) == pytest.approx(0, abs=1e-12)  # places do not count
    assert sifid(picture, mixed + shift, pixels) == pytest.approx(0.01 + 0.04 + 0.09, rel=1e-5)
    assert sifid(picture, torch.cat([mixed, picture + shift]), pixels) == pytest.approx(0.07, rel=1e-5)


def test_sifid_with_scaled_pixels():
    picture = noise(1, 3, 12, 14)
    flat = picture.flatten(2).double()
    wanted = (0.5 * flat.mean(2)).square().sum() + (0.5 * flat.std(2)).square().sum()
    # Half the contrast is half of every deviation along the covariance's own axes.
    assert sifid(picture, picture / 2, pixels) == pytest.approx(wanted.item(), rel=1e-5)


def test_sifid_keeps_sizes_and_needs_two_positions():
    picture = noise(1, 3, 12, 14)
    assert sifid(picture, picture.repeat(2, 1, 2, 3), pixels) == pytest.approx(0, abs=1e-4)
    with pytest.raises(UserError, match="larger picture"):
        sifid(picture[:, :, :1, :1], picture, pixels)


# --- the Inception trunk


def random_weights(channels: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    weights = InceptionTrunk(channels).state_dict()
    for name in weights:
        if name.endswith("running_mean"):
            weights[name] = torch.randn_like(weights[name]) / 10
    return weights


@pytest.mark.parametrize(("channels", "shape"), [(64, (2, 64, 22, 29)), (192, (2, 192, 8, 12))])
def test_trunk_with_weights_from_a_file(tmp_path, channels, shape):
    path = tmp_path / "inception.safetensors"
    weights = random_weights(192)
    unused = {"Mixed_5b.branch1x1.conv.weight": torch.zeros(1), "fc.bias": torch.zeros(1000)}
    save_file(weights | unused, path)
    trunk = load_inception(path, channels)
    assert not trunk.training
    assert not any(parameter.requires_grad for parameter in trunk.parameters())
    pictures = noise(2, 3, 49, 63)
    features = trunk(pictures)
    assert features.shape == shape

    # The first layer by its formula, on values in [-1, 1].
    layer = "Conv2d_1a_3x3."
    x = F.conv2d(2 * pictures - 1, weights[layer + "conv.weight"], stride=2)
    mean, variance = weights[layer + "bn.running_mean"], weights[layer + "bn.running_var"]
    x = (x - mean[:, None, None]) / (variance[:, None, None] + 0.001).sqrt()
    torch.testing.assert_close(trunk.Conv2d_1a_3x3(2 * pictures - 1), x.relu())
    assert sifid(pictures[:1], pictures, trunk) > 0
    assert sifid(pictures[:1], pictures[:1], trunk) == pytest.approx(0, abs=1e-10)


def test_trunk_has_the_names_and_shapes_of_torchvision():
    shapes = {name: tuple(tensor.shape) for name, tensor in InceptionTrunk(192).state_dict().items()}
    assert len(shapes) == 5 * 6
    kernels = {name.split(".")[0]: shape for name, shape in shapes.items() if name.endswith("conv.weight")}
    assert kernels == {
        "Conv2d_1a_3x3": (32, 3, 3, 3),
        "Conv2d_2a_3x3": (32, 32, 3, 3),
        "Conv2d_2b_3x3": (64, 32, 3, 3),
        "Conv2d_3b_1x1": (80, 64, 1, 1),
        "Conv2d_4a_3x3": (192, 80, 3, 3),
    }
    assert shapes["Conv2d_4a_3x3.bn.running_var"] == (192,)


@pytest.mark.parametrize(("channels", "side"), [(64, 7), (192, 19)])
def test_trunk_refuses_pictures_without_a_position(channels, side):
    trunk = InceptionTrunk(channels).eval()
    assert trunk(noise(1, 3, side, side)).shape == (1, channels, 1, 1)
    with pytest.raises(UserError, match=rf"{side} px on each side"):
        trunk(noise(1, 3, side, side - 1))


def test_weights_with_other_names_or_shapes_are_refused(tmp_path):
    path = tmp_path / "inception.safetensors"
    weights = random_weights(64)
    del weights["Conv2d_2a_3x3.bn.bias"]
    save_file(weights, path)
    with pytest.raises(UserError, match=r"Conv2d_2a_3x3\.bn\.bias it has no such tensor"):
        load_inception(path)
    save_file(weights | {"Conv2d_2a_3x3.bn.bias": torch.zeros(31)}, path)
    with pytest.raises(UserError, match=r"shape of \[31\] instead of \[32\]"):
        load_inception(path)


def test_weights_without_training_counters_are_accepted(tmp_path):
    path = tmp_path / "inception.safetensors"
    weights = random_weights(64)
    save_file({name: weights[name] for name in weights if not name.endswith("num_batches_tracked")}, path)
    load_inception(path)


class Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["inception.pth", "inception.safetensors"])
def test_nothing_is_unpickled(tmp_path, name):
    path, mark = tmp_path / name, tmp_path / "unpickled"
    torch.save({"Conv2d_1a_3x3.conv.weight": Trap(mark)}, path)
    with pytest.raises(UserError, match=r"safetensors\.torch\.save_file"):
        load_inception(path)
    assert not mark.exists()


def test_the_advice_for_pth_files_works(tmp_path, monkeypatch):
    torch.save(random_weights(64), tmp_path / "inception.pth")
    with pytest.raises(UserError) as refusal:
        load_inception(tmp_path / "inception.pth")
    monkeypatch.chdir(tmp_path)
    for line in str(refusal.value).split("`")[1::2]:
        exec(line, globals())
    assert load_inception("inception.safetensors").channels == 64


def test_missing_weights_file(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_inception(tmp_path / "inception.safetensors")
