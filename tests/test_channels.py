"""Pictures with alpha, of 16 bits, of many channels: read, written, learned, and back as they were."""

import io
import zlib

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import trained
from PIL import Image

import consingan
from consingan.command.cli import sample
from consingan.errors import UserError
from consingan.finish.instant import instant
from consingan.finish.photo import Photo, stored
from consingan.gan.model import SingleImageModel
from consingan.grid.kinds import Kind
from consingan.pictures import images, sheets
from consingan.pictures.arrays import levels_of
from consingan.storage import formats

RICH = [
    Kind(*each)
    for each in [
        (2, True), (4, True), (1, False, "uint16"), (2, True, "uint16"), (3, False, "uint16"), (4, True, "uint16"),
        (2, False), (4, False, "uint16"), (6, False), (8, False, "uint16"),
    ]
]  # fmt: skip
TINY = {"train_stages": 2, "max_size": 32, "niter": 2, "nfc": 4}


def levels(kind: Kind, height: int = 28, width: int = 32) -> np.ndarray:
    """A picture of a kind with transparent, half transparent and opaque rows, as files hold it."""
    draw = np.random.default_rng(kind.channels)
    full = 255 if kind.depth == "uint8" else 65535
    values = draw.integers(0, full + 1, (height, width, kind.channels))
    if kind.alpha:
        values[: height // 4, :, -1], values[height // 4 : height // 2, :, -1] = 0, full // 2
        values[height // 2 :, :, -1] = full
        values[: height // 4, :, :-1] = 0
    return values.astype(kind.depth)


def premultiplied(values: np.ndarray, kind: Kind) -> torch.Tensor:
    return kind.signed(torch.from_numpy(values).permute(2, 0, 1)[None])


def sprite(hidden: int = 0) -> np.ndarray:
    """A disc of stripes on nothing; under what is transparent lies a hidden colour."""
    rows, columns = np.mgrid[:40, :48]
    colour = np.stack([columns * 5, rows * 6, (rows + columns) % 7 * 30], -1)
    alpha = np.clip(16 - np.hypot(rows - 20, columns - 24), 0, 1) * 255
    colour = np.where(alpha[..., None] > 0, colour, hidden)
    return np.concatenate([colour, alpha[..., None]], -1).round().astype(np.uint8)


# ------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("kind", RICH, ids=lambda kind: kind.words)
def test_every_format_gives_back_what_it_holds(tmp_path, kind):
    values = levels(kind)
    fitting = [suffix for suffix in formats.WRITABLE if formats.holds(suffix, kind)]
    assert ".npy" in fitting
    for suffix in fitting:
        file = tmp_path / f"a{suffix}"
        images.save(file, premultiplied(values, kind), kind=kind)
        found = images.read(file)
        if suffix == ".npy" and kind.channels in (2, 4) and not kind.alpha:
            assert found.known.alpha  # an array cannot say that it is none
            assert np.array_equal(np.load(file), values)
            continue
        if suffix == ".webp" and kind.channels == 2:  # which has no grey
            assert found.known == Kind(4, True)
            assert np.array_equal(levels_of(found.pixels, found.known)[..., [0, 3]], values)
            continue
        assert found.known == kind
        assert np.array_equal(levels_of(found.pixels, kind).reshape(values.shape), values)


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".png", ".webp"])
@pytest.mark.parametrize("kind", RICH, ids=lambda kind: kind.words)
def test_a_format_that_does_not_hold_a_picture_is_refused(tmp_path, kind, suffix):
    if formats.holds(suffix, kind):
        return
    with pytest.raises(UserError, match=rf"{suffix} does not hold .*use one of .*\.npy"):
        images.save(tmp_path / f"a{suffix}", premultiplied(levels(kind), kind), kind=kind)
    assert not list(tmp_path.iterdir())


def test_tiff_files_of_others_are_read(tmp_path):
    """Deflated differences, which ``tiff.written`` does not write; a compression that is not read, a strip too long."""
    from consingan.pictures import tiff

    values = levels(Kind(5, depth="uint16"), 20, 24) // 4096 * 4096 + 3
    steps = np.diff(values, axis=1, prepend=0).astype("<u2")
    plain = tiff.written(values, Kind(5, depth="uint16"))
    strip = zlib.compress(steps.tobytes())
    start = 8 + values.nbytes  # of the directory
    entries = {int.from_bytes(plain[at : at + 2], "little"): at for at in range(start + 2, start + 2 + 12 * 12, 12)}
    data = bytearray(plain)

    def change(tag, value):
        data[entries[tag] + 8 : entries[tag] + 12] = value.to_bytes(4, "little")

    change(tiff.COMPRESSION, 8)
    change(tiff.COUNTS, len(strip))
    data[8 : 8 + len(strip)] = strip
    (tmp_path / "deflated.tif").write_bytes(data)
    found = images.read(tmp_path / "deflated.tif")
    assert np.array_equal(levels_of(found.pixels, found.known), steps)
    change(tiff.PLANAR, 2)
    data[entries[tiff.PLANAR] : entries[tiff.PLANAR] + 2] = tiff.PREDICTOR.to_bytes(2, "little")  # 2: differences
    (tmp_path / "differences.tif").write_bytes(data)
    found = images.read(tmp_path / "differences.tif")
    assert np.array_equal(levels_of(found.pixels, found.known), values)
    change(tiff.COMPRESSION, 5)
    (tmp_path / "lzw.tif").write_bytes(data)
    with pytest.raises(UserError, match="compression 5: save it uncompressed or deflated"):
        images.read(tmp_path / "lzw.tif")
    change(tiff.COMPRESSION, 1)
    change(tiff.COUNTS, 10**9)
    (tmp_path / "long.tif").write_bytes(data)
    with pytest.raises(UserError, match="cut short"):
        images.read(tmp_path / "long.tif")


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("something was unpickled",))


