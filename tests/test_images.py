"""images.py against files whose pixels are known beforehand."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from torch import Tensor

from consingan.errors import UserError
from consingan.pictures import arrays, images, sheets

STEP = 2 / 255  # one level of 8 bits in [-1, 1]


def ramp(height: int = 9, width: int = 12, channels: int = 3) -> np.ndarray:
    """Bytes in which every pixel differs from its neighbours: a flip or a turn cannot go unseen."""
    count = height * width * channels
    values = (np.arange(count) * 37 % 256).astype(np.uint8)
    return values.reshape(height, width, channels) if channels > 1 else values.reshape(height, width)


def unit(pixels: Tensor) -> np.ndarray:
    """A loaded picture as [H, W, C] in 0..255, not rounded."""
    return ((pixels[0].permute(1, 2, 0).double() + 1) * 127.5).numpy()


def png_bytes(width: int, height: int, depth: int, kind: int, row: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand, for what Pillow cannot write; every row holds the same bytes."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = zlib.compress((b"\0" + row) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def tiff_bytes(array: np.ndarray, photometric: int = 1, planar: int = 1, bits: int = 0) -> bytes:
    """An uncompressed TIFF written by hand, for bit depths that Pillow reads but cannot write."""
    height, width = array.shape[:2]
    samples = array.shape[2] if array.ndim == 3 else 1
    kind = {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    tags = [
        (256, width),
        (257, height),
        (258, bits or array.dtype.itemsize * 8),
        (259, 1),
        (262, photometric),
        (273, 0),
        (277, samples),
    ]
    tags += [(278, height), (279, array.nbytes), (284, planar), (339, kind)]
    start = 8 + 2 + 12 * len(tags) + 4
    beyond = b""  # the values of tags with more than two parts
    plane = array.nbytes // samples
    entries = b""
    for tag, value in tags:
        parts = [value]
        if tag in (258, 339):
            parts = [value] * samples
        if tag in (273, 279) and planar == 2:
            parts = [plane * k if tag == 273 else plane for k in range(samples)]
        if tag == 273:
            parts = [part + start + 64 for part in parts]
        packed = struct.pack(f"<{len(parts)}I", *parts)
        if len(parts) > 1:
            offset = start + len(beyond)
            beyond += packed
            packed = struct.pack("<I", offset)
        entries += struct.pack("<HHI", tag, 4, len(parts)) + packed
    data = np.moveaxis(array, 2, 0) if planar == 2 else array
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)
    return head + beyond.ljust(64, b"\0") + data.tobytes()


# ------------------------------------------------------------------------------------------ plain formats


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".bmp"])
def test_lossless_formats_give_the_exact_values(tmp_path, suffix):
    values = ramp()
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(values).save(tmp_path / f"a{suffix}", **options)
    picture = images.load(tmp_path / f"a{suffix}")
    assert picture.pixels.dtype == torch.float32
    assert picture.pixels.shape == (1, 3, 9, 12)
    assert picture.pixels.is_contiguous()
    assert np.allclose(unit(picture.pixels), values, atol=1e-4)
    assert picture.notes == ()


def test_black_and_white_are_exactly_minus_one_and_one(tmp_path):
    Image.fromarray(np.uint8([[0, 255]] * 8).repeat(4, axis=1)).save(tmp_path / "a.png")
    pixels = images.load(tmp_path / "a.png").pixels
    assert pixels.unique().tolist() == [-1.0, 1.0]
    assert pixels[0, 0, 0].tolist() == [-1.0] * 4 + [1.0] * 4


def test_jpeg_is_close(tmp_path):
    values = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    Image.fromarray(values).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(unit(images.load(tmp_path / "a.jpg").pixels) - values).max() <= 3


def test_grey_modes_give_one_channel_and_say_so(tmp_path):
    values = ramp(channels=1)
    Image.fromarray(values).save(tmp_path / "grey.png")
    Image.fromarray(values > 127).save(tmp_path / "bits.png")
    grey, bits = images.load(tmp_path / "grey.png"), images.load(tmp_path / "bits.png")
    assert np.allclose(unit(grey.pixels)[..., 0], values, atol=1e-4)
    assert "grey" in " ".join(grey.notes)
    assert np.array_equal(bits.pixels[0, 0].numpy(), np.where(values > 127, 1.0, -1.0))


def test_colour_that_happens_to_be_grey_keeps_three_channels(tmp_path):
    grey = Image.fromarray(ramp(channels=1))
    grey.convert("RGB").save(tmp_path / "rgb.png")
    palette = Image.new("P", (9, 9), 1)
    palette.putpalette([0, 0, 0, 90, 90, 90])
    palette.save(tmp_path / "p.png")
    assert images.load(tmp_path / "rgb.png").pixels.shape[1] == 3
    assert np.allclose(unit(images.load(tmp_path / "p.png").pixels), 90, atol=1e-4)
    assert images.load(tmp_path / "p.png").pixels.shape[1] == 3


def test_channels_convert_both_ways(tmp_path):
    values = ramp()
    Image.fromarray(values).save(tmp_path / "rgb.png")
    Image.fromarray(values[..., 0]).save(tmp_path / "grey.png")
    grey = images.load(tmp_path / "rgb.png", channels=1)
    assert np.allclose(unit(grey.pixels)[..., 0], values @ np.array([0.299, 0.587, 0.114]), atol=1e-3)
    assert "converted to grey" in grey.notes[0]
    three = images.load(tmp_path / "grey.png", channels=3).pixels
    assert torch.equal(three[:, 0], three[:, 1])
    assert np.allclose(unit(three)[..., 2], values[..., 0], atol=1e-4)
    Image.new("RGB", (8, 8), "white").save(tmp_path / "white.png")
    assert float(images.load(tmp_path / "white.png", channels=1).pixels.max()) <= 1


@pytest.mark.parametrize(
    "name", ["no extension", "a.b.c.PNG", "-dash.png", "gr\u00fcn \u6a39.png", "really a png.jpg", "odd.xyz"]
)
def test_any_name_is_read(tmp_path, name, monkeypatch):
    Image.fromarray(ramp()).save(tmp_path / name, format="PNG")
    monkeypatch.chdir(tmp_path)
    for path in (name, tmp_path / name, str(tmp_path / name)):
        assert np.allclose(unit(images.load(path).pixels), ramp(), atol=1e-4)


# ------------------------------------------------------------------------------------------ deep formats


def test_sixteen_bit_grey_keeps_its_precision(tmp_path):
    values = np.full((8, 9), 32768, np.uint16)
    values[0, :4] = [0, 1, 65534, 65535]
    for name in ("a.png", "a.tif"):
        Image.fromarray(values).save(tmp_path / name)
        picture = images.load(tmp_path / name)
        assert picture.pixels.shape == (1, 1, 8, 9)
        assert abs(float(picture.pixels[0, 0, 5, 5])) < 2e-5
        assert np.abs(picture.pixels[0, 0].double().numpy() - (values / 32767.5 - 1)).max() < 1e-7
        assert "16-bit" in picture.notes[0]
    (tmp_path / "a.pgm").write_bytes(b"P5 9 8 65535\n" + values.astype(">u2").tobytes())
    assert torch.equal(images.load(tmp_path / "a.pgm").pixels, picture.pixels)


def test_sixteen_bit_grey_where_zero_is_white(tmp_path):
    values = np.full((8, 9), 65535, np.uint16)
    values[0, 0] = 0
    (tmp_path / "a.tif").write_bytes(tiff_bytes(values, photometric=0))
    pixels = images.load(tmp_path / "a.tif").pixels
    assert float(pixels[0, 0, 0, 0]) == 1
    assert float(pixels[0, 0, 1, 1]) == -1


def test_twelve_bit_grey_has_its_own_full_scale(tmp_path):
    data = tiff_bytes(np.zeros((8, 12), np.uint8), bits=12)  # 12 bytes are a row of 8 pixels
    row = bytes([0xFF, 0xF0, 0x00, 0x80, 0x08, 0x00]) * 2
    data = data[:-96] + row * 8
    data = data.replace(struct.pack("<HHII", 256, 4, 1, 12), struct.pack("<HHII", 256, 4, 1, 8))
    (tmp_path / "a.tif").write_bytes(data)
    seen = images.load(tmp_path / "a.tif").pixels[0, 0, 3, :4].tolist()
    assert seen == pytest.approx([1, -1, 2 * 0x800 / 4095 - 1, 2 * 0x800 / 4095 - 1], abs=1e-6)


def test_planes_of_sixteen_bit_colour_are_refused_not_garbled(tmp_path):
    values = np.full((8, 8, 3), 0x8040, np.uint16)
    (tmp_path / "a.tif").write_bytes(tiff_bytes(values, photometric=2, planar=2))
    with pytest.raises(UserError, match="plane by plane"):
        images.load(tmp_path / "a.tif")


def test_sixteen_bit_colour_keeps_its_precision(tmp_path):
    row = struct.pack(">3H", 0x1280, 0x8000, 0xFFFF) * 8
    (tmp_path / "rgb.png").write_bytes(png_bytes(8, 8, 16, 2, row))
    (tmp_path / "rgb.tif").write_bytes(
        tiff_bytes(np.frombuffer(row * 8, ">u2").reshape(8, 8, 3).astype("<u2"), photometric=2)
    )
    for name in ("rgb.png", "rgb.tif"):
        picture = images.load(tmp_path / name)
        levels = (picture.pixels.double() + 1) / 2 * 65535
        assert levels[0, :, 3, 3].tolist() == pytest.approx([0x1280, 0x8000, 0xFFFF], abs=0.01)
        assert picture.notes == ("16 bits per channel were read at full precision.",)
    Image.fromarray(ramp(16, 1600)).save(tmp_path / "wide.tif")  # "16" stands in its row length only
    assert images.load(tmp_path / "wide.tif").notes == ()


def test_sixteen_bit_grey_with_alpha_stays_grey(tmp_path):
    (tmp_path / "a.png").write_bytes(png_bytes(8, 8, 16, 4, struct.pack(">2H", 0x6000, 0x3300) * 8))
    picture = images.load(tmp_path / "a.png")
    alpha = 0x3300 / 0xFFFF
    expected = (0x6000 * alpha + 0xFFFF * (1 - alpha)) / 257
    assert picture.pixels.shape[1] == 1
    assert np.allclose(unit(picture.pixels), expected, atol=1e-3)


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.uint32, np.int16])
def test_values_without_a_full_scale_use_their_own_range(tmp_path, kind):
    low, high = {np.uint32: (7, 4_000_000_007), np.int16: (-300, 700)}.get(kind, (-5, 995))
    values = np.full((8, 9), low, kind)
    values[0, 0], values[0, 1] = high, low + (high - low) // 4
    (tmp_path / "a.tif").write_bytes(tiff_bytes(values))
    picture = images.load(tmp_path / "a.tif")
    assert picture.pixels.shape == (1, 1, 8, 9)
    assert picture.pixels[0, 0, 0, :3].tolist() == pytest.approx([1, -0.5, -1], abs=1e-5)
    assert "stretched" in picture.notes[0]


def test_a_float_picture_of_one_value_is_mid_grey(tmp_path):
    Image.fromarray(np.full((8, 8), 3.5, np.float32)).save(tmp_path / "a.tif")
    assert images.load(tmp_path / "a.tif").pixels.unique().tolist() == [0.0]


# ----------------------------------------------------------------------------------- colour and direction


def test_cmyk_is_converted(tmp_path):
    for name in ("a.jpg", "a.tif"):
        Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(tmp_path / name)
        picture = images.load(tmp_path / name)
        assert np.allclose(unit(picture.pixels), (0, 255, 255), atol=3)
        assert "CMYK" in picture.notes[0]


def swapped_profile() -> bytes:
    """An sRGB profile in which the tags of red and green have changed places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def test_a_colour_profile_is_applied(tmp_path):
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "a.png", icc_profile=swapped_profile())
    picture = images.load(tmp_path / "a.png")
    assert np.allclose(unit(picture.pixels), (0, 255, 0), atol=3)
    assert "ICC" in picture.notes[0]


