"""The base URLs of the three HTTP APIs: Nova's, Precache's, and the image service's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from precache.cli.errors import UsageError

DEFAULT_URL = "http://127.0.0.1:8775"

URL_SETTING = "--url (PRECACHE_URL)"
COMPUTE_URL_SETTING = "--compute-url (PRECACHE_COMPUTE_URL)"
IMAGE_URL_SETTING = "--image-url (PRECACHE_IMAGE_URL)"

_HAS_VERSION = re.compile(r"/v\d")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base URLs without a slash at the end.

    settings: the setting of each URL that is not derived from --url.
    """

    compute: str
    own: str
    image: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def derive(
        cls,
        url: str | None,
        *,
        compute: str | None = None,
        image: str | None = None,
        image_setting: str = IMAGE_URL_SETTING,
    ) -> Endpoints:
        """Return the URLs of a service at `url` (None: on this machine).

        `compute` and `image` override the URLs of those two. An override may omit its version: `http://glance:9292`
        means `http://glance:9292/v2`. image_setting: the setting that contains `image`, for messages.
        Raises UsageError for an address that is not http or https.
        """
        base = _checked(url or DEFAULT_URL)
        settings = {}
        if compute:
            compute = _versioned(compute, "v2.1")
            settings[compute] = COMPUTE_URL_SETTING
        if image:
            image = _versioned(image, "v2")
            settings[image] = image_setting
        return cls(
            compute=compute or f"{base}/compute/v2.1",
            own=f"{base}/v1",
            image=image or f"{base}/image/v2",
            settings=settings,
        )

    def setting_of(self, url: str) -> str:
        """Return the setting that contains the address of this request."""
        return next((name for base, name in self.settings.items() if url.startswith(base)), URL_SETTING)


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
    if "@" in urlsplit(url).netloc:
        raise UsageError(
            f"The address of {urlsplit(url).hostname} contains a user or password, which the service does not use; "
            "remove them, and set PRECACHE_TOKEN or log in to Keystone (OS_AUTH_URL ...)"
        )
    return url.rstrip("/")


def _versioned(url: str, version: str) -> str:
    base = _checked(url)
    return base if _HAS_VERSION.search(urlsplit(base).path) else f"{base}/{version}"
