"""What a tool in the sandbox can still do, tried by tools; and what is said of limits that cannot be set."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from datetime import timedelta

import pytest

from precache.sandbox import Needs, Sandbox, landlock
from precache.sandbox.limits import Limit, limits_of
from precache.sandbox.seccomp import Filter

NEEDS = {"cpu_time": timedelta(seconds=20), "address_space_bytes": 1 << 30}
PYTHON = "/usr/bin/python3"

needs_landlock = pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
needs_filter = pytest.mark.skipif(not Filter().is_known, reason="there is no filter for this processor")


def run(sandbox, needs, *command):
    with sandbox.entered_by(command[0], needs) as prepare:
        return subprocess.run(
            command,
            preexec_fn=prepare,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )


@needs_landlock
def test_only_files_that_were_given_can_be_read(tmp_path):
    (tmp_path / "given").write_text("given")
    (tmp_path / "other").write_text("secret")
    needs = Needs(**NEEDS, readable=(tmp_path / "given",))

    assert run(Sandbox(), needs, "cat", str(tmp_path / "given")).stdout == "given"
    refused = run(Sandbox(), needs, "cat", str(tmp_path / "other"))

    assert (refused.stdout, refused.returncode) == ("", 1)
    assert "Permission denied" in refused.stderr


@needs_landlock
@pytest.mark.parametrize("libraries", ["lib", "lib64", "lib/x86_64-linux-gnu"])
def test_a_tool_of_its_own_prefix_can_read_its_libraries(tmp_path, monkeypatch, libraries):
    tool, library = tmp_path / "bin" / "tool", tmp_path / libraries / "libtool.so.1"
    for path in (tool, library):
        path.parent.mkdir(parents=True)
    library.write_text("library")
    tool.write_text(f"#!/bin/sh\nexec cat {library}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)

    assert run(Sandbox(), Needs(**NEEDS), "tool").stdout == "library"


@needs_landlock
def test_only_files_that_were_given_can_be_written(tmp_path):
    for name in ("given", "other"):
        (tmp_path / name).write_text("before")
    needs = Needs(**NEEDS, writable=(tmp_path / "given",))

    assert run(Sandbox(), needs, "dd", f"of={tmp_path}/given", "if=/dev/null").returncode == 0
    assert run(Sandbox(), needs, "dd", f"of={tmp_path}/other", "if=/dev/null").returncode == 1
    assert run(Sandbox(), needs, "touch", f"{tmp_path}/new").returncode == 1

    assert [(tmp_path / name).read_text() for name in ("given", "other")] == ["", "before"]


@needs_landlock
def test_link_in_the_place_of_a_file_to_write_allows_nothing(tmp_path):
    (tmp_path / "other").write_text("before")
    (tmp_path / "given").symlink_to("other")
    needs = Needs(**NEEDS, writable=(tmp_path / "given",))

    refused = run(Sandbox(), needs, "dd", f"of={tmp_path}/given", "if=/dev/null")

    assert "Permission denied" in refused.stderr
    assert (tmp_path / "other").read_text() == "before"


@needs_landlock
def test_named_pipe_is_refused_in_place_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")

    assert "Permission denied" in run(Sandbox(), Needs(**NEEDS), "cat", str(tmp_path / "fifo")).stderr


@needs_filter
@pytest.mark.parametrize("family", ["AF_UNIX", "AF_INET"])
def test_no_connection_can_be_opened(family):
    program = f"import socket; socket.socket(socket.{family})"

    assert "PermissionError" in run(Sandbox(), Needs(**NEEDS), PYTHON, "-S", "-c", program).stderr


def test_filter_is_there_for_known_processors_only():
    assert Filter("x86_64").is_known
    assert not Filter("s390x").is_known


def test_kernel_without_landlock_is_reported_once_and_the_tool_runs(tmp_path):
    reports = []
    sandbox = Sandbox(warn=reports.append, landlock_version=0)
    (tmp_path / "file").write_text("content")

    for _ in range(2):
        assert run(sandbox, Needs(**NEEDS), "cat", str(tmp_path / "file")).stdout == "content"

    assert [report.partition(",")[0] for report in reports] == ["this kernel has no Landlock"]
    assert not sandbox.is_confining


def test_lower_limit_of_this_process_is_reported_once_and_the_tool_runs_under_it():
    reports = []
    limit = Limit(resource.RLIMIT_AS, wanted=2 << 30, most=1 << 30)
    sandbox = Sandbox(warn=reports.append, limits=lambda *_: (limit,))

    for _ in range(2):
        assert run(sandbox, Needs(**NEEDS), "sh", "-c", "ulimit -v").stdout == "1048576\n"

    (report,) = reports
    assert "limited to 1024 MiB instead of 2048 MiB ([libvirt] images_address_space_limit)" in report
    assert "LimitAS=" in report


def test_limit_that_cannot_be_set_is_reported_once_and_the_tool_runs_without_it():
    reports = []
    above_the_kernels_own = Limit(resource.RLIMIT_NOFILE, wanted=1 << 40, most=1 << 40)
    sandbox = Sandbox(warn=reports.append, limits=lambda *_: (above_the_kernels_own,))

    for _ in range(2):
        assert run(sandbox, Needs(**NEEDS), "echo", "went on").stdout == "went on\n"

    assert reports == ["a limit of qemu-img could not be set, so it runs without that one"]


def test_limit_that_cannot_be_set_is_reported_of_a_run_that_fails_too():
    reports = []
    sandbox = Sandbox(warn=reports.append, limits=lambda *_: (Limit(resource.RLIMIT_NOFILE, 1 << 40, 1 << 40),))

    with pytest.raises(subprocess.CalledProcessError), sandbox.entered_by("false", Needs(**NEEDS)) as prepare:
        subprocess.run(["false"], preexec_fn=prepare, check=True)

    assert reports == ["a limit of qemu-img could not be set, so it runs without that one"]


def test_limits_are_never_above_those_of_this_process():
    program = (
        "import resource, datetime; from precache.sandbox.limits import limits_of;"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30));"
        "print([(limit.most, limit.is_met) for limit in limits_of(datetime.timedelta(seconds=30), 2 << 30)][-1])"
    )

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == (
        "(1073741824, False)\n"
    )


def test_last_limit_is_that_of_the_address_space():
    assert limits_of(timedelta(seconds=30), 1 << 30)[-1].kind == resource.RLIMIT_AS
