"""Masks: found, derived, widened, softened, blended; and the change carried to full resolution."""

import pytest
import torch

from consingan.errors import UserError
from consingan.grid.resize import resize
from consingan.pictures import images, masks
from consingan.pictures.transfer import carried, without_frame


def random_picture(height, width, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def box(height=60, width=80, rows=slice(20, 40), columns=slice(30, 50)):
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, rows, columns] = 1
    return mask


def test_mask_0_gives_the_input_and_mask_1_the_output_to_the_bit():
    naive, output = random_picture(9, 7), random_picture(9, 7, seed=1)
    assert torch.equal(masks.blend(naive, output, torch.zeros(1, 1, 9, 7)), naive)
    assert torch.equal(masks.blend(naive, output, torch.ones(1, 1, 9, 7)), output)
    half = masks.blend(naive, output, torch.full((1, 1, 9, 7), 0.5))
    torch.testing.assert_close(half, (naive + output) / 2)


@pytest.mark.parametrize("radius", [1, 2.5, 7, 20])
def test_dilation_of_a_point_is_a_disk(radius):
    point = torch.zeros(1, 1, 51, 51)
    point[0, 0, 25, 25] = 1
    rows, columns = torch.meshgrid(torch.arange(51) - 25, torch.arange(51) - 25, indexing="ij")
    inside = rows**2 + columns**2 <= radius**2
    assert torch.equal(masks.dilated(point, radius)[0, 0].bool(), inside & (rows.abs() <= int(radius)))


def test_dilation_below_a_pixel_is_none_and_dilation_is_monotone():
    mask = box()
    assert torch.equal(masks.dilated(mask, 0.9), mask)
    assert (masks.dilated(mask, 5) >= masks.dilated(mask, 3)).all()


