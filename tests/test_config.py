"""config/ and plan.py: what is resolved is whole and in range, everything else is one sentence with the flag."""

import copy
import json
import math
import operator
from dataclasses import asdict, fields
from functools import reduce

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from consingan import config
from consingan.errors import UserError
from consingan.tasks import TASKS
from consingan.training import plan

DEFAULTS = config.resolve("generation", "a.png")[0]
DECLARED = {s.name: s for s in config.settings()}
ODD = {  # a value of every type, none of them a default
    "train_stages": 7, "start_scale": 2, "min_size": 31, "max_size": 301, "nfc": 33, "ker_size": 5, "num_layer": 4,
    "padd_size": 1, "nc_im": 1, "activation": "elu", "lrelu_alpha": 0.25, "batch_norm": True, "lambda_grad": 0.0,
    "alpha": 1e-05, "noise_amp": 3.0, "niter": (5, 4, 3), "lr_g": 1e-300, "lr_d": 0.1, "lr_scale": 0.5, "gamma": 1.0,
    "beta1": 0.9, "train_depth": 1, "Gsteps": 1, "Dsteps": 5, "seed": 2**32 - 1, "precision": "bf16",
}  # fmt: skip


def resolved(**given):
    return config.resolve("generation", "a.png", ("flag", given))[0]


def refusal(call, *arguments, **named) -> str:
    """The message of a UserError, checked to be one line."""
    with pytest.raises(UserError) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- defaults


def test_defaults_are_the_published_ones():
    published = {
        "nfc": 64, "ker_size": 3, "num_layer": 3, "padd_size": 0, "nc_im": 3, "noise_amp": 0.1, "min_size": 25,
        "max_size": 250, "train_depth": 3, "start_scale": 0, "niter": (2000,), "gamma": 0.1, "lr_g": 5e-4,
        "lr_d": 5e-4, "beta1": 0.5, "Gsteps": 3, "Dsteps": 3, "lambda_grad": 0.1, "alpha": 10.0,
        "activation": "lrelu", "lrelu_alpha": 0.05, "batch_norm": False, "lr_scale": 0.1, "train_stages": 6,
    }  # fmt: skip
    values = config.flat(DEFAULTS)
    assert {name: values[name] for name in published} == published


def test_names_are_unique_over_the_sections_and_defaults_are_in_range():
    names = [s.name for s in config.settings()]
    parts = [*config.SECTIONS.values(), *(entry for table in config.TABLES.values() for entry in table.values())]
    declared = {f.name for part in parts for f in fields(part) if "setting" in f.metadata}
    assert len(names) == len(set(names))
    assert set(names) == declared
    for s in config.settings():
        assert config.check(s, s.default) == s.default
        assert s.setting.help
        assert not s.setting.help.endswith(".")


# ---- layers


def test_later_layers_win_and_are_named():
    settings, origins = config.resolve(
        "generation", "a.png", ("preset quick", {"nfc": 8, "niter": 7}), ("picture", {"nc_im": 1}), ("flag", {"nfc": 9})
    )
    assert (settings.network.nfc, origins["nfc"]) == (9, "flag")
    assert (settings.optimisation.niter, origins["niter"]) == ((7,), "preset quick")
    assert (settings.network.nc_im, origins["nc_im"]) == (1, "picture")
    assert (settings.network.ker_size, origins["ker_size"]) == (3, "default")
    assert set(origins) == set(config.flat(settings))


def test_a_flag_that_repeats_the_default_still_beats_the_preset():
    settings, origins = plan.resolve("generation", "quick", "a.png", 3, {"train_stages": 6, "nc_im": 1})
    assert (settings.pyramid.train_stages, origins["train_stages"]) == (6, "flag")
    assert (settings.network.nc_im, origins["nc_im"]) == (1, "flag")
    assert (settings.pyramid.max_size, origins["max_size"]) == (40, "preset quick")