def as_npy(array, **how) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **how)
    return stream.getvalue()


def giant() -> bytes:
    return as_npy(np.zeros((20, 20), np.uint8)).replace(b"(20, 20), }      ", b"(900000, 9000), }")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: as_npy(np.array([[Trap()] * 20] * 20, object), allow_pickle=True), "Python objects, which are never"),
        (lambda: as_npy(np.zeros((20, 20), np.int64)), "holds int64: save uint8, uint16, or float from 0 to 1"),
        (lambda: as_npy(np.zeros((20, 20, 9), np.uint8)), r"shape \(20, 20, 9\): .* at most 8 channels"),
        (lambda: as_npy(np.zeros(400, np.uint8)), r"shape \(400,\)"),
        (lambda: as_npy(np.full((20, 20), np.nan)), "values from nan to nan: scale floats to 0 to 1"),
        (lambda: as_npy(np.full((20, 20), 1.5)), "values from 1.5 to 1.5"),
        (giant, "has 9000x900000 pixels, above the limit"),
        (lambda: as_npy(np.zeros((20, 20), np.uint8))[:-1], "399 bytes of values, where its header says 400"),
        (lambda: b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(100), "no sound numpy header"),
        (lambda: b"\x93NUMPY\x01\x00\x10\x00{'descr': broken", "no sound numpy header"),
    ],
    ids=["objects", "int64", "nine", "flat", "nan", "bright", "giant", "short", "long header", "broken header"],
)
def test_numpy_files_that_cannot_be_used_are_refused(tmp_path, data, words):
    (tmp_path / "a.npy").write_bytes(data())
    with pytest.raises(UserError, match=words):
        images.read(tmp_path / "a.npy")


def test_floats_are_kept_at_sixteen_bits(tmp_path):
    values = np.linspace(0, 1, 400).reshape(20, 20)
    np.save(tmp_path / "a.npy", values)
    found = images.read(tmp_path / "a.npy")
    assert found.known == Kind(1, depth="uint16")
    assert np.array_equal(levels_of(found.pixels, found.known), np.rint(values * 65535))
    assert images.of_array(values).known == found.known
    assert torch.allclose(images.of_array(values).pixels, found.pixels, atol=2e-5)


@pytest.mark.parametrize(
    ("channels", "background", "kind"),
    [
        (None, None, Kind(4, True)), (4, None, Kind(4, True)), (2, None, Kind(2, True)), (3, None, Kind(3)),
        (1, None, Kind(1)), (None, "white", Kind(3)), (None, "keep-out", Kind(3)), (1, "red", Kind(1)),
    ],
)  # fmt: skip
def test_alpha_is_kept_unless_something_else_is_wanted(tmp_path, channels, background, kind):
    Image.fromarray(sprite()).save(tmp_path / "a.png")
    found = images.read(tmp_path / "a.png", channels=channels, background=background)
    assert found.known == kind
    assert bool(found.lost) != kind.alpha
    given = images.read(tmp_path / "a.png")
    assert torch.allclose(images.changed(given, channels, background).pixels, found.pixels, atol=1e-5)
    if not kind.alpha:
        on = background or "white"
        assert torch.equal(found.pixels, images.load(tmp_path / "a.png", channels=channels, background=on).pixels)


