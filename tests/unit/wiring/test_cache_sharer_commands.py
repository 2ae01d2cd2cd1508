"""`precache cache sharer ...`, on a directory as computes leave it."""

from __future__ import annotations

import io
import json
import os
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.cli.app import PrecacheApp
from precache.cli.exit_codes import ExitCode
from precache.imagecache.cache import ImageCache
from precache.imagecache.disks.sharers import CacheSharers
from precache.imagecache.names import SHARERS


class NoDisks:
    def disks_by_file(self):
        return {}


def leave(instances, host, ago):
    """Let the host have been there earlier by that time."""
    path = instances / "_base" / SHARERS / host
    os.utime(path, times=(path.stat().st_mtime - ago.total_seconds(),) * 2)


@pytest.fixture
def instances(tmp_path):
    cache = ImageCache(directory=tmp_path / "_base", locks_directory=tmp_path / "locks", clock=MemoryClock())
    cache.start()
    for host in ("cmp-1", "cmp-2"):
        CacheSharers(cache=cache, host=host, own=NoDisks(), clock=MemoryClock()).announce()
    return tmp_path


def run(*words, instances):
    out, err = io.StringIO(), io.StringIO()
    app = PrecacheApp(environ={}, stdout=out, stderr=err)
    status = app.run(["cache", "sharer", *words, "--instances-path", str(instances)])
    return status, out.getvalue(), err.getvalue()


def test_the_hosts_are_listed_and_one_can_be_removed(instances):
    _, listed, _ = run("list", "-f", "json", instances=instances)
    refused, _, why = run("remove", "cmp-2", instances=instances)
    leave(instances, "cmp-2", timedelta(minutes=29))
    still_refused, _, _ = run("remove", "cmp-2", instances=instances)
    leave(instances, "cmp-2", timedelta(minutes=1))
    removed, _, message = run("remove", "cmp-2", instances=instances)
    again, _, refusal = run("remove", "cmp-2", instances=instances)

    assert [(row["host"], row["entries_in_use"], row["knows_its_use"]) for row in json.loads(listed)] == [
        ("cmp-1", 0, True),
        ("cmp-2", 0, True),
    ]
    assert (refused, still_refused) == (ExitCode.REFUSED, ExitCode.REFUSED)
    assert "Host cmp-2 was in " in why
    assert "--force" in why
    assert (removed, again) == (ExitCode.DONE, ExitCode.REFUSED)
    assert "cmp-2 does not count" in message
    assert "`precache cache sharer list` shows those that do" in refusal


def test_a_host_that_was_there_lately_and_an_empty_directory_can_be_removed(instances):
    (instances / "_base" / SHARERS / "odd").mkdir()
    listed, _, why = run("list", instances=instances)

    assert listed is not ExitCode.DONE
    assert "precache cache sharer remove odd" in why
    assert run("remove", "odd", instances=instances)[0] is ExitCode.DONE
    assert run("remove", "cmp-1", "--force", instances=instances)[0] is ExitCode.DONE
    assert sorted(path.name for path in (instances / "_base" / SHARERS).iterdir()) == ["cmp-2"]


def test_a_directory_that_is_no_cache_and_a_name_that_is_none_are_refused(instances, tmp_path):
    nowhere, _, refusal = run("list", instances=tmp_path / "missing")
    bad_name, _, _ = run("remove", "a/b", instances=instances)

    assert (nowhere, bad_name) == (ExitCode.USAGE, ExitCode.USAGE)
    assert "is not a directory" in refusal