def test_an_srgb_profile_changes_nothing(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(ramp()).save(tmp_path / "a.png", icc_profile=profile)
    picture = images.load(tmp_path / "a.png")
    assert np.allclose(unit(picture.pixels), ramp(), atol=1e-4)
    assert picture.notes == ()


def test_a_profile_of_deep_grey_is_left_aside_with_a_note(tmp_path):
    values = np.full((8, 8), 40000, np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png", icc_profile=swapped_profile())
    picture = images.load(tmp_path / "a.png")
    assert any("not applied" in note for note in picture.notes)
    assert float(picture.pixels.mean()) == pytest.approx(40000 / 32767.5 - 1, abs=1e-6)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_useless_profile_is_ignored_with_a_note(tmp_path, mode):
    Image.new(mode, (16, 16)).save(tmp_path / "a.jpg", icc_profile=b"no profile at all")
    assert any("ignored" in note for note in images.load(tmp_path / "a.jpg").notes)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("code", range(1, 9))
def test_exif_orientation(tmp_path, suffix, code):
    # The stored rows and columns are, by the EXIF standard, these sides of the upright picture.
    upright = ramp(9, 12)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: upright.swapaxes(0, 1)[::-1],
        7: upright.swapaxes(0, 1)[::-1, ::-1],
        8: upright.swapaxes(0, 1)[:, ::-1],
    }[code]
    exif = Image.Exif()
    exif[0x0112] = code
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a{suffix}", exif=exif, **options)
    picture = images.load(tmp_path / f"a{suffix}")
    assert picture.pixels.shape == (1, 3, 9, 12)
    assert np.allclose(unit(picture.pixels), upright, atol=1e-4)
    assert any("EXIF" in note for note in picture.notes) == (code > 1)


def test_orientation_6_of_a_jpeg_puts_the_stored_top_left_corner_at_the_top_right(tmp_path):
    stored = np.zeros((16, 32), np.uint8)
    stored[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif, quality=95)
    pixels = images.load(tmp_path / "a.jpg").pixels
    assert pixels.shape == (1, 1, 32, 16)
    assert float(pixels[0, 0, :8, 8:].mean()) > 0.95
    assert float(pixels[0, 0, 8:].mean()) < -0.95


def test_a_damaged_exif_block_is_no_obstacle(tmp_path):
    Image.fromarray(ramp()).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff")
    assert np.allclose(unit(images.load(tmp_path / "a.png").pixels), ramp(), atol=1e-4)


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".png", ".webp"])
def test_the_first_frame_of_several_is_used(tmp_path, suffix):
    shades = [Image.new("RGB", (10, 8), (shade, 0, 255 - shade)) for shade in (40, 120, 200)]
    options = {"lossless": True} if suffix == ".webp" else {}
    shades[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=shades[1:], **options)
    picture = images.load(tmp_path / f"a{suffix}")
    assert np.allclose(unit(picture.pixels), (40, 0, 215), atol=1e-4)
    assert "first of 3" in picture.notes[0]


