"""The table of tasks: one file and one line each."""

from __future__ import annotations

from consingan.tasks.animation import Animation
from consingan.tasks.base import Task
from consingan.tasks.editing import Editing
from consingan.tasks.enlargement import Enlargement
from consingan.tasks.generation import Generation
from consingan.tasks.harmonization import Harmonization
from consingan.tasks.retarget import RETARGET
from consingan.tasks.translation import Translation

TASKS: dict[str, Task] = {
    task.name: task
    for task in (Generation(), RETARGET, Animation(), Harmonization(), Editing(), Enlargement(), Translation())
}
