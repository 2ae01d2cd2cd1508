"""Directories, locks, tools and neighbours of a host, as they should be and as they should not."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from precache.core.errors import DomainsUnknown
from precache.core.sizes import DiskAmount
from precache.doctor.cache_owner import check_cache_owner
from precache.doctor.decoding import check_decoding, judge_hashes, judge_inflaters
from precache.doctor.directories import check_cache, check_disk_space, check_instances, judge_space
from precache.doctor.examine import Check, examine
from precache.doctor.locks import Mount, check_locks, mount_of, try_lock
from precache.doctor.nova_conf import check_nova_conf
from precache.doctor.qemu_img import check_qemu_img, judge_confinement, judge_version
from precache.doctor.shared_cache import check_shared_cache
from precache.imagecache.space.disk_usage import DiskSize
from precache.sandbox import Sandbox, landlock
from tests.unit.doctor.looking import only, statuses

SOMEBODY = 12345
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def test_a_new_host_is_well(host):
    config = host()

    findings = [*check_instances(config), *check_cache(config), *check_locks(config)]

    assert statuses(findings) == ["ok", "ok", "ok"]
    assert "will be made at the first start" in findings[1].found


def test_a_host_that_has_worked_is_well(host, tmp_path):
    for name in ("_base", "locks"):
        (tmp_path / "instances" / name).mkdir()
    config = host()

    findings = [*check_instances(config), *check_cache(config), *check_locks(config)]

    assert statuses(findings) == ["ok"] * 4


def test_nothing_is_left_behind(host, tmp_path):
    config = host()

    for look in (check_instances, check_cache, check_locks, check_disk_space):
        list(look(config))

    assert list((tmp_path / "instances").iterdir()) == []


def test_a_host_without_instances_is_reported_once(configured, tmp_path):
    config = configured(f"[DEFAULT]\ninstances_path = {tmp_path}/nowhere\n")

    findings = [only(look(config)) for look in (check_instances, check_cache, check_locks, check_disk_space)]

    assert statuses(findings) == ["failed", "skipped", "skipped", "skipped"]
    assert "nowhere does not exist" in findings[0].found


def test_a_file_where_the_cache_should_be_is_a_failure(host, tmp_path):
    (tmp_path / "instances" / "_base").write_text("")

    assert only(check_cache(host())).status == "failed"


def test_a_directory_that_everybody_may_change_is_worth_a_warning(host, tmp_path):
    (tmp_path / "instances").chmod(0o777)

    assert only(check_instances(host())).status == "warning"


@is_root
def test_a_cache_of_another_owner_than_the_instances_is_worth_a_warning(host, tmp_path):
    (tmp_path / "instances" / "_base").mkdir()
    os.chown(tmp_path / "instances", SOMEBODY, SOMEBODY)

    findings = list(check_cache(host()))

    assert statuses(findings) == ["ok", "warning"]
    assert f"uid {SOMEBODY}" in findings[1].found


@is_root
def test_a_lock_file_that_nova_cannot_open_is_a_failure(host, tmp_path):
    locks = tmp_path / "instances" / "locks"
    locks.mkdir()
    (locks / "nova-0123").write_text("")
    os.chown(locks, SOMEBODY, SOMEBODY)

    findings = list(check_locks(host()))

    assert statuses(findings) == ["ok", "failed", "ok"]
    assert "nova-0123" in findings[1].found


@pytest.fixture
def public_directory():
    """A directory that every user can reach, which those of a test run by root are not."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@is_root
def test_another_user_than_the_owner_is_reported_with_advice(configured, public_directory):
    config = configured(f"[DEFAULT]\ninstances_path = {public_directory}\n")

    findings = as_user(SOMEBODY, lambda: [*check_instances(config), *check_cache(config)])

    assert statuses(findings) == ["failed", "failed"]
    assert {finding.advice for finding in findings} == {"run the compute, and this command, as root"}