# -------------------------------------------------------------------------------------------- transparency


def half_clear(colour: tuple[int, int, int] = (200, 100, 0)) -> Image.Image:
    """8x10; the top rows have alpha 0, 51 (a fifth) and 255."""
    values = np.zeros((8, 10, 4), np.uint8)
    values[..., :3] = colour
    values[0, :, 3], values[1, :, 3], values[2:, :, 3] = 0, 51, 255
    return Image.fromarray(values)


def test_alpha_is_laid_on_white(tmp_path):
    half_clear().save(tmp_path / "a.png")
    picture = images.load(tmp_path / "a.png")
    seen = unit(picture.pixels)
    assert np.allclose(seen[0], 255, atol=1e-4)
    assert np.allclose(seen[1], (244, 224, 204), atol=1e-3)
    assert np.allclose(seen[2:], (200, 100, 0), atol=1e-4)
    assert picture.notes == ("Transparent parts were laid on white; results have no transparency.",) == picture.lost


def test_alpha_is_laid_on_any_colour(tmp_path):
    half_clear().save(tmp_path / "a.png")
    seen = unit(images.load(tmp_path / "a.png", background="#0000ff").pixels)
    assert np.allclose(seen[0], (0, 0, 255), atol=1e-4)
    assert np.allclose(seen[1], (40, 20, 204), atol=1e-3)
    one = unit(images.load(tmp_path / "a.png", background="red", channels=1).pixels)
    assert np.allclose(one[0], 0.299 * 255, atol=1e-3)


