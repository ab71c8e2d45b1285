"""Whatever is given, it trains or is refused in words: random configurations, random bytes as every kind of file."""

from __future__ import annotations

import json
import struct

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_training import striped

from consingan import config
from consingan.errors import UserError
from consingan.gan.model import SingleImageModel
from consingan.pictures import images
from consingan.storage import files
from consingan.tasks import TASKS
from consingan.training.loop import train
from consingan.training.state import Training
from consingan.watch.monitor import Monitor

BOUNDED = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
NUMBERS = st.one_of(st.floats(1e-6, 10), st.sampled_from([0.0, 1.0, 1e9]))
CONFIGURATIONS = st.fixed_dictionaries(
    {"niter": st.sampled_from([(1,), (2,), (2, 1)]), "nfc": st.integers(1, 6), "min_size": st.integers(8, 32),
     "max_size": st.integers(8, 40), "train_stages": st.integers(1, 4)},
    optional={
        "start_scale": st.integers(0, 3), "ker_size": st.integers(1, 7), "num_layer": st.integers(1, 4),
        "padd_size": st.integers(0, 3), "nc_im": st.integers(1, 3), "batch_norm": st.booleans(),
        "activation": st.sampled_from(["lrelu", "prelu", "elu", "selu"]), "lrelu_alpha": st.floats(0, 1),
        "lambda_grad": NUMBERS, "alpha": NUMBERS, "noise_amp": NUMBERS, "lr_g": NUMBERS, "lr_d": NUMBERS,
        "lr_scale": NUMBERS, "gamma": st.floats(0, 1), "beta1": st.floats(0, 0.999),
        "train_depth": st.integers(1, 20), "Gsteps": st.integers(1, 3), "Dsteps": st.integers(1, 3),
        "precision": st.sampled_from(["fp32", "bf16", "auto"]), "seed": st.integers(0, 2**32 - 1),
    },
)  # fmt: skip


def in_words(error: UserError) -> None:
    assert 20 < len(str(error)) < 700
    assert "\n" not in str(error)


@pytest.mark.parametrize("mode", TASKS)
@given(values=CONFIGURATIONS, height=st.integers(1, 40), width=st.integers(1, 40))
@BOUNDED
def test_every_configuration_trains_or_is_refused_in_words(mode, values, height, width):
    try:
        chosen, _ = config.resolve(mode, "stripes.png", ("test", values))
        picture = striped(height, width, chosen.network.nc_im)
        model = train(Training.start(chosen, picture), Monitor(display="quiet"))
    except UserError as error:
        in_words(error)
        return
    assert model.stages == len(model.sizes)
    assert model.reconstruct().isfinite().all()


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(section=st.sampled_from(list(config.SECTIONS)), pick=st.integers(0), value=VALUES)
@settings(BOUNDED, max_examples=300)
def test_every_value_in_a_configuration_file_is_read_or_refused(section, pick, value):
    values = config.to_json(config.Train("generation", "a.png"))
    album = {"also": ["b.png"], "weights": [1, 2]}  # is written where there are several pictures
    values.setdefault(section, album)
    names = list(values[section])
    values[section][names[pick % len(names)]] = value
    try:
        config.from_json(values, "config.json")
    except UserError as error:
        in_words(error)


@given(value=VALUES)
@settings(BOUNDED, max_examples=100)
def test_any_json_as_a_configuration_is_refused(value):
    with pytest.raises(UserError) as caught:
        config.from_json(value, "config.json")
    in_words(caught.value)


@given(data=st.binary(max_size=400))
@settings(BOUNDED, max_examples=200)
def test_random_bytes_as_picture_model_and_configuration(tmp_path, data):
    file = tmp_path / "file"
    file.write_bytes(data)
    for read in (images.load, SingleImageModel.load, files.read_json):
        try:
            read(file)
        except UserError as error:
            in_words(error)


@given(header=VALUES, tensors=st.dictionaries(st.text(max_size=12), st.just(torch.zeros(1)), max_size=2))
@settings(BOUNDED, max_examples=100)
def test_a_safetensors_file_with_any_header_of_ours_is_refused(tmp_path, header, tensors):
    text = json.dumps({"schema": 1, "config": header, "sizes": header, "amplitudes": header, "border": "extend"})
    inner = {"__metadata__": {files.METADATA_KEY: text}}
    offset = 0
    for name in tensors:
        inner[name or "x"] = {"dtype": "F32", "shape": [1], "data_offsets": [offset, offset + 4]}
        offset += 4
    raw = json.dumps(inner).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(offset))
    with pytest.raises(UserError) as caught:
        SingleImageModel.load(file)
    in_words(caught.value)
