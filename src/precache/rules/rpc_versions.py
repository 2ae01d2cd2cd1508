"""The versions of messages: which of them a compute understands."""


def understands(spoken: str, needed: str) -> bool:
    """Return whether a compute with version `spoken`, such as `1.2`, understands messages of version `needed`.

    A higher minor number only adds to the lower ones; another major number is incompatible.
    """
    spoken_parts, needed_parts = _parts(spoken), _parts(needed)
    return spoken_parts[0] == needed_parts[0] and spoken_parts[1] >= needed_parts[1]


def is_newer(version: str, than: str) -> bool:
    return _parts(version) > _parts(than)


def _parts(version: str) -> tuple[int, int]:
    """Return both numbers; a text that is not a version is lower than any."""
    first, _, second = version.partition(".")
    return (int(first), int(second)) if first.isdecimal() and second.isdecimal() else (0, 0)
