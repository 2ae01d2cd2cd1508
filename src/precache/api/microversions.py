"""Nova's microversions: the one that a request names, and the headers of the response.

Every aggregate call behaves in each version as in Nova 34. The newest version is the same as Nova's, because clients
use the highest version that both sides know, and must not be refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import falcon

from precache.api.paths import is_versioned_compute
from precache.api.refusals import MalformedVersion, VersionOutOfRange

HEADER = "OpenStack-API-Version"
LEGACY_HEADER = "X-OpenStack-Nova-API-Version"

_SERVICE = "compute"
OWN_SERVICE = "compute-precache"
"""The service type beside Nova's `compute` in a catalogue; clients put the type that they use into the header."""

_SERVICES = (_SERVICE, OWN_SERVICE)
_FORM = re.compile(r"([1-9][0-9]*)\.([1-9][0-9]*|0)")
_LONGEST = 16  # characters; Python refuses to read numbers of thousands of digits


@dataclass(frozen=True, order=True, slots=True)
class Microversion:
    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Microversion:
        """Parse a version such as `2.81`. Raises MalformedVersion."""
        match = _FORM.fullmatch(text)
        if match is None or len(text) > _LONGEST:
            raise MalformedVersion(text)
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


MIN = Microversion(2, 1)
AGGREGATE_UUID = Microversion(2, 41)
CACHE_IMAGES = Microversion(2, 81)
STRICT_QUERIES = Microversion(2, 102)
MAX = Microversion(2, 104)


def requested(get_header: Callable[[str], str | None]) -> str | None:
    """Return the version that the headers name for this service, the last one if there are several."""
    for part in reversed((get_header(HEADER) or "").split(",")):
        words = part.split(None, 1)
        if len(words) == 2 and words[0].lower() in _SERVICES:
            return words[1].strip()
    legacy = get_header(LEGACY_HEADER)
    return None if legacy is None else legacy.split(",")[-1].strip()


class Negotiation:
    """Middleware: negotiates the version of every request under the versioned part of `/compute`."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Set `req.context.microversion`. Raises MalformedVersion, VersionOutOfRange."""
        req.context.microversion = MIN
        if not is_versioned_compute(req.path):
            return
        text = requested(req.get_header)
        version = MIN if text is None else MAX if text == "latest" else Microversion.parse(text)
        req.context.microversion = version
        # As in Nova, the response that refuses a version also has this header.
        resp.set_header(HEADER, f"{_SERVICE} {version}")
        resp.set_header(LEGACY_HEADER, str(version))
        resp.append_header("Vary", HEADER)
        resp.append_header("Vary", LEGACY_HEADER)
        if not MIN <= version <= MAX:
            raise VersionOutOfRange(str(version), str(MIN), str(MAX))