@pytest.mark.parametrize(
    ("mode", "given", "size", "stages"),
    [
        ("generation", {}, (167, 250), 6),
        ("generation", {}, (2000, 3000), 6),
        ("generation", {"max_size": 500}, (2000, 3000), 8),
        ("generation", {"max_size": 2048}, (1365, 2048), 11),
        ("generation", {"max_size": 2048}, (2048, 1365), 11),
        ("generation", {"max_size": 4096}, (4096, 4096), 12),
        ("generation", {"max_size": 4096}, (300, 400), 7),
        ("generation", {"max_size": 4096}, None, 12),
        ("generation", {"max_size": 8, "min_size": 8}, (167, 250), 1),
        ("animation", {}, (167, 250), 6),
        ("harmonization", {}, (167, 250), 3),
        ("editing", {}, (167, 250), 6),
    ],
)
def test_auto_stages_are_the_published_number_at_the_published_size(mode, given, size, stages):
    settings, origins = plan.resolve(mode, "paper", "a.png", 3, {"train_stages": "auto", **given}, size)
    assert settings.pyramid.train_stages == stages
    assert origins["train_stages"] == "auto, by the picture's size"
    assert config.from_json(config.to_json(settings), "x") == settings


def test_auto_stages_do_not_hide_a_bad_value():
    assert refusal(plan.resolve, "generation", "paper", "a", 3, {"train_stages": "auto", "min_size": "x"}).startswith(
        "--min_size is 'x'"
    )
    assert refusal(plan.resolve, "generation", "paper", "a", 3, {"train_stages": "auto", "max_size": 20}).startswith(
        "--min_size 25, the shorter side of the coarsest stage, is above --max_size 20"
    )
    assert refusal(resolved, train_stages="auto").startswith("--train_stages is 'auto'; give a value of type int")


@pytest.mark.parametrize(
    ("given", "size", "niter"),
    [
        ({"train_stages": 3, "max_size": 250}, (250, 250), (8000, 1562, 160)),  # 25, 80 and 250 px squared
        ({"train_stages": 3, "max_size": 250, "start_scale": 1}, (250, 250), (1562, 160)),
        ({"train_stages": 3, "max_size": 250, "work": 20.0}, (250, 250), (8000, 3125, 320)),
        ({"train_stages": 3, "max_size": 250, "window": "100"}, (250, 250), (8000, 1562, 1000)),
        ({"train_stages": 1, "max_size": 8192}, (8000, 8000), (271,)),  # windows of 192 px
        ({"train_stages": 1, "max_size": 250, "work": 1e-3}, (250, 250), (100,)),
        ({"train_stages": 1, "max_size": 250}, None, (160,)),
    ],
)
def test_auto_iterations_give_each_stage_the_same_pixels(given, size, niter):
    for name, value in (("niter", "auto"), ("min_size", 25)):
        given = {**given, name: value}
    settings, origins = plan.resolve("retarget", "paper", "a.png", 3, given, size)
    assert settings.optimisation.niter == niter
    assert origins["niter"] == "auto, by the stages' sizes"
    assert config.from_json(config.to_json(settings), "x") == settings


@pytest.mark.parametrize(("nfc", "lr_g", "lr_d"), [(32, 7.5e-4, 2.25e-3), (64, 3.75e-4, 1.125e-3), (8, 3e-3, 9e-3)])
def test_auto_rates_are_by_the_width(nfc, lr_g, lr_d):
    settings, origins = plan.resolve("generation", "fast", "a.png", 3, {"nfc": nfc})
    assert (settings.optimisation.lr_g, settings.optimisation.lr_d) == pytest.approx((lr_g, lr_d))
    assert (origins["lr_g"], origins["nfc"]) == ("auto, by the width", "flag")


def test_typed_numbers_win_over_auto():
    given = {"lr_d": 1e-4, "niter": (7, 8)}
    settings, origins = plan.resolve("generation", "fast", "a.png", 3, given)
    assert (settings.optimisation.lr_d, settings.optimisation.niter) == (1e-4, (7, 8))
    assert (origins["lr_d"], origins["niter"], origins["lr_g"]) == ("flag", "flag", "auto, by the width")


