"""Orders: an image, and the options with which a host shall cache it.

An order has the same form as JSON everywhere: in a client's request, in the row of a job, in the message to a host.
Readers ignore unknown fields. A new option is a field of `OrderOptions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from precache.core.errors import InvalidOption
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


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOptions:
    """The options for caching one image. The default of each option is the behaviour before it existed.

    rate_limit_bytes_per_s: the highest average rate of the download on each host; None for no limit.
    as_is: cache the verified bytes without inspection or conversion, as Nova does for a kernel or a ramdisk. No client
        can set it.
    keep_for_s: keep the image in the cache for at least so many seconds after the success of the task, also if it is
        unused; None to let it expire as all others.
    """

    rate_limit_bytes_per_s: int | None = None
    as_is: bool = False
    keep_for_s: int | None = None

    def __post_init__(self) -> None:
        """Raises InvalidOption."""
        limit = self.rate_limit_bytes_per_s
        # In Python a bool is an int.
        if limit is not None and (type(limit) is not int or not 1 <= limit <= MOST_BYTES_PER_S):
            raise InvalidOption("rate_limit_bytes_per_s", limit, f"a whole number from 1 to {MOST_BYTES_PER_S}")
        if type(self.as_is) is not bool:
            raise InvalidOption("as_is", self.as_is, "true or false")
        if self.keep_for_s is not None:
            check_keep_for(self.keep_for_s)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> OrderOptions:
        """Return the options in the document; ignore its other fields. Raises InvalidOption."""
        return cls(**{option.name: document[option.name] for option in fields(cls) if option.name in document})

    def document(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, for JSON."""
        if self == DEFAULT_OPTIONS:  # of nearly all orders: a job may have 10,000 messages
            return {}
        chosen = {option.name: getattr(self, option.name) for option in fields(self)}
        return {option.name: chosen[option.name] for option in fields(self) if chosen[option.name] != option.default}


DEFAULT_OPTIONS = OrderOptions()
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
        return options != DEFAULT_OPTIONS and replace(options, as_is=False, keep_for_s=None) != DEFAULT_OPTIONS

    @property
    def has_later_options(self) -> bool:
        """Return whether it has options that hosts of some releases do not know: these get the other orders."""
        return self.options.as_is or self.options.keep_for_s is not None


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
