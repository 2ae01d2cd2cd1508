"""Which messages a compute understands, by the version that it announces."""


def understands(spoken: str, needed: str) -> bool:
    """Return whether one that speaks version `spoken`, such as `1.2`, understands messages of version `needed`.

    A higher second number only adds to what the lower ones know; another first number is another language.
    """
    spoken_parts, needed_parts = _parts(spoken), _parts(needed)
    return spoken_parts[0] == needed_parts[0] and spoken_parts[1] >= needed_parts[1]


def is_newer(version: str, than: str) -> bool:
    return _parts(version) > _parts(than)


def _parts(version: str) -> tuple[int, int]:
    """Return both numbers; what is no version is older than any."""
    first, _, second = version.partition(".")
    return (int(first), int(second)) if first.isdecimal() and second.isdecimal() else (0, 0)
