"""Extracts one sentence for an operator from the output of a failed qemu-img."""

from __future__ import annotations

import re

_OURS = re.compile(r"'(?:json:|driver=|nbd|fd:).*?'(?=[:;,.)\s]|$)")
"""The image as it is given to qemu-img, in options that mean nothing to the reader."""

_REPEATED = re.compile(r"(Could not open the image: )+")

_NAME = "qemu-img: "

_FURTHER = "; further non-fatal corruption events"

_PASSING = re.compile(r"qemu-img: (?:warning|info):|Try |.* for OFD lock probing:")
"""Lines before or after the one with the reason; the last kind because qemu-img may not open /dev/null."""

_LOG = "contains a log that needs to be replayed"
_LOG_REASON = (
    "it was copied while it was in use: this VHDX has a log that must be replayed first; "
    "repair it with `qemu-img check -r all` and upload that"
)


def reason_of(errors: str) -> str | None:
    """Return the first line with a reason, without our own options; None if there is no line.

    errors: what qemu-img wrote to standard error. Further lines repeat the first one, follow from it, or explain the
    command's usage.
    """
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    telling = [line for line in lines if not _PASSING.match(line)] or lines
    if not telling:
        return None
    if any(_LOG in line for line in telling):
        return _LOG_REASON
    reason = _REPEATED.sub(r"\1", _OURS.sub("the image", telling[0])).partition(_FURTHER)[0]
    return reason if reason.startswith(_NAME) else _NAME + reason
