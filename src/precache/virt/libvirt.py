"""The driver of libvirt hosts: images are files in `<instances_path>/_base`, shared with nova-compute if one runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from precache.core.cache_cleaning import CleanRequest, CleanResult
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.cache_entries import CacheListing
from precache.core.errors import CacheUnusable
from precache.core.images import ImageId
from precache.core.jobs import Phase
from precache.core.operation_result import OperationResult
from precache.core.orders import ImageOrder
from precache.core.pins import Pin
from precache.fetch.rate_limits import RateLimits
from precache.imagecache.cache import ImageCache
from precache.imagecache.cleaning.cleaner import Cleaner
from precache.imagecache.cleaning.entry_removal import EntryRemoval
from precache.imagecache.cleaning.purge import Purge
from precache.imagecache.cleaning.quarantine import Quarantine
from precache.imagecache.disks.in_use import InstanceDisks
from precache.imagecache.disks.sharers import CacheSharers
from precache.imagecache.records.listing import EntryLister
from precache.imagecache.records.pin_keeper import LONGEST_DOUBT, PinKeeper
from precache.imagecache.staging import EntryFetcher, Fetched, Staging
from precache.imagecache.verification.corrupt_entries import CorruptEntries
from precache.imagecache.verification.entry_verification import EntryVerification
from precache.imagecache.verification.paced_reading import PacedReading
from precache.imagecache.verification.verification_rounds import VerificationRounds
from precache.ports.clock import Clock
from precache.ports.domain_disks import DomainDisks
from precache.ports.progress import Watcher, note_decoder
from precache.rules.eviction import Cleaning
from precache.virt.libvirt_domains import DEFAULT_LIBVIRT_URI, LibvirtDomains
from precache.virt.setup import HostSetup

_log = logging.getLogger(__name__)

# The values of Nova's images_type with which a boot reads its image from the cache directory.
_FROM_CACHE = frozenset({"default", "qcow2", "raw", "flat", "lvm", "ploop"})


OWNED_BY_NOVA = (
    "nova-compute owns this cache ([image_cache] owner = nova on the host), so Precache removes nothing from it; a dry "
    "run is possible"
)


class LibvirtDriver:
    """The port `VirtDriver` on a file cache. Safe for several threads; an image is fetched once for all requests.

    images_type: Nova's name for where instance disks are.
    keeper: of pinned entries. sharers: the hosts that share the cache.
    owns_cache: False if another service removes expired entries; then the cleaner only answers what it would remove.
    rates: the limits of reading.
    """

    def __init__(
        self,
        *,
        cache: ImageCache,
        fetcher: EntryFetcher,
        images_type: str,
        keeper: PinKeeper,
        sharers: CacheSharers,
        verification: EntryVerification,
        corrupt: CorruptEntries,
        purge: Purge,
        quarantine: Quarantine,
        clock: Clock,
        rates: RateLimits,
        lister: EntryLister,
        cleaner: Cleaner,
        owns_cache: bool,
    ) -> None:
        self._cache = cache
        self._fetcher = fetcher
        self._images_type = images_type
        self._cleaner, self._owns_cache = cleaner, owns_cache
        self._keeper = keeper
        self._lister = lister
        self._sharers = sharers
        self._verification, self._corrupt = verification, corrupt
        self._rounds = VerificationRounds(cache=cache, verification=verification, clock=clock)
        self._purge = purge
        self._quarantine = quarantine
        self._clock = clock
        self._rates = rates

    @classmethod
    def build(cls, setup: HostSetup) -> LibvirtDriver:
        """Options: `images_type` and `connection_uri`, as in Nova's section `[libvirt]`."""
        return cls.build_with(setup, LibvirtDomains(uri=setup.options.get("connection_uri", DEFAULT_LIBVIRT_URI)))

    @classmethod
    def build_with(cls, setup: HostSetup, domains: DomainDisks) -> LibvirtDriver:
        """Build the driver with the source of guests' disks for its cleaner."""
        cache = setup.local_cache.open(setup.clock)
        disks = InstanceDisks(
            instances_path=setup.local_cache.instances_path, cache_directory=cache.directory, domains=domains
        )
        sharers = CacheSharers(cache=cache, host=setup.host, own=disks, clock=setup.clock)
        removal = EntryRemoval(cache=cache, disks=sharers, clock=setup.clock)
        cleaning = setup.cleaning or Cleaning(setup.local_cache.expiry_limits)
        cleaner = Cleaner(
            cache=cache,
            removal=removal,
            clock=setup.clock,
            cleaning=cleaning,
            may_clean=sharers.why_not_elected,
            is_shared=sharers.has_others,
        )
        minimum_age = setup.local_cache.minimum_age
        quarantine = Quarantine(directory=cache.directory, clock=setup.clock)
        has_nova = setup.cleaning is None
        corrupt = CorruptEntries(
            cache=cache,
            removal=removal,
            quarantine=quarantine,
            clock=setup.clock,
            host=setup.host,
            has_nova=has_nova,
        )
        return cls(
            cache=cache,
            fetcher=setup.fetcher,
            images_type=setup.options.get("images_type", "default"),
            keeper=PinKeeper(
                cache=cache,
                clock=setup.clock,
                host=setup.host,
                # What this process cleans it also keeps, without regard to its age.
                limit=minimum_age if setup.cleaning is None else None,
                doubt=min(LONGEST_DOUBT, minimum_age),
            ),
            sharers=sharers,
            verification=EntryVerification(cache=cache, corrupt=corrupt, clock=setup.clock, host=setup.host),
            corrupt=corrupt,
            purge=Purge(cache=cache, removal=removal, quarantine=quarantine, clock=setup.clock, has_nova=has_nova),
            quarantine=quarantine,
            clock=setup.clock,
            rates=setup.rates,
            lister=EntryLister(cache=cache, clock=setup.clock, disks=lambda: disks.last_found),
            cleaner=cleaner,
            owns_cache=setup.cleaning is not None,
        )

    @property
    def name(self) -> str:
        return "libvirt"

    def start(self) -> None:
        if self._uses_cache:
            # First, because it removes the records of entries that are gone, which say whose they were.
            self._quarantine.note_removals(self._cache.removals, self._cache.records)
            self._cache.start()
            self._corrupt.set_alarms()

    def cache_image(self, order: ImageOrder, watch: Watcher) -> bool:
        self._check_caching()

        def produce(staging: Staging) -> Fetched:
            fetched = self._fetcher.fetch(order, staging, watch)
            note_decoder(watch, fetched.decoded_by)
            return fetched

        def make_room(needed_bytes: int) -> int:
            freed_bytes = self._quarantine.make_room(needed_bytes)
            if freed_bytes >= needed_bytes:
                return freed_bytes
            return freed_bytes + self._cleaner.make_room(needed_bytes - freed_bytes, order.image)

        def wait() -> None:
            watch(Phase.WAITING, 0, 0)

        self._corrupt.move_known(order.image, wait)
        is_new = self._cache.ensure(order.image, produce, wait=wait, make_room=make_room)
        if not is_new and order.options.by_swarm:
            entry = self._cache.path_of(order.image)
            self._fetcher.offer_cached(order, entry, self._cache.records.read(entry.name))
        return is_new

    def describe_cache(self, images: Sequence[ImageSize]) -> CacheContents:
        self._check_caching()
        held = frozenset(each.image for each in images if self._cache.holds(each.image))
        missing = [each for each in images if each.image not in held]
        sizes = {image: size for image in held if (size := self._cache.held_bytes(image)) is not None}
        space = self._cache.free_space(each.image for each in missing)
        return CacheContents(
            held=held,
            needed_bytes=self._fetcher.space_needed(missing, self._cache.kept),
            free_bytes=space.free_bytes,
            promised_bytes=space.promised_bytes,
            reserve_bytes=space.reserve_bytes,
            held_bytes=sizes,
        )

    def list_cache(self) -> CacheListing:
        self._check_caching()
        return self._lister.list()

    def hash_entries(self, check_stop: Callable[[], None]) -> None:
        if self._uses_cache:
            self._cache.digests.hash_all(check_stop)

    def verify_image(self, order: ImageOrder, watch: Watcher) -> OperationResult:
        self._check_caching()
        limit = self._rates.of(order)
        reading = PacedReading(clock=self._clock, watch=watch, rate_now=limit.rate_now, note_wait=limit.note_wait)
        return self._verification.verify(order.image, reading)

    def verify_due(self, interval: timedelta, rate_now: Callable[[], int], watch: Watcher) -> ImageId | None:
        if not self._uses_cache:
            return None
        return self._rounds.verify_due(interval, PacedReading(clock=self._clock, watch=watch, rate_now=rate_now))

    def purge_image(self, order: ImageOrder, watch: Watcher) -> OperationResult:
        self._check_caching()
        return self._purge.purge(
            order.image, even_pinned=order.options.even_pinned, wait=lambda: watch(Phase.WAITING, 0, 0)
        )

    def pin_image(self, image: ImageId, pin: Pin, wait: Callable[[], None]) -> None:
        self._check_caching()
        self._corrupt.move_known(image, wait)
        self._keeper.pin(image, pin, wait)

    def unpin_image(self, image: ImageId, wait: Callable[[], None]) -> OperationResult:
        self._check_caching()
        return self._keeper.unpin(image, wait)

    def touch_pinned(self) -> Sequence[ImageId]:
        if not self._uses_cache:
            return ()
        self._quarantine.clean()
        missing = self._keeper.touch()
        try:
            # nova-compute removes entries and not their records.
            self._cache.remove_orphaned_records()
        except CacheUnusable as error:
            _log.warning("Records of entries that are gone could not be removed: %s", error)
        # One host restores for all. If it is not known who shares the cache, the entry's lock is sufficient.
        return () if missing and self._sharers.leaves_to_another() else missing

    def share_cache(self) -> str:
        if not self._uses_cache:
            return ""
        self._sharers.announce()
        return self._cache.cache_id

    def clean_cache(self) -> None:
        if self._owns_cache:
            self._cleaner.clean()

    def clean_now(self, request: CleanRequest) -> CleanResult:
        self._check_caching()
        if not self._owns_cache and not request.is_dry_run:
            return CleanResult(refused=OWNED_BY_NOVA)
        return self._cleaner.clean_now(request)

    @property
    def _uses_cache(self) -> bool:
        return self._images_type in _FROM_CACHE

    def _check_caching(self) -> None:
        """Raise NotImplementedError, with the reason, if instances of this host do not boot from the cache."""
        if self._uses_cache:
            return
        if self._images_type == "rbd":
            raise NotImplementedError(
                "images_type is rbd: instances of this host are cloned inside Ceph and do not boot from the image "
                "cache, so there is nothing to download"
            )
        raise NotImplementedError(
            f"images_type is {self._images_type}, which is not known to boot from the image cache"
        )
