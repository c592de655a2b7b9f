"""A process that cannot start says why in one line, with a way out."""


class StartFailed(Exception):
    """What stops a process before its work begins: the line that a person reads."""


def first_line(error: BaseException) -> str | None:
    """The line to print where the error, or one inside a group, is a `StartFailed`; else None."""
    if isinstance(error, StartFailed):
        return str(error)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            line = first_line(inner)
            if line is not None:
                return line
    return None
