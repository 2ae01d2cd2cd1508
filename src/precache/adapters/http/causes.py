"""What really went wrong: HTTP libraries wrap one error in another, and only the innermost tells."""

from http.client import IncompleteRead

_LONGEST_TEXT = 200  # the rest of a longer one is some server's prose


def innermost(error: BaseException) -> str:
    """Return the text of the first cause of an error on one line, or the name of its class where it has no text."""
    cause = _first_cause(error)
    if isinstance(cause, IncompleteRead):
        return "it was closed before the end"
    return getattr(cause, "strerror", None) or _on_one_line(str(cause)) or type(cause).__name__


def find_cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the first of this kind among an error and its causes."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, kind):
        found = found.__cause__ or found.__context__
    return found


def is_hang_up(error: BaseException) -> bool:
    """Return whether the server closed an established connection before it answered."""
    # http.client's RemoteDisconnected is a ConnectionResetError.
    return isinstance(_first_cause(error), ConnectionResetError | BrokenPipeError | ConnectionAbortedError)


def _on_one_line(text: str) -> str:
    # It may quote what the server sent, and that goes into logs and to terminals.
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:_LONGEST_TEXT]


def _first_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