def test_keep_out_lays_alpha_on_the_mean_of_the_opaque_pixels(tmp_path):
    image = half_clear()
    image.paste((100, 0, 50, 255), (0, 2, 10, 5))  # half of the opaque rows
    image.save(tmp_path / "a.png")
    picture = images.load(tmp_path / "a.png", background="keep-out")
    assert np.allclose(unit(picture.pixels)[0], (150, 50, 25), atol=1e-3)
    assert "mean colour" in picture.notes[0]


def test_keep_out_without_an_opaque_pixel_weighs_by_alpha(tmp_path):
    values = np.zeros((8, 8, 4), np.uint8)
    values[:4], values[4:] = (90, 0, 0, 50), (0, 60, 0, 100)
    Image.fromarray(values).save(tmp_path / "a.png")
    seen = unit(images.load(tmp_path / "a.png", background="keep-out").pixels)
    a = 50 / 255
    assert np.allclose(seen[0, 0], (90 * a + 30 * (1 - a), 40 * (1 - a), 0), atol=1e-3)


def test_an_alpha_that_is_opaque_everywhere_is_no_matter(tmp_path):
    Image.fromarray(ramp()).convert("RGBA").save(tmp_path / "a.png")
    picture = images.load(tmp_path / "a.png", background="red")
    assert np.allclose(unit(picture.pixels), ramp(), atol=1e-4)
    assert picture.notes == ()


def test_grey_with_alpha(tmp_path):
    values = np.dstack([np.full((8, 8), 100, np.uint8), np.full((8, 8), 51, np.uint8)])
    Image.fromarray(values).save(tmp_path / "a.png")
    picture = images.load(tmp_path / "a.png")
    assert picture.pixels.shape[1] == 1
    assert np.allclose(unit(picture.pixels), 0.2 * 100 + 0.8 * 255, atol=1e-3)
    on_red = unit(images.load(tmp_path / "a.png", channels=3, background="red").pixels)
    assert np.allclose(on_red[0, 0], (20 + 204, 20, 20), atol=1e-3)


def test_palette_transparency(tmp_path):
    image = Image.new("P", (8, 8))
    image.putdata([k % 4 for k in range(64)])
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30])
    image.save(tmp_path / "a.png", transparency=bytes([0, 51, 255, 255]))
    picture = images.load(tmp_path / "a.png")
    expected = [(255, 255, 255), (204, 255, 204), (0, 0, 255), (10, 20, 30)]
    assert np.allclose(unit(picture.pixels)[0, :4], expected, atol=1e-3)
    assert "laid on white" in picture.notes[0]
    assert images.alpha_of(tmp_path / "a.png")[0, 0, 0, :4].tolist() == pytest.approx([0, 0.2, 1, 1])
    image.save(tmp_path / "a.gif", transparency=1)
    expected[0], expected[1] = (255, 0, 0), (255, 255, 255)
    assert np.allclose(unit(images.load(tmp_path / "a.gif").pixels)[0, :4], expected, atol=1e-3)


@pytest.mark.parametrize(
    ("depth", "row", "key", "clear"),
    [(1, b"\x55", 1, 1), (2, b"\x1b\x1b", 3, 3), (4, b"\x01\x23\x45\xff", 5, 5), (8, bytes(range(8)), 3, 3)],
)
def test_the_key_colour_of_a_grey_png(tmp_path, depth, row, key, clear):
    data = png_bytes(8, 8, depth, 0, row, chunk(b"tRNS", struct.pack(">H", key)))
    (tmp_path / "a.png").write_bytes(data)
    alpha = images.alpha_of(tmp_path / "a.png")[0, 0, 0]
    assert alpha[clear] == 0
    assert alpha[0] == 1
    assert images.load(tmp_path / "a.png").pixels[0, 0, 0, clear] == 1


