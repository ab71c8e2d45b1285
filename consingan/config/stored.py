"""A configuration as JSON values, and back: config.json of a run, the header of a model file, a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from consingan.config.declarations import (
    SECTIONS,
    TABLES,
    Album,
    Codes,
    Naive,
    Sampling,
    Stopping,
    Techniques,
    Train,
    Translation,
    options,
    own,
)
from consingan.config.declarations import values as values_of
from consingan.config.resolving import check, is_whole, resolve
from consingan.errors import UserError

SCHEMA = 1
# Settings that files of older versions lack, with what these did.
LATER: dict[str, dict[str, Any]] = {
    "network": {
        "positions": 0.0,
        "virtual_batch_norm": False,
        "spectral_norm": False,
        "minibatch_discrimination": 0,
        "tileable": "off",
    },
    "objective": {"noise": "pure"},
    "optimisation": {"window": "off", "decay": "step", "work": 10.0},
    "runtime": {"graphs": "off", "compile": False},
    "techniques": {"history": 0},
    "translation": {"cycle_start": 0.0, "cycle_from": 0.0, "latent_kl": 0.01, "autoencoder": 10.0, "structure": 0.0},
    "naive": {"keep_structure": 0.0, "hand": 0.0},
}


OF_FEW = {"album": Album()}  # sections that a file has only where they differ from this

CHOSEN = "chosen"  # the key that says who set what; files of older versions lack it


@dataclass(frozen=True)
class Chosen:
    """What a person chose, beside what it came to.

    Args:
        preset: its name; None where there is none, as for a training that begins from a trained run.
        given: names of the settings that the person set; None where that is not known.
    """

    preset: str | None = None
    given: tuple[str, ...] | None = None


UNKNOWN = Chosen()  # of runs of older versions


def chosen_in(values: Mapping[str, Any]) -> Chosen:
    """What a configuration's JSON values say of who set what; ``UNKNOWN`` where they say nothing that makes sense."""
    found = values.get(CHOSEN)
    if not isinstance(found, Mapping):
        return UNKNOWN
    preset, given = found.get("preset"), found.get("given")
    names = tuple(name for name in given if isinstance(name, str)) if isinstance(given, list) else None
    return Chosen(preset if isinstance(preset, str) else None, names)


def to_json(config: Train, chosen: Chosen = UNKNOWN) -> dict[str, Any]:
    """The configuration as JSON values, with the schema's version, and who set what where that is known."""
    values: dict[str, Any] = {"schema": SCHEMA, "mode": config.mode, "image": config.image}
    if chosen != UNKNOWN:
        values[CHOSEN] = {name: _plain(value) for name, value in asdict(chosen).items()}
    for section in SECTIONS:
        if (part := getattr(config, section)) != OF_FEW.get(section):
            values[section] = to_json_section(part)
    return values


def to_json_section(part: Any) -> dict[str, Any]:
    """One section's settings as JSON values."""
    return {name: _plain(value) for name, value in values_of(part).items()}


def from_json(values: Mapping[str, Any], where: str) -> Train:
    """Read what ``to_json`` wrote.

    Args:
        values: the parsed JSON.
        where: the file, for the message.

    Raises:
        UserError: a newer schema, an unknown or a missing key, a value out of range.
    """
    if not isinstance(values, Mapping) or not is_whole(values.get("schema")) or values["schema"] < 1:
        raise UserError(f"{where} holds no configuration of this program; point to a run that it made.")
    if values["schema"] > SCHEMA:
        raise UserError(f"{where} has schema {values['schema']}, newer than {SCHEMA}; install a newer version.")
    whole = {  # sections that older files lack
        "naive": Naive(),
        "stopping": Stopping(),
        "sampling": Sampling(),
        "techniques": Techniques(),
        "codes": Codes(),
        "translation": Translation(),
        **OF_FEW,
    }
    values = {section: to_json_section(part) for section, part in whole.items()} | dict(values)
    values.pop(CHOSEN, None)
    known = {"schema", "mode", "image", *SECTIONS}
    if set(values) != known or not all(isinstance(values[s], Mapping) for s in SECTIONS):
        odd = ", ".join(sorted(map(str, set(values) ^ known))) or "a section"
        raise UserError(f"{where} is not a whole configuration: {odd} is unknown, missing or malformed.")
    for name in ("mode", "image"):
        if not isinstance(values[name], str):
            raise UserError(f"{where} is not a whole configuration: {name} is {values[name]!r}, not a word.")
    layer = {}
    try:
        for section in SECTIONS:
            found = {**LATER.get(section, {}), **values[section]}
            if differing := set(found) ^ _names(section, found):
                odd = ", ".join(sorted(map(str, differing)))
                raise UserError(f"{odd} is unknown or missing in {section}.")
            layer.update(found)
    except UserError as error:
        raise UserError(f"{where} is not a whole configuration: {error}") from None
    try:
        config, _ = resolve(values["mode"], values["image"], (where, layer))
    except UserError as error:
        raise UserError(f"{where} is not a sound configuration: {error}") from None
    return config


def _names(section: str, found: Mapping[str, Any]) -> set[str]:
    """The settings of a section in a file, by the entries of tables that it names.

    Raises:
        UserError: it names an entry that there is not.
    """
    wanted = own(section)
    chosen = [(s, check(s, found.get(s.name))) for s in wanted if s.name in TABLES]
    return {s.name for s in [*wanted, *(option for s, entry in chosen for option in options(s, entry))]}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