@pytest.mark.parametrize("mode", TASKS)
@pytest.mark.parametrize("preset", ["fast", "paper", "quick"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_recipe_resolves(mode, preset, channels):
    settings, origins = plan.resolve(mode, preset, "a.png", channels, {})
    values = config.flat(settings)
    for name, value in TASKS[mode].recipes[preset].items():
        if value == "auto":
            assert origins[name].startswith("auto, by the ")
        else:
            assert values[name] == value
            assert origins[name] == f"preset {preset}"
    assert (settings.mode, settings.image, values["nc_im"]) == (mode, "a.png", channels)


def test_words_that_are_no_task_or_preset_are_refused_with_the_choice():
    assert refusal(plan.resolve, "paint", "paper", "a.png", 3, {}) == (
        f"--train_mode is 'paint'; choose one of {', '.join(TASKS)}."
    )
    assert refusal(plan.resolve, "generation", "slow", "a.png", 3, {}) == (
        "--preset is 'slow'; generation has fast, quick, best, paper."
    )


def test_an_unknown_setting_is_refused_by_name():
    message = refusal(resolved, niters=3)
    assert message.startswith("niters is no setting of a training run; did you mean niter?")


# ---- iterations


@pytest.mark.parametrize(("given_value", "kept"), [(5, (5,)), ([5, 4], (5, 4)), ((5, 4), (5, 4)), ([1], (1,))])
def test_iterations_are_a_number_or_a_list(given_value, kept):
    assert resolved(niter=given_value).optimisation.niter == kept


def test_a_short_list_goes_on_with_its_last_number():
    assert [config.iterations((5, 4, 3), stage) for stage in range(5)] == [5, 4, 3, 3, 3]
    assert [config.iterations((7,), stage) for stage in range(3)] == [7, 7, 7]
    assert [config.iterations((5, 4, 3), stage) for stage in range(2)] == [5, 4]


@pytest.mark.parametrize(
    "value", [0, -1, True, 2.0, "5", None, [], (), [5, 0], [5, True], [5, [4]], [5, 2.5], math.nan]
)
def test_other_iterations_are_refused(value):
    assert refusal(resolved, niter=value).startswith("--niter is ")


# ---- single values


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("nfc", 0, "--nfc is 0; give a number from 1 to 1024."),
        ("nfc", True, "--nfc is True; give a value of type int."),
        ("nfc", 3.0, "--nfc is 3.0; give a value of type int."),
        ("nfc", "3", "--nfc is '3'; give a value of type int."),
        ("nfc", None, "--nfc is None; give a value of type int."),
        ("nfc", math.nan, "--nfc is nan; give a value of type int."),
        ("ker_size", 4, "--ker_size is 4, an even number; give an odd one, such as 5."),
        ("lr_g", 0, "--lr_g is 0.0; give a number above 0."),
        ("lr_g", math.nan, "--lr_g is not a number; give a number above 0."),
        ("lr_g", math.inf, "--lr_g is inf; give a number above 0."),
        ("lr_g", 10**400, "--lr_g is inf; give a number above 0."),
        ("lr_g", True, "--lr_g is True; give a value of type float."),
        ("gamma", -math.inf, "--gamma is -inf; give a number from 0 to 1."),
        ("beta1", 1, "--beta1 is 1.0; give a number from 0 to 0.999."),
        ("lambda_grad", math.nan, "--lambda_grad is not a number; give a number of at least 0."),
        ("lambda_grad", math.inf, "--lambda_grad is inf; give a number of at least 0."),
        ("seed", 2**32, "--seed is 4294967296; give a number from 0 to 4294967295."),
        ("batch_norm", 1, "--batch_norm is 1; give a value of type bool."),
        ("activation", "relu", "--activation is 'relu'; choose one of lrelu, prelu, elu, selu."),
        ("activation", ["lrelu"], "--activation is ['lrelu']; give a value of type str."),
        ("precision", "fp16", "--precision is 'fp16'; choose one of auto, fp32, tf32, bf16."),
        ("nc_im", 9, "--nc_im is 9; give a number from 1 to 8."),
        ("niter", 0, "--niter is '0'; give a whole number of at least 1, or a list of them by stage."),
        ("niter", (10, 0), "--niter is '10,0'; give a whole number of at least 1, or a list of them by stage."),
    ],
)
def test_values_that_are_refused(name, value, message):
    assert refusal(resolved, **{name: value}) == message