def test_an_opaque_alpha_is_dropped_and_other_channels_are_refused(tmp_path):
    opaque = sprite()
    opaque[..., 3] = 255
    Image.fromarray(opaque).save(tmp_path / "a.png")
    assert images.read(tmp_path / "a.png").known == images.of_array(opaque).known == Kind(3)
    for channels in (2, 4, 6):
        with pytest.raises(UserError, match=f"--nc_im is {channels}, but .*a.png has 3 channels"):
            images.read(tmp_path / "a.png", channels=channels)


# ------------------------------------------------------------------------------------------ light and colour


def test_what_lies_under_transparent_pixels_has_no_influence(tmp_path):
    for name, hidden in (("black", 0), ("pink", 200)):
        Image.fromarray(sprite(hidden)).save(tmp_path / f"{name}.png")
    assert not np.array_equal(*(np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("black", "pink")))
    black, pink = (images.read(tmp_path / f"{name}.png") for name in ("black", "pink"))
    assert torch.equal(black.pixels, pink.pixels)
    assert int(stored(pink.pixels, pink.known)[0, :3, :3, :3].max()) == 0  # nor does a model hold it


def test_pictures_made_of_patches_have_the_photo_s_values_at_sixteen_bits():
    """Where nothing moves, a value is the photo's own to the last of 16 bits; elsewhere it is no more coarse."""
    rows, columns = np.mgrid[:48, :56].astype(np.float64)
    waves = [np.sin(rows / 5) * np.cos(columns / 7), np.sin((rows + columns) / 6), np.cos(rows / 9 - columns / 4)]
    values = ((np.stack(waves, -1) + 1) * 32767).round().astype(np.uint16) // 256 * 256 + 3  # no multiples of 257
    kind = Kind(3, depth="uint16")
    photo = Photo(stored(premultiplied(values, kind), kind), kind=kind)
    assert np.array_equal(photo.pixels[0].permute(1, 2, 0).numpy(), values)
    (same,) = instant(photo, 1, (48, 56), 0.0, 0)
    assert (levels_of(same, kind) == values).mean() > 0.99
    (moved,) = instant(photo, 1, (48, 56), 0.3, 0)
    found = levels_of(moved, kind)
    assert (found != values).mean() > 0.5
    assert (found % 257 != 0).mean() > 0.9


def test_a_photo_with_alpha_is_finished_with_its_alpha():
    kind = Kind(4, True)
    photo = Photo(stored(premultiplied(sprite(), kind), kind), kind=kind)
    (made,) = instant(photo, 1, (40, 48), 0.2, 1)
    values = levels_of(made, kind)
    assert (values[..., 3] == 0).mean() > 0.2
    assert (values[..., 3] == 255).mean() > 0.2
    assert values[values[..., 3] == 0].max() == 0
    assert float((made[:, :3] - made[:, 3:]).max()) < 1e-5  # no light is brighter than its alpha


def test_what_is_seen():
    kind = Kind(4, True)
    clear = premultiplied(sprite(), kind)
    white = kind.seen(clear)
    assert torch.all(white[0, :, :3, :3] == 1)
    checked = sheets.on_checks(clear, kind)
    assert checked[0, 0, 0, 0] == 1
    assert checked[0, 0, 0, 8] == pytest.approx(0.6)
    assert torch.equal(checked[0, :, 20, 24], clear[0, :3, 20, 24])
    assert Kind(6).seen(torch.zeros(1, 6, 9, 9)).shape == (1, 3, 9, 9)
    assert Kind(2).seen(torch.zeros(1, 2, 9, 9)).shape == (1, 1, 9, 9)


# ------------------------------------------------------------------------------------------------ models


@pytest.fixture(scope="module")
def clear_run(tmp_path_factory):
    """The folder of a run that was trained on a sprite; tests must not change it."""
    folder = tmp_path_factory.mktemp("clear")
    Image.fromarray(sprite()).save(folder / "sprite.png")
    return trained(folder / "sprite.png", folder / "runs", "--finish", "patches")


def sampled(*words) -> tuple[int, str]:
    result = CliRunner().invoke(sample, [*map(str, words), "--not_cuda", "--quiet"])
    return result.exit_code, result.output


def test_a_model_of_a_sprite_makes_sprites(clear_run, tmp_path):
    model = SingleImageModel.load(clear_run)
    assert model.kind == Kind(4, True)
    assert np.array_equal(model.photo.pixels[0].permute(1, 2, 0).numpy(), levels_of(model.photo.picture, model.kind))
    kept = np.asarray(Image.open(clear_run / "picture.png"))
    assert np.array_equal(kept[..., 3], sprite()[..., 3])
    code, said = sampled(clear_run, "--num_samples", 2, "--out", tmp_path)
    assert code == 0, said
    files = sorted(tmp_path.rglob("seed_0_sample_*.png"))
    assert [Image.open(file).mode for file in files] == ["RGBA", "RGBA"]
    assert Image.open(next(tmp_path.rglob("grid.png"))).mode == "RGB"
    assert "data:image/webp" in (clear_run / "report.html").read_text()
    assert consingan.sample(model, num_samples=1).of("sample")[0].mode == "RGBA"
    assert Image.open(io.BytesIO(model._repr_png_())).mode == "RGB"


