"""The one exception that commands turn into a one-line message."""


class UserError(Exception):
    """An error that the user can correct.

    The message says what was expected, what came, in which file or record, and what to do. Commands print it as one
    line and exit with status 2. Every other exception keeps its traceback, because it is a mistake in our program.
    """
