"""What really went wrong: HTTP libraries wrap one error in another, and only the innermost helps an operator."""


def innermost(error: BaseException) -> str:
    """Give the text of the first cause of an error, or the name of its class where it has no text."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