@is_root
def test_what_may_not_even_be_seen_is_a_failure(host):
    config = host()

    [(_, finding)] = as_user(SOMEBODY, lambda: examine(config, [Check("instances", check_instances)]))

    assert (finding.status, "Permission denied" in finding.found) == ("failed", True)


def as_user(uid, look):
    os.seteuid(uid)
    try:
        return look()
    finally:
        os.seteuid(0)


def test_locks_that_hold_on_one_host_only_are_worth_a_warning(tmp_path):
    nfs = Mount(tmp_path, "nfs4", ("rw", "local_lock=all"))

    assert try_lock(tmp_path, nfs).status == "warning"
    assert try_lock(tmp_path, Mount(tmp_path, "nfs4", ("rw", "local_lock=none"))).status == "ok"


def test_the_innermost_and_latest_mount_holds_a_path(tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        "2 1 0:1 / /srv/my\\040disk rw shared:1 - xfs /dev/b rw\n"
        "3 1 0:2 / /srv/my\\040disk rw - nfs4 server:/x rw,vers=4.2,local_lock=none\n"
        "no mount at all\n"
    )

    assert mount_of(Path("/srv/my disk/instances"), table) == Mount(
        Path("/srv/my disk"), "nfs4", ("rw", "vers=4.2", "local_lock=none")
    )
    assert mount_of(Path("/srv"), table).kind == "ext4"
    assert mount_of(tmp_path, tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        ([("cmp-1", "a", 0)], [("ok", "no other host shares")]),
        ([("cmp-1", "a", 0), ("cmp-2", "a", 60)], [("ok", "2 hosts share")]),
        ([("cmp-1", "a", 0), ("cmp-2", "b", 60)], [("failed", "cmp-1, cmp-2 share")]),
        (
            [("cmp-1", "a", 0), ("cmp-2", "a", 9 * 86_400)],
            [("ok", "2 hosts share"), ("warning", "host cmp-2, which shares this cache, was not seen for 9 days")],
        ),
    ],
)
def test_hosts_that_share_the_cache_are_named_with_what_is_wrong(host, tmp_path, hosts, found):
    directory = tmp_path / "instances" / "_base" / ".precache-sharers"
    directory.mkdir(parents=True)
    for name, locks, seconds in hosts:
        (directory / name).write_text(json.dumps({"version": 1, "locks": locks, "used": {}}))
        os.utime(directory / name, (1e9 - seconds,) * 2)

    findings = list(check_shared_cache(host()))

    assert [finding.status for finding in findings] == [status for status, _ in found]
    assert all(text in finding.found for finding, (_, text) in zip(findings, found, strict=True))


@pytest.mark.parametrize(
    ("free_bytes", "free_files", "status", "words"),
    [
        (100 << 30, 9, "ok", "100.0 GiB are free"),
        (100 << 30, None, "ok", "100.0 GiB are free"),
        (50 << 30, 9, "warning", "50.0 GiB are free on the disk of /srv, of which 50.0 GiB are reserved for guests"),
        (1 << 30, 9, "warning", "1.0 GiB are free"),
        (0, 9, "failed", "no space is free"),
        (100 << 30, 0, "failed", "no file"),
    ],
)
def test_space_is_judged(free_bytes, free_files, status, words):
    finding = judge_space("/srv", DiskSize(1000 << 30, free_bytes), free_files, DiskAmount(percent=5))

    assert finding.status == status
    assert words in finding.found


def test_space_is_looked_at_where_the_cache_will_be(host, tmp_path):
    assert f"the disk of {tmp_path}/instances" in only(check_disk_space(host())).found


@pytest.mark.parametrize(
    ("owner", "command", "status"),
    [
        ("nova", b"/usr/bin/python3\0/usr/bin/nova-compute\0--config-file\0x\0", "ok"),
        ("nova", b"bash\0", "warning"),
        ("nova", b"vi\0-r\0x\0nova-compute\0", "warning"),
        ("precache", b"bash\0", "ok"),
        ("precache", b"nova-compute\0", "failed"),
    ],
)
def test_the_cache_has_one_owner_that_runs(configured, tmp_path, owner, command, status):
    processes = tmp_path / "proc"
    (processes / "42").mkdir(parents=True)
    (processes / "42" / "cmdline").write_bytes(command)

    config = configured(f"[image_cache]\nowner = {owner}\n")

    assert next(iter(check_cache_owner(config, processes, Domains()))).status == status


