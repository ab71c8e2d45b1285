"""What a trained model, or the picture alone, can do: the table of applications, one file and one line each."""

from __future__ import annotations

from typing import Any

from consingan.applications.base import Application
from consingan.applications.enlarge import ENLARGE
from consingan.applications.fill import FILL, UNCROP
from consingan.applications.instant import INSTANT
from consingan.applications.naive import EDIT, HARMONIZE
from consingan.applications.paint import PAINT
from consingan.applications.samples import SAMPLES
from consingan.applications.translate import TRANSLATE
from consingan.applications.turn import TURN
from consingan.applications.walk import WALK

APPLICATIONS: dict[str, Application[Any]] = {
    application.name: application
    for application in (SAMPLES, WALK, TURN, HARMONIZE, EDIT, PAINT, TRANSLATE, INSTANT, FILL, UNCROP, ENLARGE)
}