@pytest.mark.parametrize("s", DECLARED.values(), ids=DECLARED)
def test_every_range_holds_at_both_ends(s):
    """A number at its bound is kept, the next one beyond is refused with flag and bound."""
    how = s.setting
    step = 1 if s.plain_kind in (int, config.Iterations) else 1e-6
    for bound, beyond in ((how.low, -step), (how.high, step)):
        if bound is not None:
            assert config.check(s, bound) in (bound, (bound,))
            message = refusal(config.check, s, bound + beyond)
            assert message.startswith(f"--{s.name} is ")
            assert str(bound) in message
    if how.above is not None:
        assert refusal(config.check, s, how.above).startswith(f"--{s.name} is ")
        assert config.check(s, how.above + step) in (how.above + step, (how.above + step,))
    if s.plain_kind is float:
        for value in (math.nan, math.inf, -math.inf):
            assert refusal(config.check, s, value).startswith(f"--{s.name} is ")


def test_whole_numbers_serve_as_fractions():
    kept = resolved(alpha=10, lr_scale=1).objective.alpha
    assert type(kept) is float
    assert kept == 10.0


# ---- values together


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"padd_size": 2}, "--padd_size 2 is more than half of --ker_size 3; give at most 1."),
        ({"padd_size": 1, "ker_size": 1}, "--padd_size 1 is more than half of --ker_size 1; give at most 0."),
        (
            {"min_size": 251},
            "--min_size 251, the shorter side of the coarsest stage, is above "
            "--max_size 250, the longer side of the finest; lower the one or raise the other.",
        ),
        (
            {"max_size": 24},
            "--min_size 25, the shorter side of the coarsest stage, is above "
            "--max_size 24, the longer side of the finest; lower the one or raise the other.",
        ),
        ({"start_scale": 6}, "--start_scale 6 leaves none of the --train_stages 6; give at most 5."),
        (
            {"keep_structure": 2.0},
            "--keep_structure 2 is for fine-tuning, but --fine_tune is not given; give both or none.",
        ),
        ({"start_scale": 1, "train_stages": 1}, "--start_scale 1 leaves none of the --train_stages 1; give at most 0."),
    ],
)
def test_contradictions(values, words):
    assert refusal(resolved, **values) == words


@pytest.mark.parametrize(
    "values",
    [{"padd_size": 1}, {"padd_size": 7, "ker_size": 15}, {"min_size": 250}, {"max_size": 25}, {"start_scale": 5}],
)
def test_the_last_values_without_contradiction(values):
    assert {name: config.flat(resolved(**values))[name] for name in values} == values


# ---- JSON


@pytest.mark.parametrize("values", [{}, ODD], ids=["defaults", "odd"])
def test_json_round_trip(values):
    before = config.resolve("animation", "dir/a b-c.1e-05.jpg", ("flag", values))[0]
    text = json.dumps(config.to_json(before), allow_nan=False)
    assert config.from_json(json.loads(text), "x") == before
    assert json.loads(text)["schema"] == config.SCHEMA


