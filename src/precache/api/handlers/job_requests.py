"""Accept a request for images: check every one of them, store the job, wake a conductor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from uuid import uuid4

from precache.api.calls import Call
from precache.api.handlers.boot_files import BootFiles
from precache.api.handlers.job_targets import fields_for_aggregate
from precache.api.handlers.named_images import NamedImages
from precache.api.refusals import DuplicateImages
from precache.core.aggregates import Aggregate
from precache.core.errors import HostNotFound, InvalidNotifyUrl, NotifyUrlRefused
from precache.core.hosts import Host
from precache.core.idempotency import IdempotencyKey
from precache.core.images import Image, parse_image_id
from precache.core.job_options import JobOptions
from precache.core.jobs import Job, NewJob
from precache.core.names import is_name
from precache.core.operations import Operation
from precache.core.orders import DEFAULT_IMAGE_PRIORITY, ImageOrder, OrderOptions, first_orders
from precache.core.targets import Target
from precache.core.text import plain_line
from precache.ports.cache_inventory import CacheQueries
from precache.ports.clock import Clock
from precache.ports.image_service import ImageCatalog
from precache.ports.inventory import HostQueries
from precache.ports.job_store import JobIntake
from precache.rules.admission import check_admissible
from precache.rules.operation_fields import check_fields, check_keep_until
from precache.rules.opt_in import ALL_IMAGES, OptIn
from precache.rules.schedule import check_schedule, next_start
from precache.rules.webhook_urls import InvalidWebhookUrl, WebhookUrl, allow_none

_NAME_LENGTH = 255
"""Characters of an image's name that are kept: Glance's limit."""


@dataclass(frozen=True, slots=True)
class RequestedImage:
    """An image of a request, by id or name."""

    image: str
    options: OrderOptions
    priority: int


@dataclass(frozen=True, slots=True)
class RequestedWork:
    """What the checked body of a request wants done with which images."""

    operation: Operation
    images: Sequence[RequestedImage]


class JobRequests:
    """Makes a job from the checked body of a request.

    wake: tells conductors that there is work; never raises, never blocks.
    adds_boot_files: whether the kernel and the ramdisk that an image names are cached with it.
    opt_in: which images may be cached.
    why_url_refused: returns why a URL must not be told of a job; None if it may be.
    """

    def __init__(
        self,
        *,
        images: ImageCatalog,
        caches: CacheQueries,
        jobs: JobIntake,
        clock: Clock,
        wake: Callable[[], None],
        adds_boot_files: bool = True,
        opt_in: OptIn = ALL_IMAGES,
        why_url_refused: Callable[[str], str | None] = allow_none,
    ) -> None:
        self._images, self._caches = images, caches
        self._boot_files = BootFiles(images) if adds_boot_files else None
        self._opt_in = opt_in
        self._why_url_refused = why_url_refused
        self._jobs = jobs
        self._clock = clock
        self._wake = wake

    def for_aggregate(self, call: Call, orders: Sequence[ImageOrder], aggregate: Aggregate) -> Job:
        """Store the job for all hosts of the aggregate. Nothing is stored unless every image passes its checks."""
        return self._store(call, orders, self._found(call, orders), **fields_for_aggregate(aggregate))

    def for_host(self, call: Call, orders: Sequence[ImageOrder], host: str) -> Job:
        """Store the job for this host alone. Nothing is stored unless every image passes its checks."""
        found = self._found(call, orders)
        return self._store(call, orders, found, hosts=(host,), for_host=host, target=Target(hosts=(host,)))

    def find_repeated(self, key: IdempotencyKey) -> Job | None:
        """Return the job of an earlier request with this key. Raises IdempotencyKeyReused if its body was another."""
        return self._jobs.find_repeated(key)

    def checked_work(self, body: Mapping[str, Any]) -> RequestedWork:
        """Return the operation and the images in the body of a request. Raises InvalidOption."""
        operation = Operation(body.get("operation", Operation.CACHE))
        check_fields(operation, body)
        images = []
        for item in body["images"]:
            check_fields(operation, item)
            # Options beside the images apply to all of them; options of an image take precedence.
            options = OrderOptions.read({**body, **item})
            images.append(RequestedImage(item["image"], options, item.get("priority", DEFAULT_IMAGE_PRIORITY)))
        check_keep_until((each.options for each in images), self._clock.now())
        return RequestedWork(operation, images)

    def checked_options(self, body: Mapping[str, Any]) -> JobOptions:
        """Return the options of a job in the body of its request.

        Raises InvalidOption, WindowNeverOpens, InvalidNotifyUrl, NotifyUrlRefused.
        """
        options = JobOptions.read(body)
        if options.notify_url is not None:
            self._check_url(options.notify_url)
        check_schedule(options, self._clock.now())
        return options

    def _check_url(self, url: str) -> None:
        """Raises InvalidNotifyUrl, NotifyUrlRefused."""
        try:
            place = WebhookUrl.parse(url).place
        except InvalidWebhookUrl as error:
            raise InvalidNotifyUrl(str(error)) from error
        if (reason := self._why_url_refused(url)) is not None:
            raise NotifyUrlRefused(place, reason)

    def for_images(self, call: Call, work: RequestedWork, *, options: JobOptions, **fields: Any) -> Job:
        """Store the job for these images, by their priority. Raises all that `NamedImages.find` raises.

        options: of the job, checked. fields: the fields of the job for its hosts.
        """
        job, _ = self.checked_job(call, work, options=options, **fields)
        return self._add(job)

    def checked_job(
        self, call: Call, work: RequestedWork, *, options: JobOptions, **fields: Any
    ) -> tuple[NewJob, Sequence[Image]]:
        """Check the request as `for_images` does, but store nothing; return the job, and the images of its orders."""
        may_be_gone = work.operation is not Operation.CACHE
        names = [each.image for each in work.images]
        found = NamedImages(self._images, self._caches).find(call.caller.token, names, may_be_gone=may_be_gone)
        pairs = sorted(zip(found, work.images, strict=True), key=lambda pair: -pair[1].priority)
        orders = checked_orders(ImageOrder(image.id, each.options, each.priority) for image, each in pairs)
        start = next_start(options, self._clock.now())
        if start is not None:
            fields |= {"due_at": start.at, "reason": start.reason}
        images = [image for image, _ in pairs]
        return self._checked(call, orders, images, operation=work.operation, options=options, **fields)

    def _store(self, call: Call, orders: Sequence[ImageOrder], images: Iterable[Image], **fields: Any) -> Job:
        """Check the images of the orders, store the job and wake a conductor. fields: the other fields of the job."""
        job, _ = self._checked(call, orders, images, **fields)
        return self._add(job)

    def _add(self, job: NewJob) -> Job:
        stored = self._jobs.add(job)
        self._wake()
        return stored

    def _checked(
        self,
        call: Call,
        orders: Sequence[ImageOrder],
        images: Iterable[Image],
        operation: Operation = Operation.CACHE,
        **fields: Any,
    ) -> tuple[NewJob, Sequence[Image]]:
        """Check the images of the orders; return the job, and its images with those that boots need, too."""
        is_caching = operation is Operation.CACHE
        checked: list[Image] = []
        for image in images:
            if is_caching:
                check_admissible(image)
            checked.append(image)
        if is_caching:
            self._opt_in.check(checked)
        added: Sequence[Image] = ()
        if self._boot_files is not None and operation is not Operation.PURGE:
            add = self._boot_files.added if is_caching else self._boot_files.still_known
            orders, added = add(call.caller.token, orders, checked)
        found = (*checked, *added)
        sizes = {each.id: each.size_bytes for each in found if each.size_bytes is not None}
        job = NewJob(
            id=str(uuid4()),
            operation=operation,
            orders=tuple(orders),
            image_names={each.id: plain_line(each.name, _NAME_LENGTH) for each in found if each.name},
            image_sizes=sizes if is_caching else {},  # they are of the downloads
            requested_by=call.caller.user_id,
            request_id=call.request_id,
            created_at=self._clock.now(),
            **fields,
        )
        return job, found

    def _found(self, call: Call, orders: Sequence[ImageOrder]) -> Iterator[Image]:
        """Yield the images of the orders."""
        # With the caller's own token: a caller who may not see an image cannot have it cached.
        token = call.caller.token
        listed = self._images.find_listed(token, [order.image for order in orders])
        return (listed.get(order.image) or self._images.show_to(token, order.image) for order in orders)


def requested_orders(call: Call) -> tuple[ImageOrder, ...]:
    """Return an order without options for each image of a body of the schema CacheImages. Raises DuplicateImages."""
    return checked_orders(ImageOrder(parse_image_id(item["id"])) for item in call.body["cache"])


def checked_orders(orders: Iterable[ImageOrder]) -> tuple[ImageOrder, ...]:
    """Return the orders. Raises DuplicateImages; two spellings of one id are duplicates."""
    found = tuple(orders)
    if len(first_orders(found)) != len(found):
        raise DuplicateImages
    return found


def find_host(hosts: HostQueries, name: str) -> Host:
    """Return the host. Raises HostNotFound, with the names that are like it."""
    host = hosts.find_hosts([name]).get(name) if is_name(name) else None
    if host is None:
        known = [each.name for each in hosts.list_hosts()]
        raise HostNotFound(name, get_close_matches(name, known) if len(name) <= _NAME_LENGTH else ())
    return host
