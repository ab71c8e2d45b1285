"""The one exception that a person is meant to read, and the one fault that is met by doing less at once."""

import re

_OUT_OF_MEMORY = r"out of memory|can't allocate memory|bad_alloc"  # torch's words on CUDA, MPS and the CPU


class UserError(Exception):
    """Something the person can put right: a flag, a file, a folder.

    The message is one sentence that names the flag or file, the value seen and what to do about it.
    The command line prints it and exits with code 2; nothing is written before it is raised.
    """


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on any device; torch says so in an ordinary RuntimeError."""
    return isinstance(error, MemoryError) or bool(re.search(_OUT_OF_MEMORY, str(error)))
