"""One training from what is asked for to its end. Command line, Python, and whatever comes are faces of it.

    job = Job(Order("photo.jpg", outdir="trained_models"))
    print(job.plan())                                # what would be done and what it costs; writes nothing
    ended = job.run([observer], stop=lambda: False)  # plans, locks, writes, trains, ends

Nothing here prints, reads a terminal or ends the process; what happens is told to the observers as records
(``watch.log``), and what is wrong is raised as a ``UserError`` before anything is written, where it can be known then.
torch is imported when there is something to compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from consingan.config import Chosen
from consingan.errors import UserError
from consingan.pictures.source import check_file
from consingan.storage import files
from consingan.storage.run import Run
from consingan.storage.runs import removed_on_failure
from consingan.training import plan, signals
from consingan.training.beginning import Beginning, beginning
from consingan.training.belongings import Belongings
from consingan.training.checks import check_picture, check_place, check_size, naive_notes, needed_bytes, shape_notes
from consingan.training.holed import start as around
from consingan.training.order import MOST_PIXELS, WHITE, Order
from consingan.training.plan import Plan
from consingan.watch.clock import duration
from consingan.watch.log import Observer, last_time, read_log
from consingan.watch.monitor import Monitor
from consingan.watch.report import directions
from consingan.watch.report.commands import resuming, sampling

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from consingan.gan.model import SingleImageModel
    from consingan.pictures.images import Picture
    from consingan.training.state import Training

Stop = Callable[[], bool]


@dataclass(frozen=True, eq=False)
class Ended:
    """How a training ended.

    Args:
        how: finished; stopped in good order; or finished before, by an earlier process.
        run: its folder; None where nothing was written.
        model: with the stages that it has so far; None where it was finished before.
        signal: the number of the signal that stopped it; None where none did.
        faults: a sentence for each observer that failed.
    """

    how: Literal["finished", "stopped", "finished before"]
    run: Run | None
    model: SingleImageModel | None = None
    signal: int | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Ready:
    """A new training that can begin; nothing is written yet."""

    state: Training
    origins: Mapping[str, str]
    chosen: Chosen
    notes: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True)
class Company:
    """Who looks on while a training runs, and who may stop it.

    Args:
        observers: told of every record.
        stop: asked after every iteration.
        signals: whether SIGINT, SIGTERM and SIGHUP stop it too.
        notes: sentences to be said first.
    """

    observers: Sequence[Observer]
    stop: Stop
    signals: bool
    notes: tuple[str, ...]


class Job:
    """One training.

    Args:
        order: what is wanted.
        picture: where it is no file; the order then only names it.
        about_to_load: called when the order is found sound and what takes seconds begins: torch is imported, the
            picture is read, iterations are tried.
    """

    def __init__(
        self, order: Order, picture: Picture | None = None, about_to_load: Callable[[], None] = lambda: None
    ) -> None:
        self.order, self.picture, self.about_to_load = order, picture, about_to_load

    def plan(self) -> Plan:
        """What would be done and what it costs, from a few iterations that are tried; writes nothing.

        Raises:
            UserError: the order cannot be carried out, or names a run to go on with.
        """
        if self.order.names_a_run:
            raise UserError("--resume goes on with its own plan; leave --dry_run out, or name a picture instead.")
        return self._plan(self._ready())

    def run(
        self,
        observers: Sequence[Observer] = (),
        stop: Stop = lambda: False,
        signals: bool = False,
        notes: Sequence[str] = (),
    ) -> Ended:
        """Train to the end, or until it is asked to stop.

        The run folder is locked before any file is written into it, and for as long as this takes.

        Args:
            observers: told of every record; one that raises is told nothing more, and the training goes on.
            stop: asked after every iteration; where it says so, a checkpoint and the report are written.
            signals: whether SIGINT, SIGTERM and SIGHUP stop in the same way, the second one at once; in the main
                thread only.
            notes: sentences to be said first.

        Raises:
            UserError: the order cannot be carried out, another process is at work in the folder, a file cannot be
                written, or the training went wrong for good.
        """
        company = Company(observers, stop, signals, tuple(notes))
        if self.order.names_a_run:
            return self._go_on_by_name(company)
        ready = self._ready()
        if self.order.resume == "auto":
            outdir = str(self.order.outdir)
            own, name = ready.state.model.settings, self.order.name
            if found := plan.unfinished_run(outdir, own, self._belongings, name):
                return self._go_on(found, ready.notes, company, ready.state.every_real)
            note = f"No unfinished run with these settings lies below {outdir}: this is a new one."
            ready = replace(ready, notes=(note, *ready.notes))
        return self._begin(ready, company)

    # ---- before anything is written

    def _ready(self) -> Ready:
        """Everything that a new training needs, checked."""
        self.order.check()
        if self.picture is None and self.order.picture is not None:
            check_picture(self.order.picture)
        if self.order.settings.get("naive_img") is not None:
            check_file(self.order.settings["naive_img"], "--naive_img")
        begin = beginning(self.order)  # refuses before torch is imported
        self.about_to_load()
        picture = self._picture(begin)
        pixels = picture.pixels
        settings, origins = begin.resolve(pixels.shape[1], (pixels.shape[2], pixels.shape[3]))
        naive = naive_notes(self.order.settings.get("naive_img"), settings)
        device, device_notes = self._device()
        around_it = picture.hole is not None
        state = (around if around_it else begin.state)(settings, picture, device)
        check_size(state)
        if self.order.outdir is not None:
            check_place(plan.planned_folder(self.order.outdir, settings, self.order.name).parent, needed_bytes(state))
        chosen = Chosen(begin.preset, tuple(sorted(self.order.settings)))
        shape = shape_notes(state.model.sizes, (pixels.shape[2], pixels.shape[3]), settings)
        notes = (*device_notes, *picture.notes, *naive, *shape)
        return Ready(state, origins, chosen, notes, picture.lost)

    def _picture(self, begin: Beginning) -> Picture:
        """The picture in the channels of the model."""
        from consingan.pictures import images

        order, channels = self.order, begin.channels
        background = order.background or (WHITE if begin.looked_at else None)
        if self.picture is not None:
            picture = images.changed(self.picture, channels, background)
        else:
            most = order.max_pixels or MOST_PIXELS
            picture = images.read(begin.picture, channels=channels, background=background, max_pixels=most)
        if begin.looked_at and picture.pixels.shape[1] not in (1, 3):
            raise UserError(
                f"The picture has {picture.pixels.shape[1]} channels, and harmonization and editing work on colours; "
                "give --nc_im 3, or a picture of colours."
            )
        return picture

    @property
    def _belongings(self) -> Belongings:
        """The files that the order names."""
        return Belongings.of(None if self.picture else self.order.picture, self.order.settings)

    def _device(self) -> tuple[torch.device, list[str]]:
        from consingan import devices

        return devices.choose(self.order.device, self.order.gpu, self.order.not_cuda, self.order.deterministic)

    def _plan(self, ready: Ready) -> Plan:
        """What a training will be, and its cost, of iterations that are tried on a copy."""
        from consingan import devices
        from consingan.training.estimate import estimate

        state, outdir = ready.state, self.order.outdir
        model = state.model
        return Plan(
            settings=model.settings,
            origins=ready.origins,
            sizes=tuple(model.sizes),
            generator=sum(one.model.generator.parameters_with(len(one.reals)) for one in state.branches),
            critic=sum(p.numel() for one in state.branches for p in one.critic.parameters()),
            cost=estimate(state),
            device=devices.describe(model.device),
            folder=None if outdir is None else plan.planned_folder(outdir, model.settings, self.order.name),
            notes=ready.notes,
        )

    # ---- a new run

    def _begin(self, ready: Ready, company: Company) -> Ended:
        """Train from the beginning."""
        from consingan.training.loop import look_first, write_start

        planned, state = self._plan(ready), ready.state
        outdir, settings, name = self.order.outdir, planned.settings, self.order.name
        with ExitStack() as stack:
            run = None
            if outdir is not None:
                with removed_on_failure(outdir) as made:
                    run = plan.new_run(outdir, settings, name)
                    made.append(run.folder)
                    stack.enter_context(run.lock())
                    self._belongings.keep(run, state.model.settings.network.nc_im)
                    write_start(state, run, ready.chosen)
            with monitored(run, company) as monitor:
                cost = {"seconds": planned.seconds, "peak_memory_mb": planned.peak_mb, "resumed": False}
                monitor.tell("started", **facts_of(state, run), **cost, lost=list(ready.lost))
                for note in (*company.notes, *ready.notes, planned.summary):
                    monitor.message(note)
                if run:
                    monitor.message(f"Run folder: {run.folder}")
                    look_first(state, run, monitor)
                beside = planned.cost.beside if run else 0.0  # without a folder there are no pictures on the way
                monitor.begin(planned.cost.weights(planned.settings), beside)
                return self._train(state, run, monitor, company, ready.lost)

    # ---- a run that was stopped

    def _go_on_by_name(self, company: Company) -> Ended:
        """Go on with the run that the order names, or say that it is finished."""
        self.order.check()
        run = Run.open(str(self.order.resume), "--resume", needs_model=False)
        own = plan.recorded(run)
        plan.check_mode(own.mode, run.config)
        plan.check_same(own, self.order.mode, plan.checked(self.order.settings))
        if run.finished.exists():
            with suppress(UserError), run.lock():
                files.sweep(run.folder, run.evaluation)
            with Monitor(None, "quiet", observers=company.observers) as monitor:
                monitor.message(f"{run.folder} is finished; sample it with: {sampling(run)}")
            return Ended("finished before", run, faults=tuple(monitor.faults))
        self.about_to_load()
        return self._go_on(run, self._device()[1], company)

    def _go_on(self, run: Run, notes: Sequence[str], company: Company, reals: Sequence[Tensor] | None = None) -> Ended:
        """Train a run to its end from its newest whole checkpoint.

        Args:
            run: unfinished.
            notes: sentences to be said first.
            company: who looks on.
            reals: the pictures at each stage's size, where the order has one.
        """
        from consingan.training.estimate import beside, relative, seconds_left
        from consingan.training.loop import resume

        said = [*company.notes, *notes]
        with run.lock():
            state = resume(run, self._device()[0], said.append)
            if reals is not None and not state.trains_on(reals):
                raise UserError(
                    f"The picture is no longer the one that {run.folder} is trained on; leave --resume auto out, or "
                    "put the picture back."
                )
            said.append(f"Going on at stage {state.stage + 1} of {len(state.reals)}, iteration {state.iteration}.")
            if (left := seconds_left(state, last_time(run.log) if run.log.is_file() else 0.0)) is not None:
                said.append(f"About {duration(left)} are left.")
            said.append(f"Run folder: {run.folder}")
            with monitored(run, company) as monitor:
                monitor.tell("started", **facts_of(state, run), seconds=None, peak_memory_mb=None, resumed=True)
                for note in said:
                    monitor.message(note)
                monitor.begin(relative(state), beside(state.model.settings))
                return self._train(state, run, monitor, company, lost_before(run))

    # ---- to the end

    def _train(
        self, state: Training, run: Run | None, monitor: Monitor, company: Company, lost: Sequence[str]
    ) -> Ended:
        """Train to the end, or until it is asked to stop; ``lost`` is said at the end."""
        from consingan.training.loop import train, write_report
        from consingan.training.watchdog import CollapsedError

        begun = monotonic()
        request: AbstractContextManager[Stop | None] = signals.StopRequest() if company.signals else nullcontext()
        with request as asked:
            try:
                stop = company.stop if asked is None else lambda: company.stop() or asked()
                model = train(state, monitor, run, self.order.checkpoint_every, stop)
            except signals.StoppedError:
                monitor.break_off()
                if run:
                    with suppress(KeyboardInterrupt):  # a second signal: all is saved, and the page can wait
                        write_report(run, monitor)
                    monitor.message(f"Stopped and saved; go on with: {resuming(run)}")
                monitor.tell("stopped")
                number = asked.number if isinstance(asked, signals.StopRequest) else None
                return Ended("stopped", run, state.result, number, tuple(monitor.faults))
            except CollapsedError:
                raise
            except UserError as error:  # a file could not be written; the checkpoints are as they were
                if run is None:
                    raise
                raise UserError(f"{error} Then go on with: {resuming(run)}") from error
        for sentence in lost:
            monitor.message(sentence)
        if run:
            for sentence in directions.summary(run, state.model.settings):
                monitor.message(sentence)
            trained = f"{duration(last_time(run.log))} of it training"
            monitor.message(f"Done in {duration(monotonic() - begun)}, {trained}; look at {run.report}")
            monitor.message(f"Sample it with: {sampling(run)}")
        monitor.tell("finished")
        return Ended("finished", run, model, faults=tuple(monitor.faults))


@contextmanager
def monitored(run: Run | None, company: Company) -> Iterator[Monitor]:
    """The monitor of a training; what ends it early is told as the record "failed"."""
    with Monitor(run.log if run else None, "quiet", observers=company.observers) as monitor:
        try:
            yield monitor
        except BaseException as error:
            asked = isinstance(error, KeyboardInterrupt)
            with suppress(UserError):  # the disk that is full must not hide the fault that came first
                monitor.break_off()
                monitor.tell("failed", error="Stopped at once." if asked else str(error) or type(error).__name__)
            raise


def lost_before(run: Run) -> list[str]:
    """What the picture of a run has and its results have not, as was said when it began."""
    if not run.log.is_file():
        return []
    said = [record.get("lost") for record in read_log(run.log) if record["event"] == "started"]
    return [str(sentence) for sentence in said[0]] if said and isinstance(said[0], list) else []


def facts_of(state: Training, run: Run | None) -> dict[str, Any]:
    """What the record "started" says of a training; see ``watch.log``."""
    from consingan import config

    settings, sizes = state.model.settings, state.model.sizes
    return {
        "run": None if run is None else str(run.folder),
        "mode": settings.mode,
        "image": settings.image,
        "stages": len(sizes),
        "sizes": [list(size) for size in sizes],
        "iterations": [config.iterations(settings.optimisation.niter, stage) for stage in range(len(sizes))],
    }
