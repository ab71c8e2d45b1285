"""The paste: the object is where it was asked for, and nothing else has changed."""

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from consingan.command.cli import main
from consingan.errors import UserError
from consingan.pictures import arrays, images
from consingan.pictures.paste import Cutting, Placement, cut, paste_files, pasted, turned


def red_object(height=12, width=10):
    """Half of its pixels are transparent: those right of the middle."""
    alpha = torch.zeros(1, 1, height, width)
    alpha[..., : width // 2] = 1
    colour = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(3))
    colour = (colour * 255).round() / 255
    return Cutting(colour * alpha, alpha)


def save_object(path, cutting):
    levels = torch.cat([cutting.colour, cutting.alpha], dim=1)[0].permute(1, 2, 0) * 255
    Image.fromarray(levels.round().to(torch.uint8).numpy(), "RGBA").save(path)


def picture(height=40, width=50, channels=3):
    levels = torch.randint(0, 256, (1, channels, height, width), generator=torch.Generator().manual_seed(0))
    return levels / 255 * 2 - 1


@pytest.mark.parametrize(("left", "top"), [(7, 5), (0, 0), (-2, -3), (46, 33)])
def test_an_object_is_pasted_pixel_by_pixel(left, top):
    onto, cutting = picture(), red_object()
    made, mask = pasted(onto, cutting, Placement(left, top))
    wanted, where = onto.clone(), torch.zeros(1, 1, 40, 50)
    for row in range(12):
        for column in range(5):
            y, x = top + row, left + column
            if 0 <= y < 40 and 0 <= x < 50:
                wanted[0, :, y, x] = cutting.colour[0, :, row, column] * 2 - 1
                where[0, 0, y, x] = 1
    assert torch.equal(mask, where)
    torch.testing.assert_close(made, wanted, atol=1e-6, rtol=0)
    outside = where[0, 0] == 0
    assert torch.equal(made[..., outside], onto[..., outside])


def test_an_object_outside_is_refused():
    with pytest.raises(UserError, match="--at 60,5"):
        pasted(picture(), red_object(), Placement(60, 5))


def test_quarter_turns_are_exact_and_counter_clockwise():
    cutting = red_object()
    once = turned(cutting, 90)
    assert once.alpha.shape[2:] == (10, 12)
    assert torch.equal(once.colour, torch.rot90(cutting.colour, 1, (2, 3)))
    assert torch.equal(turned(cutting, 360).colour, cutting.colour)
    assert torch.equal(turned(cutting, -90).colour, torch.rot90(cutting.colour, 3, (2, 3)))


@pytest.mark.parametrize("degrees", [1, 30, 89, -45])
def test_a_turn_keeps_the_area_and_turns_the_object_about_its_middle(degrees):
    alpha = torch.ones(1, 1, 40, 20)
    turned_ = turned(Cutting(alpha.expand(-1, 3, -1, -1) * 0.5, alpha), degrees)
    assert turned_.alpha.sum() == pytest.approx(800, rel=0.03)
    torch.testing.assert_close(turned_.colour[:, :1], turned_.alpha / 2)  # premultiplied: no foreign colour at the rim
    near_90 = turned(red_object(), 89.99)
    exact = turned(red_object(), 90)
    assert (near_90.alpha[:, :, :10, :12] - exact.alpha).abs().mean() < 0.1


def test_scaling_scales_the_mask():
    _, mask = pasted(picture(), red_object(), Placement(3, 4, scale=2.0))
    hard = mask > 0.5
    rows, columns = hard[0, 0].any(1).nonzero(), hard[0, 0].any(0).nonzero()
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 27, 3, 12)


def test_feathering_fades_inwards_only():
    alpha = torch.ones(1, 1, 20, 20)
    cutting = Cutting(alpha.expand(-1, 3, -1, -1) * 1.0, alpha)
    _, hard = pasted(picture(), cutting, Placement(10, 10))
    _, soft = pasted(picture(), cutting, Placement(10, 10, feather=4))
    assert not soft[hard == 0].any()
    row = soft[0, 0, 20, 10:20]
    assert (row.diff() >= -1e-6).all()
    assert row[0] < 0.3
    assert row[-1] > 0.99