def whole() -> dict:
    return json.loads(json.dumps(config.to_json(DEFAULTS)))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("schema",), 2, "has schema 2, newer than 1; install a newer version"),
        (("schema",), 0, "holds no configuration"),
        (("schema",), "1", "holds no configuration"),
        (("schema",), True, "holds no configuration"),
        (("schema",), None, "holds no configuration"),
        (("extra",), 1, "extra is unknown"),
        (("network", "extra"), 1, "extra is unknown or missing in network"),
        (("network", "nfc"), "64", "--nfc is '64'"),
        (("network", "nfc"), True, "--nfc is True"),
        (("network", "nfc"), 64.5, "--nfc is 64.5"),
        (("network", "nfc"), None, "--nfc is None"),
        (("network", "batch_norm"), 0, "--batch_norm is 0"),
        (("network",), [], "malformed"),
        (("network",), None, "malformed"),
        (("optimisation", "lr_g"), math.nan, "--lr_g is not a number"),
        (("optimisation", "lr_g"), math.inf, "--lr_g is inf"),
        (("optimisation", "niter"), [], "--niter is ''"),
        (("pyramid", "start_scale"), 6, "--start_scale 6 leaves none"),
        (("mode",), 5, "mode is 5, not a word"),
        (("image",), None, "image is None, not a word"),
    ],
)
def test_other_json_is_refused_by_name(path, value, words):
    values = whole()
    reduce(operator.getitem, path[:-1], values)[path[-1]] = value
    message = refusal(config.from_json, values, "runs/x/config.json")
    assert message.startswith("runs/x/config.json ")
    assert words in message


@pytest.mark.parametrize("path", [("mode",), ("network",), ("network", "nfc"), ("runtime", "seed"), ("schema",)])
def test_missing_keys_are_refused_by_name(path):
    values = whole()
    del reduce(operator.getitem, path[:-1], values)[path[-1]]
    message = refusal(config.from_json, values, "config.json")
    assert path[-1] in message or path == ("schema",)


@pytest.mark.parametrize("values", [None, [], "x", 3, {}, {"schema": 1}])
def test_json_of_something_else_is_refused(values):
    assert refusal(config.from_json, values, "config.json").startswith("config.json ")


# ---- anything at all

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.integers(-3, 300)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(sorted({word for s in DECLARED.values() for word in s.setting.choices})),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
FITTING = st.fixed_dictionaries({}, optional={name: st.just(value) for name, value in ODD.items()})


def check_sentence(message: str, start: str = "") -> None:
    assert message.startswith(start)
    assert message.endswith(".")


@hypothesis_settings(max_examples=100, deadline=None)
@given(
    fitting=FITTING,
    other=st.dictionaries(st.sampled_from(sorted(DECLARED)) | st.text(max_size=9), ANYTHING, max_size=2),
)
@example(fitting={}, other={"lr_g": 10**400})
@example(fitting={}, other={"niter": {"a": 1}})
def test_any_values_resolve_or_are_refused(fitting, other):
    try:
        settings, origins = config.resolve("generation", "a.png", ("flag", {**fitting, **other}))
    except UserError as error:
        return check_sentence(str(error))
    assert config.from_json(json.loads(json.dumps(config.to_json(settings), allow_nan=False)), "x") == settings
    assert config.resolve("generation", "a.png", ("again", config.flat(settings)))[0] == settings
    assert {name for name, origin in origins.items() if origin == "flag"} == set(fitting) | set(other)
    for name, value in config.flat(settings).items():
        assert type(value) is type(DECLARED[name].default) or DECLARED[name].default is None


@hypothesis_settings(max_examples=200, deadline=None)
@given(data=st.data(), value=ANYTHING, delete=st.booleans())
def test_any_json_is_read_or_refused(data, value, delete):
    values = copy.deepcopy(whole())
    place, keys = values, st.sampled_from(sorted(values))
    key = data.draw(keys)
    if isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)) | st.text(max_size=5))
    if delete:
        place.pop(key, None)
    else:
        place[key] = value
    try:
        settings = config.from_json(values, "config.json")
    except UserError as error:
        return check_sentence(str(error), "config.json ")
    assert asdict(settings) == asdict(config.from_json(config.to_json(settings), "again"))
