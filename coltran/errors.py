"""The one exception that commands turn into a one-line message."""


class UserError(Exception):
    """Something that the person at the keyboard can put right.

    The message says what was expected, what came, which file or record, and what to do. Commands print it as one line
    and exit with status 2; every other exception keeps its traceback, because it is a mistake of ours.
    """