def test_the_key_colour_of_sixteen_bit_pngs(tmp_path):
    row = struct.pack(">8H", *[0x1280, 0x4000] * 4)
    data = png_bytes(8, 8, 16, 0, row, chunk(b"tRNS", struct.pack(">H", 0x1280)))
    (tmp_path / "grey.png").write_bytes(data)
    assert images.alpha_of(tmp_path / "grey.png")[0, 0, 0, :2].tolist() == [0, 1]
    row = struct.pack(">6H", 1, 2, 0x1280, 9, 9, 9) * 4
    data = png_bytes(8, 8, 16, 2, row, chunk(b"tRNS", struct.pack(">3H", 1, 2, 0x1280)))
    (tmp_path / "rgb.png").write_bytes(data)
    assert images.alpha_of(tmp_path / "rgb.png")[0, 0, 0, :2].tolist() == [0, 1]


def test_alpha_of(tmp_path):
    half_clear().save(tmp_path / "a.png")
    alpha = images.alpha_of(tmp_path / "a.png")
    assert alpha.shape == (1, 1, 8, 10)
    assert alpha[0, 0, :3, 0].tolist() == pytest.approx([0, 0.2, 1])
    Image.new("RGBA", (2, 3)).save(tmp_path / "tiny.png")  # an object to paste may be small
    assert images.alpha_of(tmp_path / "tiny.png").shape == (1, 1, 3, 2)
    Image.fromarray(ramp()).save(tmp_path / "b.png")
    assert images.alpha_of(tmp_path / "b.png") is None


# ------------------------------------------------------------------------------------------------- masks


def test_masks_keep_soft_values_and_the_scale_of_their_type(tmp_path):
    soft = np.tile(np.uint8([0, 51, 102, 128]), (8, 2))
    Image.fromarray(soft).save(tmp_path / "soft.png")
    assert torch.allclose(
        images.load_mask(tmp_path / "soft.png")[0, 0], torch.from_numpy(soft / 255).float(), atol=1e-6
    )
    Image.fromarray(soft.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert torch.allclose(images.load_mask(tmp_path / "deep.png"), images.load_mask(tmp_path / "soft.png"), atol=1e-6)
    Image.fromarray(soft > 100).save(tmp_path / "hard.png")
    assert images.load_mask(tmp_path / "hard.png")[0, 0, 0, :4].tolist() == [0, 0, 1, 1]
    Image.merge("RGB", [Image.fromarray(soft)] * 3).save(tmp_path / "rgb.png")
    assert torch.allclose(images.load_mask(tmp_path / "rgb.png"), images.load_mask(tmp_path / "soft.png"), atol=1e-6)


@pytest.mark.parametrize(("top", "seen"), [(1.0, 0.25), (255.0, 0.25), (0.4, 0.1)])
def test_float_masks(tmp_path, top, seen):
    values = np.zeros((8, 8), np.float32)
    values[0, :3] = top, top / 4, -top
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert images.load_mask(tmp_path / "a.tif")[0, 0, 0, 1:4].tolist() == pytest.approx([seen, 0, 0])


@pytest.mark.parametrize("under", [0, 90, 255])
@pytest.mark.parametrize("stroke", [0, 255])
def test_a_mask_drawn_on_a_transparent_layer_uses_the_alpha(tmp_path, under, stroke):
    """The colour of invisible pixels (`under`) depends on the paint program and must not matter."""
    values = np.zeros((8, 8, 4), np.uint8)
    values[..., :3] = under
    values[2:5, 3:6] = (stroke, stroke, stroke, 255)
    values[5, 5] = (stroke, stroke, stroke, 51)
    Image.fromarray(values).save(tmp_path / "a.png")
    mask = images.load_mask(tmp_path / "a.png")
    assert mask.sum().item() == pytest.approx(9.2)
    assert mask[0, 0, 2:5, 3:6].min() == 1
    assert mask[0, 0, 5, 5].item() == pytest.approx(0.2)


def test_a_mask_with_colour_and_alpha_counts_what_is_visible(tmp_path):
    values = np.zeros((8, 8, 4), np.uint8)
    values[:4] = (255, 255, 255, 255)
    values[4:, :, 3] = 255
    values[0] = (255, 255, 255, 0)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert images.load_mask(tmp_path / "a.png")[0, 0, :, 0].tolist() == [0, 1, 1, 1, 0, 0, 0, 0]


def test_masks_of_one_value(tmp_path):
    for colour, value in (("black", 0), ("white", 1)):
        for mode in ("L", "RGBA"):
            Image.new(mode, (4, 4), colour).save(tmp_path / "a.png")
            assert images.load_mask(tmp_path / "a.png").unique().tolist() == [value]
    Image.new("RGBA", (4, 4), (255, 255, 255, 0)).save(tmp_path / "a.png")
    assert images.load_mask(tmp_path / "a.png").unique().tolist() == [0]


def test_masks_are_resized_with_antialias(tmp_path):
    stripes = np.zeros((64, 48), np.uint8)
    stripes[:, ::8] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    assert images.load_mask(tmp_path / "a.png", (64, 48)).unique().tolist() == [0, 1]
    small = images.load_mask(tmp_path / "a.png", (8, 6))
    assert small.shape == (1, 1, 8, 6)
    assert (small - 0.125).abs().max() < 0.06  # without antialias it would miss every stripe
    left = np.zeros((8, 8), np.uint8)
    left[:, :4] = 255
    Image.fromarray(left).save(tmp_path / "b.png")
    large = images.load_mask(tmp_path / "b.png", (16, 32))
    assert large[0, 0, :, :12].min() == 1
    assert large[0, 0, :, 20:].max() == 0
    assert large.mean().item() == pytest.approx(0.5)


# ------------------------------------------------------------------------------------ arrays and tensors


def test_to_uint8_rounds_and_clamps():
    x = torch.tensor([-2, -1, -1 + 0.49 * STEP, -1 + 0.51 * STEP, 1 - 0.49 * STEP, 1, 7]).view(1, 1, 1, 7)
    assert arrays.to_uint8(x).tolist() == [[0, 0, 0, 1, 255, 255, 255]]
    assert arrays.to_uint8(torch.full((3, 4, 5), float("inf"))).shape == (4, 5, 3)
    assert x[0, 0, 0, 0] == -2  # the caller's tensor is left alone


def test_to_uint8_undoes_from_array_for_every_value():
    for channels in (1, 3):
        values = np.arange(256 * channels).reshape(16, 16, channels).astype(np.uint8)
        values = values[..., 0] if channels == 1 else values
        assert np.array_equal(arrays.to_uint8(arrays.from_array(values)), values)
        half = arrays.from_array(values).bfloat16().requires_grad_()
        assert np.abs(arrays.to_uint8(half).astype(int) - values).max() <= 1


def test_to_uint8_refuses():
    with pytest.raises(UserError, match="diverged"):
        arrays.to_uint8(torch.full((1, 1, 2, 2), float("nan")))
    for shape in ((2, 3, 4, 4), (1, 2, 4, 4), (4, 4)):
        with pytest.raises(ValueError, match="a picture is"):
            arrays.to_uint8(torch.zeros(shape))


def test_from_array_takes_the_full_scale_of_the_type():
    for array in (
        np.uint8([[0, 51, 255]]),
        np.uint16([[0, 13107, 65535]]),
        np.uint16([[0, 13107, 65535]]).astype(">u2"),
        np.float64([[0, 0.2, 1]]),
        np.float32([[1, 0.2, 0]])[:, ::-1],
    ):
        x = arrays.from_array(array)
        assert x.shape == (1, 1, 1, 3)
        assert x.dtype == torch.float32
        assert x.flatten().tolist() == pytest.approx([-1, -0.6, 1], abs=1e-6)
    colour = arrays.from_array(ramp())
    assert np.allclose(unit(colour), ramp(), atol=1e-4)
    assert arrays.from_array(ramp()[..., :1]).shape == (1, 1, 9, 12)


def test_from_array_passes_tensors_on():
    x = torch.linspace(-1, 1, 48).view(3, 4, 4)
    assert torch.equal(arrays.from_array(x)[0], x)
    assert torch.equal(arrays.from_array(x[None].double())[0], x)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (np.zeros((3, 4, 9), np.uint8), r"\(3, 4, 9\)"),
        (np.zeros(4, np.uint8), r"\(4,\)"),
        (np.zeros((0, 4), np.uint8), r"\(0, 4\)"),
        (np.zeros((4, 4), np.int64), "int64"),
        (np.full((4, 4), 200.0), "200"),
        (np.full((4, 4), np.nan), "nan"),
        (torch.zeros(9, 4, 4), r"\(9, 4, 4\)"),
        (torch.zeros(2, 3, 4, 4), r"\(2, 3, 4, 4\)"),
        (torch.zeros(4, 4), r"\(4, 4\)"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "uint8"),
        (torch.full((1, 3, 4, 4), 3.0), "3"),
        ([[1, 2], [3, 4]], "list"),
    ],
)
def test_from_array_refuses(value, part):
    with pytest.raises(UserError, match=part):
        arrays.from_array(value)