@pytest.mark.parametrize("size", [(50, 60), (100, 120), (500, 600), (1500, 1800)])
def test_dilation_and_softness_scale_with_the_picture(size):
    height, width = size
    mask = box(height, width, slice(height * 2 // 5, height * 3 // 5), slice(width * 2 // 5, width * 3 // 5))
    soft = masks.softened(mask, dilation=7)
    assert soft.min() >= 0
    assert soft.max() <= 1
    assert soft[0, 0, height // 2, width // 2] > 0.95
    # along the middle row, the half level lies about 7 px of a 250 px picture outside the box
    row = soft[0, 0, height // 2]
    reach = (row > 0.5).sum().item() - mask[0, 0, height // 2].sum().item()
    assert reach / 2 == pytest.approx(7 * width / 250, abs=1.5 + 0.004 * width)
    far = int((7 + 4 * masks.SOFTNESS + 2) * width / 250) + 2
    left = width * 2 // 5 - far
    if left > 0:
        assert not row[:left].any()  # exactly 0, so that the naive picture is kept to the bit


def test_softness_is_a_gaussian_of_5_px_at_250_px():
    soft = masks.softened(box(250, 250, slice(0, 250), slice(0, 125)), dilation=0)[0, 0, 125]
    places = torch.arange(250) - 124.5  # px from the edge
    torch.testing.assert_close(soft, torch.special.ndtr(-places / 5), atol=5e-3, rtol=0)


def test_a_small_picture_is_softened_too():
    soft = masks.softened(box(12, 12, slice(4, 8), slice(4, 8)), dilation=20)
    assert soft.isfinite().all()


def test_any_extension_is_found_beside_the_naive_picture(tmp_path):
    naive = tmp_path / "a.jpg"
    assert masks.find(naive) is None
    images.save(tmp_path / "a_mask.webp", box() * 2 - 1)
    assert masks.find(naive) == tmp_path / "a_mask.webp"
    images.save(tmp_path / "a_mask.jpg", box() * 2 - 1)
    assert masks.find(naive) == tmp_path / "a_mask.jpg"  # the naive picture's own extension comes first


def test_a_mask_of_another_size_is_resized_and_can_be_inverted(tmp_path):
    file = tmp_path / "m.png"
    images.save(file, box(120, 160, slice(40, 80), slice(60, 100)) * 2 - 1)
    mask = masks.read(file, (60, 80))
    assert torch.equal(mask > 0.5, box() > 0.5)
    torch.testing.assert_close(masks.read(file, (60, 80), inverted=True), 1 - mask)


@pytest.mark.parametrize(
    ("mask", "size", "word"),
    [
        (torch.zeros(1, 1, 60, 80), (60, 80), "empty"),
        (torch.ones(1, 1, 60, 80), (60, 80), "full"),
        (box(), (60, 60), "another shape"),
    ],
)
def test_a_useless_mask_is_refused_in_a_sentence(tmp_path, mask, size, word):
    file = tmp_path / "m.png"
    images.save(file, mask * 2 - 1)
    with pytest.raises(UserError, match=word) as error:
        masks.read(file, size)
    assert str(file) in str(error.value)


def test_a_mask_is_derived_where_the_pictures_differ():
    training = resize(random_picture(8, 10), (100, 125)).clamp(-1, 1)
    naive = resize(training, (200, 250)).clamp(-1, 1)
    naive[:, :, 80:120, 100:160] = torch.tensor([1.0, -1.0, 1.0]).view(1, 3, 1, 1)
    derived = masks.derived(naive, training)
    assert derived is not None
    wanted = box(200, 250, slice(80, 120), slice(100, 160)) > 0.5
    found = derived > 0.5
    assert (found & wanted).sum() / (found | wanted).sum() > 0.75
    assert set(derived.unique().tolist()) == {0.0, 1.0}


def test_pale_and_thin_parts_of_an_object_are_derived_too():
    """A wall as bright as the sky behind it and a rail of one pixel, on a red tower; and a speck elsewhere is none."""
    sky = torch.full((1, 3, 200, 250), 0.5) + 0.02 * random_picture(200, 250, seed=3)
    wanted = torch.zeros(1, 1, 200, 250, dtype=torch.bool)
    wanted[:, :, 100:180, 90:120] = wanted[:, :, 60:100, 90:120] = wanted[:, :, 52:60, 104] = True
    naive = sky.clone()
    naive[:, :, 100:180, 90:120] = torch.tensor([0.8, -0.8, -0.8]).view(1, 3, 1, 1)
    naive[:, :, 60:100, 90:120] = 0.6
    naive[:, :, 52:60, 104] = 0.3
    naive[:, :, 20, 20] = -1
    derived = masks.derived(naive, sky)
    assert derived is not None
    found = derived > 0.5
    assert found[wanted].float().mean() > 0.99
    assert (found & ~wanted).sum() / wanted.sum() < 0.1
    assert not found[:, :, :40, :40].any()


def test_the_change_of_the_borders_comes_from_beside_them():
    before = 0.5 * random_picture(30, 40)
    after = before + 0.2
    framed = after.clone()
    framed[..., :2] = framed[..., -1:] = framed[:, :, :1] = framed[:, :, -2:] = 1
    torch.testing.assert_close(without_frame(before, framed), after)
    assert torch.equal(without_frame(before, framed)[:, :, 2:-2, 2:-2], after[:, :, 2:-2, 2:-2])
    tiny = random_picture(8, 8)
    assert torch.equal(without_frame(tiny, -tiny), -tiny)


def test_a_rim_of_any_strength_belongs_to_the_object_and_what_jpeg_leaves_does_not():
    mask = torch.tensor([0.0, 0.04, 0.15, 0.25, 0.6, 1.0]).view(1, 1, 1, 6)
    torch.testing.assert_close(masks.support(mask).flatten(), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0, 1.0]))


def test_a_part_that_was_moved_within_a_smooth_sky_is_derived_whole():
    """Its colours are nearly those of where it was put; in one corner of it there is something to see."""
    sky = torch.linspace(0.2, 0.8, 80)[:, None].expand(1, 3, 80, 120) * 2 - 1
    naive = sky.clone()
    naive[:, :, 20:50, 30:70] += 0.03
    naive[:, :, 40:50, 60:70] = -1
    wanted = torch.zeros(80, 120, dtype=torch.bool)
    wanted[20:50, 30:70] = True
    derived = masks.derived(naive, sky)
    assert derived is not None
    assert torch.equal(derived[0, 0] > 0.5, wanted)


def test_no_mask_is_derived_from_the_same_or_from_another_picture():
    training = random_picture(60, 80)
    assert masks.derived(training, training) is None
    assert masks.derived(random_picture(60, 80, seed=5), training) is None
    assert masks.derived(random_picture(60, 60, seed=5), training) is None


def test_no_change_carries_over_as_the_picture_itself():
    large = random_picture(90, 120)
    small = resize(large, (30, 40)).clamp(-1, 1)
    assert torch.equal(carried(large, small, small), large)


def test_at_the_same_size_the_change_is_the_result():
    picture, after = random_picture(30, 40), random_picture(30, 40, seed=1)
    assert torch.equal(carried(picture, picture, after), after)


def test_a_change_of_contrast_acts_on_detail_that_the_small_picture_does_not_have():
    large = 0.3 * resize(random_picture(12, 16), (120, 160)) + 0.1 * random_picture(120, 160, seed=2)
    small = resize(large, (30, 40))
    halved = 0.5 * small + 0.1
    result = carried(large, small, halved)
    torch.testing.assert_close(resize(result, (30, 40)), halved, atol=0.05, rtol=0)
    detail = large - resize(small, (120, 160))
    kept = result - resize(halved, (120, 160))
    gain = (kept * detail).sum() / detail.square().sum()
    assert 0.4 < gain < 0.85  # nearer to the half that the change asks for than to the whole
    torch.testing.assert_close(resize(carried(large, small, small + 0.2), (30, 40)), small + 0.2, atol=0.02, rtol=0)


def test_a_change_of_an_object_stops_at_its_edge_though_the_small_pictures_output_is_blurred():
    height, width, times = 40, 60, 4
    red, ochre, green = (
        torch.tensor(c).view(1, 3, 1, 1) for c in ([0.8, -0.8, -0.7], [0.4, 0.1, -0.6], [-0.4, 0.2, -0.5])
    )
    inside = torch.zeros(1, 1, height * times, width * times)
    inside[:, :, :, width * times // 2 :] = 1
    large, wanted = (inside * colour + (1 - inside) * green for colour in (red, ochre))
    small = resize(large, (height, width)).clamp(-1, 1)
    after = masks.blurred(resize(wanted, (height, width)), 1.5).clamp(-1, 1)
    result = carried(large, small, after)
    error = (result - wanted).abs().amax(dim=1)[0, height * times // 2]
    enlarged = (resize(after, (height * times, width * times)) - wanted).abs().amax(dim=1)[0, height * times // 2]
    assert enlarged.max() > 0.3  # so far from the object's edge does plain enlarging stand
    assert error.max() < 0.15
    assert error[: width * times // 2 - 12].max() < 0.02
    assert resize(result, (height, width))[0, 0, height // 2, -8:].mean() == pytest.approx(0.4, abs=0.02)


def test_a_change_that_takes_a_seam_away_takes_it_away_in_the_large_picture():
    large = torch.full((1, 3, 120, 160), -0.4)
    large[..., 80:] = 0.4
    small = resize(large, (60, 80)).clamp(-1, 1)
    after = masks.blurred(small, 6)
    result = carried(large, small, after, keep_edges=False)
    step = (result[..., 80] - result[..., 79]).abs().max()
    torch.testing.assert_close(resize(result, (60, 80)), after, atol=0.05, rtol=0)
    assert step < 0.25  # of 0.8
    kept = carried(large, small, after)
    assert (kept[..., 80] - kept[..., 79]).abs().min() > 1.3 * step


def test_texture_is_added_where_the_picture_is_flat():
    large = torch.zeros(1, 3, 120, 160)
    texture = 0.2 * (torch.arange(40) % 4 < 2).float().view(1, 1, 1, 40).expand(1, 3, 30, 40)
    result = carried(large, torch.zeros(1, 3, 30, 40), texture)
    torch.testing.assert_close(resize(result, (30, 40)), texture, atol=0.03, rtol=0)


def test_grey_pictures_are_carried_too():
    large = random_picture(90, 120)[:, :1]
    small = resize(large, (30, 40)).clamp(-1, 1)
    result = carried(large, small, (-small).clamp(-1, 1))
    correlation = torch.corrcoef(torch.stack([result.flatten(), large.flatten()]))[0, 1]
    assert correlation < -0.9
