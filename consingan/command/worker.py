"""The module that a worker of ``consingan batch`` runs: errands, with ``consingan sample`` for what comes after."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from typing import Any

from consingan.batch import worker
from consingan.batch.errand import carry_out
from consingan.errors import UserError
from consingan.storage.run import Run


def sampled(run: Run, words: Sequence[str]) -> None:
    """``consingan sample RUN WORDS``.

    Raises:
        UserError: what it says where it fails.
    """
    from consingan.command.sample import sample

    said = io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            sample.main([str(run.folder), *words, "--log_format", "plain"], "sample", standalone_mode=False)
    except SystemExit as ended:
        if ended.code:
            reason = said.getvalue().strip().rpartition("\n")[2].removeprefix("Error: ")
            raise UserError(f"It is trained, but sample {' '.join(words)} failed: {reason}") from None


work = partial(carry_out, then=sampled)


def on_cluster(parcel: Mapping[str, Any]) -> None:
    """The task of a worker of a cluster."""
    from consingan.batch import afar

    afar.carry(parcel, work)


if __name__ == "__main__":
    worker.serve(work)
