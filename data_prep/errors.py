"""The error of work that cannot start; every command prints it as one line."""


class StageError(Exception):
    """Work that cannot start: one line that says what is missing or in the way, and how to go on."""
