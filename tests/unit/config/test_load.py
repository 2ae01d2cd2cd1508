"""What an operator writes, and what the service is told."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from precache.config.load import load_config
from precache.core.errors import InvalidConfiguration
from precache.core.host_calls import CallLimits


def written(directory: Path, text: str | bytes) -> list[Path]:
    file = directory / "precache.conf"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return [file]


def test_defaults_are_novas():
    config = load_config([])

    cache = config.image_cache
    assert cache.precache_concurrency == 1
    assert cache.subdirectory_name == "_base"
    assert cache.manager_interval == timedelta(seconds=2400)
    assert cache.original_minimum_age == timedelta(days=1)
    assert cache.resized_minimum_age == timedelta(hours=1)
    assert config.host.force_raw_images
    assert config.host.service_down_time == timedelta(seconds=60)


def test_nova_compute_owns_the_cache_unless_the_operator_says_otherwise():
    assert not load_config([]).image_cache.is_precache_owner


def test_a_process_that_works_without_a_file_may_prefer_other_defaults():
    assert load_config([], {("image_cache", "owner"): "precache"}).image_cache.is_precache_owner


def test_a_file_means_what_it_would_mean_to_nova_also_where_it_says_nothing(tmp_path):
    files = written(tmp_path, "[image_cache]\nprecache_concurrency = 7\n")

    config = load_config(files, {("image_cache", "precache_concurrency"): 4, ("image_cache", "owner"): "precache"})

    assert config.image_cache.precache_concurrency == 7
    assert not config.image_cache.is_precache_owner


def test_the_environment_overrides_a_default(monkeypatch):
    monkeypatch.setenv("OS_IMAGE_CACHE__PRECACHE_CONCURRENCY", "9")

    assert load_config([]).image_cache.precache_concurrency == 9


@pytest.mark.parametrize(("interval", "expected"), [(-1, None), (0, timedelta(minutes=1)), (5, timedelta(seconds=5))])
def test_manager_interval_means_what_it_means_in_nova(tmp_path, interval, expected):
    files = written(tmp_path, f"[image_cache]\nmanager_interval = {interval}\n")

    assert load_config(files).image_cache.manager_interval == expected


def test_the_image_service_may_have_several_endpoints(tmp_path):
    files = written(tmp_path, "[glance]\nendpoint_override = http://a:9292, https://b/image\n")

    assert load_config(files).glance.endpoints == ("http://a:9292", "https://b/image")
    assert load_config([]).glance.endpoints == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[image_cache]\nprecache_concurrency = 0\n", "[image_cache] precache_concurrency: Should be greater"),
        (
            "[image_cache]\nprecache_concurrency = many\n",
            "[image_cache] precache_concurrency: 'many' is not a whole number",
        ),
        ("[libvirt]\nimages_type = floppy\n", "[libvirt] images_type: Valid values are"),
        ("[api]\nauth_strategy = trust\n", "[api] auth_strategy: Valid values are"),
        ("[DEFAULT]\nservice_down_time = 5\n", "service_down_time (5 s) must be longer than report_interval (10 s)"),
        ("[DEFAULT]\ninstances_path = here\n", "instances_path must be an absolute path"),
        ("[image_cache]\nsubdirectory_name = ../../x\n", "subdirectory_name must be a directory below instances_path"),
        (
            "[image_cache]\nsubdirectory_name = a/../../x\n",
            "subdirectory_name must be a directory below instances_path",
        ),
        ("[image_cache]\nsubdirectory_name = /srv/x\n", "such as _base, not '/srv/x'"),
        (
            "[image_cache]\nreserve_bytes = 20 GB\n",
            "reserve_bytes must be a share of the file system such as 5%, a size such as 20GiB, or 0, not '20 GB'",
        ),
        ("[image_cache]\nsubdirectory_name =\n", "subdirectory_name must be a directory below instances_path"),
        ("[image_cache]\nsubdirectory_name = .\n", "subdirectory_name must be a directory below instances_path"),
        ("[image_cache]\nprecache_concurrency = two\n", "precache_concurrency: 'two' is not a whole number"),
        ("[service_user]\ntimeout = two\n", "timeout: 'two' is not a number"),
        ("[DEFAULT]\nforce_raw_images = no\n[libvirt]\nimages_type = rbd\n", "force_raw_images must be true"),
        ("[glance]\nendpoint_override = http://a, b:9292\n", "[glance] endpoint_override has an entry that is not an"),
        ("[DEFAULT]\nuse_json = ture\n", "[DEFAULT] use_json: Invalid Boolean value: ture"),
        ("no section here\n", "Failed to parse"),
        (b"\xff\xfe\x00[DEFAULT]\n", "not a UTF-8 text file"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(tmp_path, text, told):
    files = written(tmp_path, text)

    with pytest.raises(InvalidConfiguration) as refused:
        load_config(files)

    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidConfiguration, match=r"nowhere\.conf is not a file"):
        load_config([tmp_path / "nowhere.conf"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_file_of_another_user_is_named_with_the_reason(tmp_path):
    secret = tmp_path / "secret.conf"
    secret.touch(mode=0o000)
    os.seteuid(65534)
    try:
        with pytest.raises(InvalidConfiguration, match=r"secret\.conf cannot be read: Permission denied"):
            load_config([secret])
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["cmp 1", "cell1/cmp-1", "x" * 256])
def test_a_host_that_no_aggregate_takes_is_refused(tmp_path, name):
    with pytest.raises(InvalidConfiguration, match=r"\[DEFAULT\] host = .* can be in no aggregate"):
        load_config(written(tmp_path, f"[DEFAULT]\nhost = {name}\n"))


def test_limits_are_none_by_default_and_the_rate_is_shared_by_the_hosts(tmp_path):
    assert not load_config([]).limits.calls.are_set
    limits = load_config(written(tmp_path, "[limits]\nmax_hosts = 10\nmax_bytes_per_s = 1005\n")).limits
    assert (limits.calls, limits.host_bytes_per_s) == (CallLimits(hosts=10), 100)


def test_a_host_gets_the_lowest_one_of_its_shares(tmp_path):
    options = "max_hosts = 10\nmax_bytes_per_s = 1000\nmax_hosts_per_site = 2\nmax_bytes_per_s_per_site = 50\n"
    assert load_config(written(tmp_path, f"[limits]\n{options}")).limits.host_bytes_per_s == 25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("max_bytes_per_s = 1000", r"\[limits\] max_bytes_per_s needs max_hosts"),
        ("max_bytes_per_s = 9\nmax_hosts = 10", r"\[limits\] max_bytes_per_s \(9\) is less than one byte for each"),
        ("max_bytes_per_s_per_site = 1000", r"\[limits\] max_bytes_per_s_per_site needs max_hosts_per_site"),
        ("max_hosts_per_site = -1", r"max_hosts_per_site"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(tmp_path, options, message):
    with pytest.raises(InvalidConfiguration, match=message):
        load_config(written(tmp_path, f"[limits]\n{options}\n"))


def test_a_site_has_a_name_like_a_cell(tmp_path):
    assert load_config(written(tmp_path, "[DEFAULT]\nsite = oslo-2\n")).host.site == "oslo-2"
    with pytest.raises(InvalidConfiguration, match=r"\[DEFAULT\] site = 'oslo 2' is not a name"):
        load_config(written(tmp_path, "[DEFAULT]\nsite = oslo 2\n"))
