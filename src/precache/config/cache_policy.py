"""The options of [image_cache] that say what a host removes from a cache that Precache owns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from oslo_config import cfg

from precache.core.errors import InvalidConfiguration
from precache.core.sizes import DiskAmount
from precache.rules.eviction import CachePolicy, Cleaning, Watermarks
from precache.rules.expiry import ExpiryLimits

_AMOUNT = "A share of the file system such as {}%, or a size such as {}GiB."

OPTIONS = [
    cfg.StrOpt(
        "policy",
        default=CachePolicy.AGE.value,
        choices=[
            ("age", "what is unused for remove_unused_original_minimum_age_seconds; above a mark, also what lru would"),
            ("lru", "above a mark, what was used least recently; nothing by its age"),
            ("popularity", "above a mark, what the fewest disks have used since it was cached; nothing by its age"),
            ("keep", "nothing; only an operator removes entries"),
        ],
        help="Which entries this host removes from its cache by itself. Pinned entries, and those that a disk uses, "
        "always stay. Used if the owner is precache. The marks are evict_above_used and evict_below_free.",
    ),
    cfg.StrOpt(
        "evict_above_used",
        default="",
        help="Evict entries when all files of the cache use more than this, until they use evict_to_used at most. "
        f"{_AMOUNT.format(80, 500)} Empty: never for this reason.",
    ),
    cfg.StrOpt(
        "evict_to_used",
        default="",
        help="An eviction that began at evict_above_used ends here. Not more than that, and a share if that is one. "
        "Empty: the same as evict_above_used.",
    ),
    cfg.StrOpt(
        "evict_below_free",
        default="",
        help="Evict entries when less than this is free in the file system of the cache, until evict_to_free is free. "
        f"{_AMOUNT.format(10, 50)} Empty: never for this reason.",
    ),
    cfg.StrOpt(
        "evict_to_free",
        default="",
        help="An eviction that began at evict_below_free ends here. Not less than that, and a share if that is one. "
        "Empty: the same as evict_below_free.",
    ),
    cfg.BoolOpt(
        "make_room",
        default=False,
        help="Evict entries by the policy if an image that is requested does not fit, and only if it then fits. Used "
        "if the owner is precache.",
    ),
]

_MARKS = ("evict_above_used", "evict_to_used", "evict_below_free", "evict_to_free")


def parse_cleaning(values: Any) -> Cleaning:
    """Return the rules. Raises InvalidConfiguration for what cannot work."""
    amounts = {option: _amount(option, values[option]) for option in _MARKS}
    cleaning = Cleaning(
        limits=ExpiryLimits(
            original=timedelta(seconds=values.remove_unused_original_minimum_age_seconds),
            resized=timedelta(seconds=values.remove_unused_resized_minimum_age_seconds),
        ),
        removes_unused=values.remove_unused_base_images,
        policy=CachePolicy(values.policy),
        watermarks=Watermarks(*(amounts[option] for option in _MARKS)),
        makes_room=values.make_room,
    )
    _check_pair(amounts, "evict_above_used", "evict_to_used", is_rising=False)
    _check_pair(amounts, "evict_below_free", "evict_to_free", is_rising=True)
    _check(cleaning, values)
    return cleaning


def _amount(option: str, text: str) -> DiskAmount | None:
    try:
        return DiskAmount.parse(text) if text.strip() else None
    except ValueError as error:
        raise InvalidConfiguration(f"[image_cache] {option} must be {error}, not {text!r}") from error


def _check_pair(amounts: dict[str, DiskAmount | None], begin: str, end: str, *, is_rising: bool) -> None:
    """Check the mark where eviction begins and the one where it ends. is_rising: the second is the higher one."""
    first, second = amounts[begin], amounts[end]
    if second is None:
        return
    if first is None:
        raise InvalidConfiguration(f"[image_cache] {end} has no effect without {begin}; set both or none")
    if bool(first.percent) != bool(second.percent) and (second.percent or second.size_bytes):
        raise InvalidConfiguration(
            f"[image_cache] {begin} = {first} and {end} = {second} cannot be compared; make both shares or both sizes"
        )
    difference = (second.percent - first.percent) or (second.size_bytes - first.size_bytes)
    if difference < 0 if is_rising else difference > 0:
        order = "below" if is_rising else "above"
        raise InvalidConfiguration(
            f"[image_cache] {end} = {second} is {order} {begin} = {first}, so that no eviction could end; exchange them"
        )


def _check(cleaning: Cleaning, values: Any) -> None:
    policy, marks = cleaning.policy, cleaning.watermarks
    is_by_space = policy in (CachePolicy.LRU, CachePolicy.POPULARITY)
    wanted = [f"policy = {policy}"] if policy is not CachePolicy.AGE else []
    wanted += [option for option in _MARKS if values[option].strip()]
    wanted += ["make_room"] if cleaning.makes_room else []
    wanted_text = f"[image_cache] {wanted[0]}" if wanted else ""
    evicts = marks.are_set or cleaning.makes_room
    if wanted and values.owner != "precache":
        raise InvalidConfiguration(
            f"{wanted_text} needs owner = precache, because nova-compute removes entries by its own rule; remove it, "
            "or set the owner on a host without nova-compute"
        )
    if policy is CachePolicy.KEEP and evicts:
        raise InvalidConfiguration("[image_cache] policy = keep evicts nothing; remove the marks and make_room")
    if is_by_space and not evicts:
        raise InvalidConfiguration(
            f"{wanted_text} removes nothing without evict_above_used, evict_below_free or make_room; set one of them, "
            "or policy = keep"
        )
    if evicts and not cleaning.removes_unused:
        raise InvalidConfiguration(
            f"{wanted_text} contradicts remove_unused_base_images = false, with which nothing is removed; remove one"
        )
    if evicts and values.manager_interval < 0:
        raise InvalidConfiguration(
            f"{wanted_text} needs passes over the cache, and manager_interval = -1 switches them off; remove one"
        )
