"""The one exception that a person is meant to read."""


class UserError(Exception):
    """Something the person can put right: a flag, a file, a folder.

    The message is one sentence that names the flag or file, the value seen and what to do about it.
    The command line prints it and exits with code 2; nothing is written before it is raised.
    """
