"""The policy of a cache is read from the file, and what cannot work stops the process at the start."""

import pytest

from precache.config.load import load_config
from precache.core.errors import InvalidConfiguration
from precache.core.sizes import DiskAmount
from precache.rules.eviction import CachePolicy, Watermarks

OWNER = "owner = precache\n"


def load(tmp_path, options):
    path = tmp_path / "precache.conf"
    path.write_text(f"[image_cache]\n{options}\n")
    return load_config([path]).image_cache.cleaning


def test_by_default_the_rule_is_novas(tmp_path):
    cleaning = load(tmp_path, "")

    assert (cleaning.policy, cleaning.watermarks, cleaning.makes_room) == (CachePolicy.AGE, Watermarks(), False)
    assert cleaning.removes_unused


def test_marks_are_shares_or_sizes(tmp_path):
    options = "evict_above_used = 80%\nevict_to_used = 70.5%\nevict_below_free = 20GiB\nevict_to_free = 30GiB\n"
    cleaning = load(tmp_path, f"{OWNER}policy = popularity\nmake_room = true\n{options}")

    assert cleaning.policy is CachePolicy.POPULARITY
    assert cleaning.makes_room
    assert cleaning.watermarks == Watermarks(
        DiskAmount(percent=80), DiskAmount(percent=70.5), DiskAmount(20 << 30), DiskAmount(30 << 30)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("policy = lru\nmake_room = true", "policy = lru needs owner = precache"),
        ("policy = keep", "policy = keep needs owner = precache"),
        ("evict_above_used = 80%", "evict_above_used needs owner = precache"),
        ("make_room = true", "make_room needs owner = precache"),
        (f"{OWNER}policy = youth", r"\[image_cache\] policy: Valid values are"),
        (f"{OWNER}policy = lru", "policy = lru removes nothing without evict_above_used"),
        (f"{OWNER}policy = popularity", "policy = popularity removes nothing without"),
        (f"{OWNER}policy = keep\nmake_room = true", "policy = keep evicts nothing; remove the marks and make_room"),
        (f"{OWNER}policy = keep\nevict_below_free = 9%", "policy = keep evicts nothing"),
        (f"{OWNER}evict_above_used = 80", None),
        (f"{OWNER}evict_above_used = many", "evict_above_used must be a share of the file system such as"),
        (f"{OWNER}evict_above_used = 101%", "evict_above_used must be a share"),
        (f"{OWNER}evict_to_used = 70%", "evict_to_used has no effect without evict_above_used"),
        (f"{OWNER}evict_to_free = 70%", "evict_to_free has no effect without evict_below_free"),
        (f"{OWNER}evict_above_used = 70%\nevict_to_used = 80%", "evict_to_used = 80% is above evict_above_used = 70%"),
        (f"{OWNER}evict_below_free = 9%\nevict_to_free = 8%", "evict_to_free = 8% is below evict_below_free = 9%"),
        (f"{OWNER}evict_below_free = 9%\nevict_to_free = 90GiB", "cannot be compared; make both shares or both sizes"),
        (f"{OWNER}evict_above_used = 9GiB\nevict_to_used = 9GiB", None),
        (f"{OWNER}evict_above_used = 9GiB\nevict_to_used = 0", None),
        (f"{OWNER}make_room = true\nremove_unused_base_images = false", "contradicts remove_unused_base_images"),
        (f"{OWNER}make_room = true\nmanager_interval = -1", "make_room needs passes over the cache"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(tmp_path, options, message):
    if message is None:
        load(tmp_path, options)
        return
    with pytest.raises(InvalidConfiguration, match=message):
        load(tmp_path, options)
