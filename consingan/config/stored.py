"""A configuration as JSON values, and back: config.json of a run, the header of a model file, a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consingan.config.declarations import SECTIONS, Naive, Sampling, Stopping, Train, declared
from consingan.config.resolving import is_whole, resolve
from consingan.errors import UserError

SCHEMA = 1
# Settings that files of older versions lack, with what these did.
LATER: dict[str, dict[str, Any]] = {
    "network": {"positions": 0.0},
    "objective": {"noise": "pure"},
    "optimisation": {"window": "off", "decay": "step", "work": 10.0},
    "runtime": {"graphs": "off", "compile": False},
    "naive": {"keep_structure": 0.0, "hand": 0.0},
}


def to_json(config: Train) -> dict[str, Any]:
    """The configuration as JSON values, with the schema's version."""
    values: dict[str, Any] = {"schema": SCHEMA, "mode": config.mode, "image": config.image}
    for section in SECTIONS:
        values[section] = to_json_section(getattr(config, section))
    return values


def to_json_section(part: Any) -> dict[str, Any]:
    """One section's settings as JSON values."""
    return {s.name: _plain(getattr(part, s.name)) for s in declared(type(part))}


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
    whole = {"naive": Naive(), "stopping": Stopping(), "sampling": Sampling()}  # sections that older files lack
    values = {section: to_json_section(part) for section, part in whole.items()} | dict(values)
    known = {"schema", "mode", "image", *SECTIONS}
    if set(values) != known or not all(isinstance(values[s], Mapping) for s in SECTIONS):
        odd = ", ".join(sorted(map(str, set(values) ^ known))) or "a section"
        raise UserError(f"{where} is not a whole configuration: {odd} is unknown, missing or malformed.")
    for name in ("mode", "image"):
        if not isinstance(values[name], str):
            raise UserError(f"{where} is not a whole configuration: {name} is {values[name]!r}, not a word.")
    layer = {}
    for section, cls in SECTIONS.items():
        names, found = {s.name for s in declared(cls)}, {**LATER.get(section, {}), **values[section]}
        if set(found) != names:
            odd = ", ".join(sorted(map(str, set(found) ^ names)))
            raise UserError(f"{where} is not a whole configuration: {odd} is unknown or missing in {section}.")
        layer.update(found)
    try:
        config, _ = resolve(values["mode"], values["image"], (where, layer))
    except UserError as error:
        raise UserError(f"{where} is not a sound configuration: {error}") from None
    return config


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