def test_parse_colour():
    assert images.parse_colour("white") == (1, 1, 1)
    assert images.parse_colour("#ff0033") == (1, 0, 0.2)
    assert images.parse_colour("#f00") == (1, 0, 0)
    with pytest.raises(UserError, match=r"^--background is 'whitish'"):
        images.parse_colour("whitish")
    with pytest.raises(UserError, match=r"^--paper .*255"):
        images.parse_colour("rgb(300,0,0)", "--paper")


# ----------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".PNG", ".webp", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg"])
def test_save_and_load_agree(tmp_path, suffix, channels):
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(
        torch.rand(1, channels, 3, 3, generator=generator) * 2 - 1, size=(24, 30), mode="bilinear"
    )
    path = tmp_path / f"a b.c{suffix}"
    images.save(path, smooth)
    back = images.load(path, channels=channels).pixels
    tolerance = 0.1 if "jp" in suffix else STEP / 2 + 1e-6
    assert (back - smooth).abs().max() <= tolerance
    assert os.listdir(tmp_path) == [path.name]


def test_save_rounds_without_drift(tmp_path):
    x = torch.full((1, 3, 8, 8), 0.3)
    images.save(tmp_path / "a.png", x)
    first = images.load(tmp_path / "a.png").pixels
    images.save(tmp_path / "a.png", first)
    assert torch.equal(images.load(tmp_path / "a.png").pixels, first)


