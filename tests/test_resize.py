import numpy as np
import pytest
import torch
import torch.nn.functional as F

from consingan.grid.resize import aligned_weights, resize, separable, upsample

SIZES = [((25, 38), (31, 47)), ((31, 47), (37, 53)), ((40, 30), (20, 17)), ((9, 9), (8, 30)), ((12, 7), (12, 7))]


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_upsample_is_bicubic_with_aligned_corners(before, after):
    x = torch.randn(2, 3, *before, dtype=torch.float64)
    expected = F.interpolate(x, after, mode="bicubic", align_corners=True)
    torch.testing.assert_close(upsample(x, after), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_resize_is_antialiased_bicubic(before, after):
    x = torch.rand(1, 3, *before)
    expected = F.interpolate(x, after, mode="bicubic", antialias=True, align_corners=False)
    torch.testing.assert_close(resize(x, after), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("function", [resize, upsample])
@pytest.mark.parametrize(("before", "after"), [*SIZES, ((8, 8), (1, 1)), ((1, 5), (4, 9))])
def test_constants_stay_constant(function, before, after):
    x = torch.full((1, 2, *before), 0.7, dtype=torch.float64)
    torch.testing.assert_close(function(x, after), torch.full((1, 2, *after), 0.7, dtype=torch.float64))


def test_memory_formats_agree_and_are_kept():
    x = torch.randn(2, 8, 20, 30, dtype=torch.float64)
    nhwc = x.contiguous(memory_format=torch.channels_last)
    a, b = upsample(x, (27, 41)), upsample(nhwc, (27, 41))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-13)
    assert b.is_contiguous(memory_format=torch.channels_last)
    assert a.is_contiguous()


def test_gradients():
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: upsample(x, (8, 7)), x)


def test_a_part_of_the_rows_is_a_part_of_the_output():
    x = torch.randn(1, 4, 30, 20, dtype=torch.float64)
    rows = torch.from_numpy(aligned_weights(30, 12))
    columns = torch.from_numpy(aligned_weights(20, 9))
    whole = separable(x, rows, columns)
    torch.testing.assert_close(separable(x, rows[3:7], columns[2:]), whole[:, :, 3:7, 2:])


def test_weights_of_each_output_sum_to_one():
    np.testing.assert_allclose(aligned_weights(50, 13).sum(axis=1), 1)
