"""The base URLs of the three HTTP APIs: Nova's, Precache's, and the image service's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from precache.cli.errors import UsageError

DEFAULT_URL = "http://127.0.0.1:8775"

_HAS_VERSION = re.compile(r"/v\d")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base URLs without a slash at the end."""

    compute: str
    own: str
    image: str

    @classmethod
    def derive(cls, url: str | None, *, compute: str | None = None, image: str | None = None) -> Endpoints:
        """Return the URLs of a service at `url` (None: on this machine).

        `compute` and `image` override the URLs of those two. An override may omit its version: `http://glance:9292`
        means `http://glance:9292/v2`.
        Raises UsageError for an address that is not http or https.
        """
        base = _checked(url or DEFAULT_URL)
        return cls(
            compute=_versioned(compute, "v2.1") if compute else f"{base}/compute/v2.1",
            own=f"{base}/v1",
            image=_versioned(image, "v2") if image else f"{base}/image/v2",
        )


def is_address(url: str) -> bool:
    """Return whether this is an HTTP URL with a host."""
    try:
        parts = urlsplit(url)
        acceptable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        acceptable = False
    return acceptable and not re.search(r"[\s\x00-\x1f]", url)


def _checked(url: str) -> str:
    """Return the URL without a slash at its end."""
    if not is_address(url):
        raise UsageError(f"{url!r} is not an address that can be used; give one such as {DEFAULT_URL}")
    return url.rstrip("/")


def _versioned(url: str, version: str) -> str:
    base = _checked(url)
    return base if _HAS_VERSION.search(urlsplit(base).path) else f"{base}/{version}"
