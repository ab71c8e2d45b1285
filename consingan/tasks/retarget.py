"""The same picture at another size: its layout kept, its content repeated or left out."""

from __future__ import annotations

from dataclasses import replace

from consingan.tasks.generation import Generation

# Padded stages and a low variation keep the layout when the size changes; everything else is as for generation.
RETARGET = replace(Generation(), name="retarget", summary="the picture at other sizes", border="zero", variation=0.2)