class Domains:
    """The port `DomainDisks`, as the test says."""

    def __init__(self, found=()):
        self._found = found

    def files(self):
        if isinstance(self._found, DomainsUnknown):
            raise self._found
        return self._found


@pytest.mark.parametrize(
    ("found", "status", "text"),
    [
        ([], "ok", "libvirt lists the disks"),
        (None, "ok", "no libvirt"),
        (DomainsUnknown("libvirt is silent", "start libvirtd"), "warning", "libvirt is silent"),
    ],
)
def test_a_cleaner_that_does_not_know_all_disks_is_reported(configured, tmp_path, found, status, text):
    config = configured("[image_cache]\nowner = precache\n")

    finding = [*check_cache_owner(config, tmp_path, Domains(found))][-1]

    assert (finding.status, text in finding.found) == (status, True)


@pytest.mark.parametrize(
    ("options", "is_told"),
    [
        ("evict_below_free = 4%", True),
        ("evict_below_free = 4%\nevict_to_free = 6%", False),
        ("evict_below_free = 4%\nmake_room = true", False),
        ("evict_above_used = 80%", False),
    ],
)
def test_an_eviction_that_ends_before_an_image_fits_is_reported(configured, tmp_path, options, is_told):
    config = configured(f"[DEFAULT]\ninstances_path = {tmp_path}\n[image_cache]\nowner = precache\n{options}\n")

    found = [finding.found for finding in check_cache_owner(config, tmp_path, Domains([]))]

    assert any("eviction ends when 4% are free, but 5% are reserved" in text for text in found) is is_told


def test_an_owner_that_changed_with_the_first_configuration_file_is_reported(configured, tmp_path):
    finding = only(check_cache_owner(configured("[DEFAULT]\ndebug = true\n"), tmp_path))

    assert finding.status == "warning"
    assert "because no configuration file sets it" in finding.found


def test_what_differs_from_nova_conf_is_named(host, tmp_path):
    nova = tmp_path / "nova.conf"
    nova.write_text(
        f"[DEFAULT]\nstate_path = {tmp_path}\nforce_raw_images = no\nhost = cmp-7\n[image_cache]\n"
        "subdirectory_name = _cache\n[libvirt]\nimages_type = rbd\n[database]\nconnection = hush-hush\n"
    )

    findings = list(check_nova_conf(host("host = cmp-8\n"), (nova,)))

    assert statuses(findings) == ["failed"] * 4
    assert [finding.found.split(" is ")[0] for finding in findings] == [
        "[DEFAULT] force_raw_images", "[image_cache] subdirectory_name", "[libvirt] images_type", "[DEFAULT] host",
    ]  # fmt: skip
    assert "hush-hush" not in "".join(finding.found for finding in findings)


def test_signatures_that_only_nova_verifies_are_named(host, tmp_path):
    nova = tmp_path / "nova.conf"
    wanted = (
        "[glance]\nverify_glance_signatures = true\nenable_certificate_validation = true\n"
        "default_trusted_certificate_ids = one, two\n"
    )
    nova.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n{wanted}")

    assert statuses(check_nova_conf(host(), (nova,))) == ["failed", "failed"]
    other = wanted.replace("one, two", "two")
    assert "default_trusted_certificate_ids is one, two" in only(check_nova_conf(host(other), (nova,))).found
    assert only(check_nova_conf(host(wanted), (nova,))).status == "ok"


