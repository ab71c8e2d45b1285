"""What the figures of a run mean, and what to turn, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from consingan.storage.results import Role
from consingan.watch.report.reading import Facts

FAR = 0.15  # root mean squared error of a reconstruction, of [-1, 1]; trained ones end at 0.02 to 0.08
FEW = 100  # iterations of a stage; fewer are chosen by no preset
COPIED = 0.5  # share of patches in their place; samples of the defaults have 0 to 0.4
ALIKE = 0.1  # diversity; samples of the defaults have 0.15 to 0.6
MISSED = 0.03  # completeness; samples of trained models have 0.002 to 0.03

ON_NAIVE = (
    "The result is the naive picture outside the mask, so its figures say little of the object: judge by eye. More of "
    "the object stays with --injection_stage 1 or 2, less of the painting's strokes comes with a smaller --hand."
)


def meaning(facts: Facts, figures: Mapping[str, float]) -> list[str]:
    """Sentences on a run, the most urgent first; at least one where anything is known.

    Args:
        facts: of the run.
        figures: of its newest samples, by their names in METRICS.
    """
    pasted = facts.newest is not None and any(each.role is Role.PASTED for each in facts.newest.samples)
    found = [*of_training(facts), *([ON_NAIVE] if pasted else of_samples(figures))]
    if found or not figures or not facts.finished:
        return found
    return ["The figures are as those of a trained run: nothing has to be turned."]


def of_training(facts: Facts) -> Iterator[str]:
    """Whether it has trained enough."""
    done = sum(stage.complete for stage in facts.stages)
    if not facts.finished:
        yield (
            f"This run is not finished ({done} of {len(facts.stages)} stages are): its pictures are coarser than they "
            "will be. The command to continue it is below."
        )
    short = [stage for stage in facts.stages if stage.complete and stage.done < FEW]
    if short:
        count = min(stage.done for stage in short)
        yield (
            f"A stage had only {count} {'iteration' if count == 1 else 'iterations'}, a trial and no training: "
            "leave --niter out, or give some hundreds."
        )
    error = next((curve.pieces[-1][-1][1] for curve in facts.figures if curve.name == "reconstruction"), None)
    kept = facts.settings.translation.target_name is None  # a translation is not made to give its own picture back
    if error is not None and error > FAR and not short and kept:
        yield (
            f"The reconstruction is far from the picture (error {error:.2g}; trained models have less than {FAR:g}): "
            "train longer with a larger --niter, or with --preset best."
        )


def of_samples(figures: Mapping[str, float]) -> Iterator[str]:
    """Whether samples vary, and hold what the picture holds."""
    if figures.get("copy", 0) > COPIED:
        yield (
            f"{figures['copy']:.0%} of the samples lies where it lies in the picture: they are close to copies. For "
            "more variety sample with a larger --variation, such as 0.8, or train with --positions 0.3."
        )
    elif figures.get("diversity", 1) < ALIKE:
        yield (
            f"The samples hardly differ from each other (diversity {figures['diversity']:.2g}): sample with a larger "
            "--variation, such as 0.8."
        )
    if figures.get("completeness", 0) > MISSED:
        yield (
            f"Parts of the picture are missing from the samples (completeness {figures['completeness']:.2g}): sample "
            "with a smaller --variation, such as 0.4, or train longer with --preset best."
        )