def test_save_writes_text(tmp_path):
    text = {"command": "consingan train a.png", "Seed": "7", "name": "gr\u00fcn \u6a39"}
    images.save(tmp_path / "a.png", torch.zeros(1, 3, 8, 8), text=text)
    with Image.open(tmp_path / "a.png") as image:
        assert image.text == text
    images.save(tmp_path / "a.jpg", torch.zeros(1, 3, 8, 8), text=text)  # carries none, but is written


def read_frames(path) -> tuple[list[np.ndarray], list[float], Image.Image]:
    with Image.open(path) as image:
        frames, times = [], []
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            frames.append(np.asarray(image.convert("RGB")))
            times.append(image.info["duration"])
        return frames, times, image


def noise_frames(count: int, channels: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(1, channels, 20, 26, generator=generator) * 2 - 1 for _ in range(count)]


@pytest.mark.parametrize(("suffix", "channels"), [(".webp", 3), (".png", 3), (".png", 1), (".gif", 1)])
def test_lossless_animations(tmp_path, suffix, channels):
    frames = noise_frames(4, channels)
    images.save_animation(tmp_path / f"a{suffix}", frames, fps=12)
    seen, times, image = read_frames(tmp_path / f"a{suffix}")
    assert len(seen) == 4
    for array, frame in zip(seen, frames, strict=True):
        expected = arrays.to_uint8(frame)
        assert np.array_equal(array, expected if channels == 3 else expected[..., None].repeat(3, 2))
    assert sum(times) == pytest.approx(4000 / 12, abs=5)
    assert image.info["loop"] == 0


def test_gif_times_keep_their_sum(tmp_path):
    images.save_animation(tmp_path / "a.gif", noise_frames(30), fps=30)
    _, times, image = read_frames(tmp_path / "a.gif")
    assert set(times) == {30, 40}
    assert sum(times) == 1000
    assert image.info["loop"] == 0
    images.save_animation(tmp_path / "a.gif", noise_frames(2), fps=30)
    assert sum(read_frames(tmp_path / "a.gif")[1]) == 70


def test_a_gif_of_few_colours_is_exact(tmp_path):
    generator = torch.Generator().manual_seed(2)
    colours = torch.rand(40, 3, generator=generator) * 2 - 1
    frames = [colours[torch.randint(40, (16, 16), generator=generator)].permute(2, 0, 1) for _ in range(3)]
    images.save_animation(tmp_path / "a.gif", frames, fps=10)
    for array, frame in zip(read_frames(tmp_path / "a.gif")[0], frames, strict=True):
        assert np.array_equal(array, arrays.to_uint8(frame))


def test_a_gif_has_one_palette_and_stays_close(tmp_path):
    y, x = torch.meshgrid(torch.linspace(-0.5, 0.5, 60), torch.linspace(-0.5, 0.5, 60), indexing="ij")
    frames = [torch.stack([x, y, 2 * x * y + k / 12 - 0.25])[None] for k in range(6)]
    images.save_animation(tmp_path / "a.gif", frames, fps=10)
    seen, _, _ = read_frames(tmp_path / "a.gif")
    assert len({tuple(colour) for array in seen for colour in array.reshape(-1, 3)}) <= 255
    errors = np.stack(seen).astype(float) - np.stack([arrays.to_uint8(frame) for frame in frames])
    assert np.abs(errors).mean() < 6
    # Dithering: the error nearly vanishes in the mean of a small block (2.1 without it).
    assert np.abs(errors.reshape(6, 10, 6, 10, 6, 3).mean(axis=(2, 4))).mean() < 1.2


def test_a_gif_is_the_same_every_time(tmp_path):
    frame = torch.rand(3, 260, 260, generator=torch.Generator().manual_seed(3)) * 2 - 1  # above the sample
    for name in ("a.gif", "b.gif"):
        images.save_animation(tmp_path / name, [frame], fps=10)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_identical_frames_keep_their_time(tmp_path):
    frames = [torch.zeros(1, 3, 8, 8)] * 10
    for suffix in (".gif", ".webp", ".png"):
        images.save_animation(tmp_path / f"a{suffix}", frames, fps=10)
        images.load(tmp_path / f"a{suffix}")
    images.save_animation(tmp_path / "b.gif", [*frames, torch.ones(1, 3, 8, 8)], fps=10)
    assert read_frames(tmp_path / "b.gif")[1] == [1000, 100]


# ------------------------------------------------------------------------------------------------- views


def test_grid_places_the_cells():
    shades = [torch.full((1, 1, 2, 3), value) for value in (-1.0, -0.5, 0.0, 0.25, 0.5)]
    sheet = sheets.grid(shades, columns=3, gap=1)
    assert sheet.shape == (1, 1, 5, 11)
    assert sheet[0, 0, 0].tolist() == [-1, -1, -1, 1, -0.5, -0.5, -0.5, 1, 0, 0, 0]
    assert sheet[0, 0, 2].tolist() == [1] * 11
    assert sheet[0, 0, 4].tolist() == [0.25] * 3 + [1] + [0.5] * 3 + [1] * 4
    assert sheets.grid(shades).shape == (1, 1, 2 * 2 + 2, 3 * 3 + 2 * 2)
    assert sheets.grid(shades[:1]).shape == (1, 1, 2, 3)
    assert sheets.grid(shades[:2], columns=9).shape == (1, 1, 2, 8)