def test_inspection_that_only_nova_leaves_out_is_named(host, tmp_path):
    nova = tmp_path / "nova.conf"
    text = "[workarounds]\ndisable_deep_image_inspection = true\n"
    nova.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n{text}")

    assert "disable_deep_image_inspection is True" in only(check_nova_conf(host(), (nova,))).found
    assert only(check_nova_conf(host(text), (nova,))).status == "ok"


@pytest.mark.parametrize("section", ["image_cache", "DEFAULT"])
def test_another_minimum_age_than_that_of_the_cache_s_owner_is_named(host, tmp_path, section):
    nova, age = tmp_path / "nova.conf", "remove_unused_original_minimum_age_seconds = 600\n"
    nova.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n[{section}]\n{age}")

    (finding,) = check_nova_conf(host(), (nova,))
    assert (finding.status, "minimum_age_seconds is 600 in" in finding.found) == ("failed", True)
    assert only(check_nova_conf(host(f"[image_cache]\n{age}"), (nova,))).status == "ok"
    assert only(check_nova_conf(host("[image_cache]\nowner = precache\n"), (nova,))).status == "ok"


def test_a_nova_conf_that_agrees_is_well(host, tmp_path):
    nova = tmp_path / "nova.conf"
    nova.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n")

    assert only(check_nova_conf(host(), (nova,))).status == "ok"


@pytest.mark.parametrize("text", [None, "no section", "[DEFAULT]\nforce_raw_images = perhaps\n"])
def test_a_nova_conf_that_cannot_be_understood_is_skipped(host, tmp_path, text):
    nova = tmp_path / "nova.conf"
    if text is not None:
        nova.write_text(text)

    assert only(check_nova_conf(host(), (nova,))).status == "skipped"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7)", "ok"),
        ("qemu-img version 10.0.2", "ok"),
        ("qemu-img version 5.2.0", "warning"),
        ("segmentation fault", "failed"),
    ],
)
def test_an_old_qemu_img_is_worth_a_warning(said, status):
    assert judge_version("/usr/bin/qemu-img", said).status == status


def test_a_missing_qemu_img_is_a_failure(configured, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert only(check_qemu_img(configured())).status == "failed"


def test_a_qemu_img_that_does_not_run_is_a_failure(configured, monkeypatch, tmp_path):
    program = tmp_path / "qemu-img"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert only(check_qemu_img(configured())).status == "failed"


def test_a_kernel_without_landlock_is_worth_a_warning():
    finding = judge_confinement("/usr/bin/qemu-img", Sandbox(landlock_version=0))

    assert (finding.status, "Landlock" in finding.found) == ("warning", True)


@pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
def test_a_qemu_img_that_is_confined_is_well(configured):
    assert statuses(check_qemu_img(configured())) == ["ok", "ok"]


@pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
def test_a_qemu_img_that_cannot_run_confined_is_a_failure(tmp_path):
    program, behind = tmp_path / "qemu-img", tmp_path / "elsewhere"
    behind.write_text("#!/bin/sh\n")
    program.write_text(f"#!/bin/sh\nexec {behind}\n")
    for file in (program, behind):
        file.chmod(0o755)

    assert judge_confinement(str(program), Sandbox()).status == "failed"


def test_a_host_with_all_libraries_decodes_images_and_can_pause(configured):
    findings = list(check_decoding(configured()))

    assert statuses(findings) == ["ok", "ok"]
    assert "zlib-ng" in findings[0].found


def test_a_host_without_a_library_for_decoding_is_told_what_to_install():
    slow, unpaused = judge_inflaters(has_zlib_ng=False), judge_hashes(["sha512"])

    assert statuses([slow, unpaused]) == ["warning", "warning"]
    assert ("zlib-ng" in slow.advice, "libcrypto" in unpaused.advice) == (True, True)


@pytest.mark.parametrize(
    "option", ["[DEFAULT]\nforce_raw_images = false", "[image_cache]\ndecode_while_streaming = false"]
)
def test_where_nothing_is_decoded_while_it_arrives_no_library_is_missed(configured, option):
    assert only(check_decoding(configured(option))).status == "skipped"