@pytest.mark.parametrize(("suffix", "mode"), [("gif", "RGB"), ("webp", "RGBA"), ("png", "RGBA")])
def test_an_animation_of_a_sprite(clear_run, tmp_path, suffix, mode):
    file = tmp_path / f"a.{suffix}"
    code, said = sampled(clear_run, "--application", "walk", "--frames", 3, "--beta", 0.9, "--out", file)
    assert code == 0, said
    frame = Image.open(file)
    assert frame.convert(mode).getpixel((0, 0)) == ((0, 0, 0, 0) if mode == "RGBA" else (255, 255, 255))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--format", "jpg"), ".jpg does not hold transparency"),
        (("--out", "new.jpg"), ".jpg does not hold transparency"),
        (("--application", "harmonize", "--naive_img", "x.png"), "this model has alpha; train one with --background"),
        (("--like", "x.png"), "--like is a map of colours, and this model has alpha"),
    ],
)
def test_what_a_model_with_alpha_does_not_do_is_one_sentence(clear_run, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(sprite()).save("x.png")
    code, said = sampled(clear_run, *words)
    assert code == 2
    assert sentence in said.replace("\n", " ")
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


def test_alpha_where_the_model_has_none_is_refused(trained_run, tmp_path):
    Image.fromarray(sprite()).save(tmp_path / "x.png")
    code, said = sampled(trained_run, "--application", "harmonize", "--naive_img", tmp_path / "x.png")
    assert code == 2
    assert "x.png has transparent parts, and the model has no alpha" in said.replace("\n", " ")


@pytest.mark.parametrize("kind", [RICH[5], RICH[8], RICH[2]], ids=lambda kind: kind.words)
def test_a_training_that_goes_on_is_the_same(tmp_path, kind):
    values = levels(kind)
    array = values if kind.channels > 1 else values[..., 0]
    stops = iter([False, True])
    half = consingan.train(array, outdir=tmp_path, stop=lambda: next(stops), **TINY)
    assert half.kind == kind
    (run,) = tmp_path.glob("*/*")
    done, whole = consingan.train(resume=run), consingan.train(array, **TINY)
    assert done.kind == kind == SingleImageModel.load(run).kind
    for name, value in whole.tensors().items():
        assert np.array_equal(value.numpy(), done.tensors()[name].numpy()), name
    made = consingan.sample(whole, num_samples=1, finish="none")[0].arrays[0]
    assert made.dtype == kind.depth
    assert made.reshape(28, 32, -1).shape[2] == kind.channels


def test_many_channels_become_a_tiff_file_or_an_array(tmp_path):
    model = consingan.train(levels(Kind(6)), **TINY)
    for suffix, how in ((".tif", {}), (".npy", {"format": "npy"})):
        gallery = consingan.sample(model, num_samples=2, **how)
        files = gallery.save(tmp_path / suffix[1:])
        samples = [file for file in files if "sample_" in file.name]
        assert {file.suffix for file in samples} == {suffix}
        for file, result in zip(samples, gallery, strict=True):
            found = images.read(file)
            assert np.array_equal(levels_of(found.pixels, found.known), result.arrays[0])
        assert any(file.stem == "grid" for file in files)


def test_a_header_that_makes_no_sense_is_refused():
    good = Kind(4, True, "uint16").values()
    assert Kind.read(good, 4) == Kind(4, True, "uint16")
    assert Kind.read(None, 3) == Kind(3)
    for change in ({"channels": 5}, {"alpha": 1}, {"depth": "float64"}, {"depth": []}, {"more": 1}):
        with pytest.raises(ValueError, match="channels"):
            Kind.read(good | change, 4)


def test_colours_are_for_harmonization(tmp_path):
    np.save(tmp_path / "a.npy", levels(Kind(6)))
    with pytest.raises(UserError, match="has 6 channels, and harmonization and editing work on colours"):
        consingan.train(tmp_path / "a.npy", mode="harmonization", min_size=16, **TINY)
    Image.fromarray(sprite()).save(tmp_path / "a.png")
    plan = consingan.estimate(tmp_path / "a.png", mode="harmonization", min_size=16, **TINY)
    assert "Transparent parts were laid on white; results have no transparency." in plan.notes
    assert plan.settings.network.nc_im == 3