def test_grid_centres_small_pictures_and_mixes_channels():
    sheet = sheets.grid([torch.zeros(3, 5, 5), torch.full((1, 1, 1, 3), -1.0)], columns=2, gap=2)
    assert sheet.shape == (1, 3, 5, 12)
    cell = torch.ones(5, 5)
    cell[2, 1:4] = -1
    for channel in range(3):
        assert torch.equal(sheet[0, channel, :, 7:], cell)
    odd = sheets.grid([torch.zeros(1, 4, 6), torch.full((1, 1, 1), -1.0)], columns=1, gap=0)[0, 0, 4:]
    assert odd[1, 2] == -1  # an odd rest goes below and to the right
    assert odd.sum() == 4 * 6 - 2


def test_grid_needs_a_picture():
    with pytest.raises(ValueError, match="at least one"):
        sheets.grid([])
    with pytest.raises(ValueError, match="at least one"):
        sheets.labelled_row([])


def test_labelled_row_shows_pictures_and_captions():
    naive, mask = torch.full((1, 3, 20, 70), -0.5), torch.full((1, 1, 30, 10), -1.0)
    row = sheets.labelled_row([("naive", naive), ("a much longer caption", mask)], gap=4)
    height, width = row.shape[2:]
    assert row.shape[1] == 3
    assert height > 30 + 8
    assert torch.equal(row[:, :, 5:25, :70], naive)  # centred to the height of the taller
    assert row[:, :, :30, 70:74].min() == 1
    second = row[0, 0, :30, 74:]
    assert second.shape[1] > 60  # as wide as its caption
    assert int((second == -1).sum()) == 300
    left = (second.shape[1] - 10) // 2
    assert second[:, left : left + 10].max() == -1
    for start, stop in ((0, 70), (74, width)):
        caption = row[0, 0, 30:, start:stop]
        ink = caption < 0
        assert 20 < int(ink.sum()) < ink.numel() / 2
        assert caption[0].min() == 1
        assert caption[:, 0].min() == 1
        assert caption[:, -1].min() == 1


def test_captions_of_large_pictures_are_large():
    small, large = (sheets.labelled_row([("mask", torch.zeros(1, 1, 8, side))]) for side in (200, 480))
    assert large.shape[2] - 8 > 2 * (small.shape[2] - 8) - 6


def test_captions_differ_and_may_hold_anything():
    pictures = [
        sheets.labelled_row([(text, torch.zeros(1, 1, 8, 60))]) for text in ("mask", "naive", "", "gr\u00fcn\nx")
    ]
    assert not torch.equal(pictures[0], pictures[1])
    assert pictures[2][0, 0, 8:].min() == 1
    assert len({picture.shape for picture in pictures}) == 1


def test_a_picture_file_object_is_closed(tmp_path):
    """Windows cannot replace a file that is still open; a leak shows as a ResourceWarning."""
    stream = io.BytesIO()
    Image.fromarray(ramp()).save(stream, "PNG")
    (tmp_path / "a.png").write_bytes(stream.getvalue())
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    kept = [images.load(tmp_path / "a.png") for _ in range(5)]
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert len(kept) == 5
    assert after == before


@pytest.mark.parametrize(
    ("mode", "words"),
    [("RGBA", "no transparency"), ("LA", "no transparency"), ("I;16", None), ("RGB", None)],
)
def test_what_results_will_not_have_is_told(tmp_path, mode, words):
    if mode == "I;16":
        Image.fromarray(np.arange(0, 60000, 150, dtype=np.uint16).reshape(20, 20)).save(tmp_path / "a.png")
    else:
        Image.new(mode, (20, 20), (*(90,) * (len(mode) - 1), 0) if "A" in mode else (1, 2, 3)).save(tmp_path / "a.png")
    lost = images.load(tmp_path / "a.png").lost
    assert [words in sentence for sentence in lost] == ([True] if words else [])
    assert set(lost) <= set(images.load(tmp_path / "a.png").notes)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "CMYK", "I;16", "F"])
def test_a_picture_of_pillow_is_read_as_its_file_is(tmp_path, mode):
    picture = half_clear().convert("RGB" if mode == "CMYK" else "RGBA").resize((30, 20))
    if mode in ("I;16", "F"):
        values = np.linspace(0, 60000, 600).reshape(20, 30)
        picture = Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.float32))
    elif mode != "RGBA":
        picture = picture.convert(mode)
    file = tmp_path / ("a.png" if mode not in ("CMYK", "F") else "a.tif")
    picture.save(file)
    for given in (picture, Image.open(file)):
        before = dict(given.info), given.mode
        read = images.load(given)
        assert torch.equal(read.pixels, images.load(file).pixels)
        assert read.lost == images.load(file).lost
        assert (dict(given.info), given.mode) == before


def test_a_picture_of_pillow_that_cannot_be_used_is_refused_by_its_name(tmp_path):
    with pytest.raises(UserError, match=r"^picture has only 4x30 pixels"):
        images.load(Image.new("RGB", (4, 30)))
    Image.new("RGB", (4, 30)).save(tmp_path / "thin.png")
    with pytest.raises(UserError, match=r"^thin\.png has only"):
        images.load(Image.open(tmp_path / "thin.png"))
