"""Orders: an image, and the options with which a host shall cache it, verify it, purge it or pin it.

An order has the same form as JSON everywhere: in a client's request, in the row of a job, in the message to a host.
Readers ignore unknown fields. A new option is a field of `OrderOptions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from precache.core.errors import InvalidImageId, InvalidOption
from precache.core.images import ImageId, parse_image_id

MOST_BYTES_PER_S = 10**12
"""More than the rate of any network."""


MOST_KEEP_FOR_S = 10 * 366 * 86_400
"""Ten years."""


def check_keep_for(value: Any) -> int:
    """Return how many seconds an image is to be kept. Raises InvalidOption."""
    if type(value) is not int or not 1 <= value <= MOST_KEEP_FOR_S:  # in Python a bool is an int
        raise InvalidOption("keep_for_s", value, f"a whole number from 1 to {MOST_KEEP_FOR_S}, which is ten years")
    return value


def check_base(value: Any) -> ImageId:
    """Return the id of the older image. Raises InvalidOption."""
    try:
        return parse_image_id(value)
    except (InvalidImageId, TypeError):
        raise InvalidOption("base", value, "the id of an image, such as 70a599e0-31e7-49b7-b260-868f441e862b") from None


_INSTANT = "a time with its zone, such as 2026-12-05T04:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOptions:
    """The options for one image. The default of each option is the behaviour before it existed.

    Which of them an operation takes is in `rules/operation_fields.py`.

    rate_limit_bytes_per_s: the highest average rate of the download on each host, or of the reading of a verification;
        None for no limit.
    as_is: cache the verified bytes without inspection or conversion, as Nova does for a kernel or a ramdisk. No client
        can set it.
    keep_for_s: keep the image in the cache for at least so many seconds after the success of the task, also if it is
        unused; None to let it expire as all others.
    keep_until: the same until this time, which is aware. It excludes keep_for_s.
    even_pinned: purge the image also if it is pinned.
    base: an older image, whose pieces are used again where the cache has it; None to look for one of the same lineage.
    by_swarm: receive the image from other hosts of the site, or fetch it for them. Set by the conductor; no client can
        set it.
    """

    rate_limit_bytes_per_s: int | None = None
    as_is: bool = False
    keep_for_s: int | None = None
    keep_until: datetime | None = None
    even_pinned: bool = False
    base: ImageId | None = None
    by_swarm: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidOption."""
        limit = self.rate_limit_bytes_per_s
        # In Python a bool is an int.
        if limit is not None and (type(limit) is not int or not 1 <= limit <= MOST_BYTES_PER_S):
            raise InvalidOption("rate_limit_bytes_per_s", limit, f"a whole number from 1 to {MOST_BYTES_PER_S}")
        for name in ("as_is", "even_pinned", "by_swarm"):
            if type(getattr(self, name)) is not bool:
                raise InvalidOption(name, getattr(self, name), "true or false")
        if self.base is not None:
            check_base(self.base)
        if self.keep_for_s is not None:
            check_keep_for(self.keep_for_s)
        if self.keep_until is None:
            return
        if not isinstance(self.keep_until, datetime) or self.keep_until.tzinfo is None:
            raise InvalidOption("keep_until", self.keep_until, _INSTANT)
        if self.keep_for_s is not None:
            raise InvalidOption("keep_until", instant_text(self.keep_until), "left out where keep_for_s is given")

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> OrderOptions:
        """Return the options in the document; ignore its other fields. Raises InvalidOption."""
        given = {option.name: document[option.name] for option in fields(cls) if option.name in document}
        if given.get("keep_until") is not None:
            given["keep_until"] = read_instant("keep_until", given["keep_until"])
        if given.get("base") is not None:
            given["base"] = check_base(given["base"])
        return cls(**given)

    def document(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, for JSON."""
        if self == DEFAULT_OPTIONS:  # of nearly all orders: a job may have 10,000 messages
            return {}
        chosen = {option.name: getattr(self, option.name) for option in fields(self)}
        given = {option.name: chosen[option.name] for option in fields(self) if chosen[option.name] != option.default}
        return given if self.keep_until is None else given | {"keep_until": instant_text(self.keep_until)}


def read_instant(name: str, text: Any) -> datetime:
    """Return the instant in UTC. Raises InvalidOption for a text without a time zone, and for anything else."""
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidOption(name, text, _INSTANT)


def instant_text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


DEFAULT_OPTIONS = OrderOptions()

_LATER: Mapping[str, Any] = {
    "as_is": False,
    "keep_for_s": None,
    "keep_until": None,
    "even_pinned": False,
    "by_swarm": False,
}
"""The options, with their defaults, that some hosts do not know."""

_HINTS: Mapping[str, Any] = {"base": None}
"""The options that a host may ignore: without them it does the same, with more bytes."""

DEFAULT_IMAGE_PRIORITY = 0


def check_image_priority(value: Any) -> int:
    """Return the priority of an image. Raises InvalidOption."""
    if type(value) is not int or not 0 <= value <= 100:
        raise InvalidOption("priority", value, "a whole number from 0 to 100")
    return value


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """One image, and the options for caching it.

    priority: from 0 to 100; of the images of a job, those with a higher one come first on each host. It has an effect
        only in the request, which sorts the images by it.
    """

    image: ImageId
    options: OrderOptions = DEFAULT_OPTIONS
    priority: int = DEFAULT_IMAGE_PRIORITY

    def __post_init__(self) -> None:
        """Raises InvalidOption."""
        check_image_priority(self.priority)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> ImageOrder:
        """Return the order. Raises InvalidImageId, InvalidOption."""
        image = document.get("image")
        return cls(
            parse_image_id(image if isinstance(image, str) else ""),
            OrderOptions.read(document),
            document.get("priority", DEFAULT_IMAGE_PRIORITY),
        )

    def document(self) -> dict[str, Any]:
        priority = {} if self.priority == DEFAULT_IMAGE_PRIORITY else {"priority": self.priority}
        return {"image": self.image, **priority, **self.options.document()}

    @property
    def has_options(self) -> bool:
        """Return whether it has options that hosts knew first: the request as a whole needs such a host."""
        options = self.options
        return options != DEFAULT_OPTIONS and replace(options, **_LATER, **_HINTS) != DEFAULT_OPTIONS

    @property
    def has_later_options(self) -> bool:
        """Return whether it has options that hosts of some releases do not know: these get the other orders."""
        options = self.options
        return options != DEFAULT_OPTIONS and any(getattr(options, name) != usual for name, usual in _LATER.items())

    @property
    def has_end_time(self) -> bool:
        """Return whether it has `keep_until`, which hosts knew later than its other options."""
        return self.options.keep_until is not None


_VERSION = 1


def orders_document(orders: Iterable[ImageOrder]) -> dict[str, Any]:
    """Return the orders of a job as they are stored."""
    return {"version": _VERSION, "orders": [order.document() for order in orders]}


def read_orders(document: Mapping[str, Any]) -> tuple[ImageOrder, ...]:
    """Return stored orders. Another version has another schema of the database, which is refused at start."""
    return tuple(map(ImageOrder.read, document["orders"]))


def first_orders(orders: Iterable[ImageOrder]) -> tuple[ImageOrder, ...]:
    """Return the first order of each image."""
    first: dict[ImageId, ImageOrder] = {}
    for order in orders:
        first.setdefault(order.image, order)
    return tuple(first.values())
