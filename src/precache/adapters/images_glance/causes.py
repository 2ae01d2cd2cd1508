"""What really went wrong: HTTP libraries wrap one error in another, and only the innermost tells."""


def innermost(error: BaseException) -> str:
    """Give the text of the first cause of an error, or the name of its class where it has no text."""
    cause = _first_cause(error)
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def is_hang_up(error: BaseException) -> bool:
    """Say whether the server closed an established connection before it answered."""
    # http.client's RemoteDisconnected is a ConnectionResetError.
    return isinstance(_first_cause(error), ConnectionResetError | BrokenPipeError | ConnectionAbortedError)


def _first_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