def test_grey_pictures_take_the_objects_luma():
    made, _ = pasted(picture(channels=1), red_object(), Placement(0, 0))
    assert made.shape == (1, 1, 40, 50)
    colour = red_object().colour
    luma = 0.299 * colour[:, 0] + 0.587 * colour[:, 1] + 0.114 * colour[:, 2]
    torch.testing.assert_close(made[0, 0, :12, :5], luma[0, :, :5] * 2 - 1)


def test_a_key_colour_or_a_rectangle_cuts_what_has_no_alpha(tmp_path):
    pixels = torch.zeros(1, 3, 20, 30)
    pixels[:, 1] = 1  # green around ...
    pixels[:, :, 5:15, 8:20] = torch.tensor([0.8, 0.1, 0.2]).view(1, 3, 1, 1)  # ... the object
    file = tmp_path / "o.png"
    images.save(file, pixels * 2 - 1)
    with pytest.raises(UserError, match="--key_color"):
        cut(file)
    keyed = cut(file, key_colour="#00ff00")
    wanted = torch.zeros(1, 1, 20, 30)
    wanted[:, :, 5:15, 8:20] = 1
    assert torch.equal(keyed.alpha, wanted)
    assert not keyed.colour[(wanted == 0).expand(-1, 3, -1, -1)].any()
    boxed = cut(file, rectangle=(8, 5, 12, 10))
    assert boxed.alpha.shape == (1, 1, 10, 12)
    assert boxed.alpha.all()
    with pytest.raises(UserError, match="--rectangle"):
        cut(file, rectangle=(25, 5, 12, 10))
    with pytest.raises(UserError, match="Nothing of --object"):
        cut(file, key_colour="#00ff00", rectangle=(0, 0, 4, 4))


def run(*arguments):
    return CliRunner().invoke(main, ["paste", *map(str, arguments)])


def test_the_command_writes_the_naive_picture_and_its_mask(tmp_path):
    onto, cutting = picture(), red_object()
    images.save(tmp_path / "p.png", onto)
    save_object(tmp_path / "o.png", cutting)
    out = tmp_path / "naive.png"
    result = run("--object", tmp_path / "o.png", "--onto", tmp_path / "p.png", "--at", "7,5", "--out", out)
    assert result.exit_code == 0, result.output
    made, mask = pasted(onto, cutting, Placement(7, 5))
    assert (arrays.to_uint8(images.load(out).pixels) == arrays.to_uint8(made)).all()
    assert torch.equal(images.load_mask(tmp_path / "naive_mask.png"), mask)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"--at": "7"}, "--at"),
        ({"--at": "a,b"}, "--at"),
        ({"--scale": "0"}, "--scale"),
        ({"--scale": "nan"}, "--scale"),
        ({"--feather": "-1"}, "--feather"),
        ({"--rectangle": "0,0,0,0"}, "--rectangle"),
        ({"--key_color": "nocolour"}, "--key_color"),
        ({"--out": "p.png"}, "overwrite"),
        ({"--out": "naive"}, "no extension"),
        ({"--object": "missing.png"}, "missing.png"),
    ],
)
def test_a_wrong_flag_ends_in_one_sentence_and_writes_nothing(tmp_path, monkeypatch, change, word):
    monkeypatch.chdir(tmp_path)
    images.save("p.png", picture())
    save_object("o.png", red_object())
    before = sorted(tmp_path.iterdir())
    flags = {"--object": "o.png", "--onto": "p.png", "--at": "7,5", "--out": "n.png"} | change
    result = run(*(part for pair in flags.items() for part in pair))
    assert result.exit_code == 2
    assert result.output.startswith("Error: ")
    assert word in result.output
    assert result.output.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_what_the_naive_picture_has_not_is_told(tmp_path):
    from PIL import Image

    Image.new("RGBA", (20, 20), (9, 9, 9, 100)).save(tmp_path / "onto.png")
    disc = Image.new("RGBA", (10, 10), (200, 0, 0, 255))
    disc.putpixel((0, 0), (0, 0, 0, 0))
    disc.save(tmp_path / "object.png")
    said = []
    paste_files(
        str(tmp_path / "object.png"), str(tmp_path / "onto.png"), str(tmp_path / "a.png"), (2, 2), say=said.append
    )
    assert said == [f"{tmp_path / 'onto.png'}: Transparent parts were laid on white; results have no transparency."]
