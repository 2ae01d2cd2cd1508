"""The program as a process: what it imports, pipes, signals, encodings."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.lab.certificates import Authority
from tests.unit.cli.stub_service import JOB_ID, Reply, Serving, StubService, task

PROGRAM = [sys.executable, "-m", "precache.cli.main"]

# What a start must not pay for: cliff's shell, rich, the service and everything it stands on.
HEAVY = (
    "cmd2",
    "prompt_toolkit",
    "rich",
    "requests",
    "urllib3",
    "yaml",
    "sqlalchemy",
    "falcon",
    "oslo_config",
    "keystoneauth1",
)


FULL_TOO = (("host list", "1"), ("host list --help", ""), ("--version", "1"))


def environ(service: StubService, **more: str) -> dict[str, str]:
    """Return our own environment without what would steer the program; with what measures its coverage."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PRECACHE_", "OS_", "CLIFF_"))}
    return kept | {"PRECACHE_URL": service.url} | more


def also_long(*values: str) -> list[ParameterSet]:
    """Return parameters that start the program once more for the same code; `make test-long` runs them."""
    return [pytest.param(value, marks=pytest.mark.long) for value in values]


@pytest.mark.parametrize("argv", [["--help"], ["aggregate", "list"], ["job", "show", JOB_ID, "--wait"]])
def test_a_start_imports_nothing_heavy(service: StubService, argv: list[str]) -> None:
    script = (
        "import sys; from precache.cli.main import main; main(sys.argv[1:]); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], "
        "[name for name in sys.modules if name.startswith('precache.') and name.split('.')[1] not in "
        "('cli', 'core', 'doctor', 'wiring')])"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script, *argv], env=environ(service), capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines()[-1] == "[] []"


def test_a_keystone_that_is_down_is_one_line(service: StubService) -> None:
    away = {
        "PRECACHE_URL": "", "OS_AUTH_URL": "http://127.0.0.1:9/v3", "OS_USERNAME": "u", "OS_PASSWORD": "p",
        "OS_USER_DOMAIN_ID": "default", "OS_PROJECT_NAME": "x", "OS_PROJECT_DOMAIN_ID": "default",
    }  # fmt: skip

    ran = subprocess.run(
        [sys.executable, "-m", "precache.cli.main", "host", "list"],
        env=environ(service, **away), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ran.returncode == 3
    assert ran.stderr.count("\n") == 1, ran.stderr


def test_a_reader_that_has_gone_is_met_with_silence(service: StubService) -> None:
    service.hosts = [service.hosts[0] | {"name": f"cmp-{n}"} for n in range(5000)]

    ran = subprocess.Popen(
        [*PROGRAM, "host", "list", "-f", "csv"], env=environ(service), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert ran.stdout is not None
    assert ran.stderr is not None
    ran.stdout.close()
    with ran.stderr:
        said = ran.stderr.read()

    assert (ran.wait(), said) == (141, b"")


@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [("host list", ""), ("host list --help", "1"), *(pytest.param(*case, marks=pytest.mark.long) for case in FULL_TOO)],
)
def test_a_full_disk_is_reported_in_one_sentence(service: StubService, words: str, unbuffered: str) -> None:
    service.hosts = [service.hosts[0] | {"name": f"cmp-{n}"} for n in range(500)]
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [*PROGRAM, *words.split()],
            env=environ(service, PYTHONUNBUFFERED=unbuffered),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert ran.returncode == 1
    assert ran.stderr == "precache: The output could not be written: standard output: No space left on device\n"


def closed(redirections: str, words: str, service: StubService, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the program from a shell, which is what closes its streams."""
    line = f"exec {shlex.join(PROGRAM)} {words} {redirections}"
    environment = environ(service, **more)
    return subprocess.run(["/bin/sh", "-c", line], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words", ["host list -f json", "host list -f csv", *also_long("--version", "--help", "config sample")]
)
def test_a_closed_standard_output_is_reported_in_one_sentence(service: StubService, words: str) -> None:
    service.hosts = [service.hosts[0] | {"name": f"cmp-{n}"} for n in range(500)]

    ran = closed(">&-", words, service)

    assert ran.returncode == 1
    assert ran.stderr == "precache: The output could not be written: standard output is closed\n"


@pytest.mark.parametrize("streams", ["2>&-", *also_long("2>/dev/full", "<&- 2>&-")])
def test_without_a_standard_error_result_and_exit_code_are_the_same(service: StubService, streams: str) -> None:
    done = closed(streams, "host list -f value -c name", service)
    away = closed(streams, "host list", service, PRECACHE_URL="http://127.0.0.1:9")
    wrong = closed(streams, "host lisp", service)

    assert (done.returncode, done.stdout, done.stderr) == (0, "cmp-1\n", "")
    assert (away.returncode, wrong.returncode) == (3, 2)


@pytest.mark.long
def test_without_any_stream_the_exit_code_is_right(service: StubService) -> None:
    assert closed("<&- >&- 2>&-", "host list", service).returncode == 1
    assert closed("<&- >&- 2>&-", "host list", service, PRECACHE_URL="http://127.0.0.1:9").returncode == 3


def test_an_ascii_terminal_gets_escapes_instead_of_a_traceback(service: StubService) -> None:
    service.images[0]["name"] = "débian-☃"

    ran = subprocess.run(
        [*PROGRAM, "image", "list", "-f", "value", "-c", "name"],
        env=environ(service, PYTHONIOENCODING="ascii"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0
    assert r"d\xe9bian-\u2603" in ran.stdout


def test_ctrl_c_while_waiting_says_that_the_job_continues(service: StubService) -> None:
    service.frames = [("running", [task("cmp-1")])]
    ran = subprocess.Popen(
        [*PROGRAM, "aggregate", "cache", "image", "web", "debian-12", "--wait", "-f", "json"],
        env=environ(service),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert ran.stderr is not None
    assert "is running" in ran.stderr.readline()

    ran.send_signal(signal.SIGINT)
    out, err = ran.communicate()

    assert (ran.returncode, out) == (130, "")
    assert f"job {JOB_ID} continues" in err
    assert f"precache job show {JOB_ID}" in err
    assert "Traceback" not in err


CHANGES = [
    ("POST", f"/v1/jobs/{JOB_ID}/cancel", f"job cancel {JOB_ID}", "job list"),
    ("PATCH", f"/v1/jobs/{JOB_ID}", f"job set {JOB_ID} --priority 1", "job list"),
    ("POST", "/compute/v2.1/os-aggregates/1/images", "aggregate cache image web debian-12", "job list"),
    ("PUT", "/v1/hosts/cmp-1", "host set cmp-1 --down", "host list"),
    ("POST", "/v1/hosts/cmp-1/clean", "host clean cmp-1", "host show cmp-1"),
    ("POST", "/compute/v2.1/os-aggregates", "aggregate create db", "aggregate list"),
]


@pytest.mark.parametrize(("method", "path", "words", "check"), CHANGES)
def test_a_change_without_an_answer_in_time_may_have_been_accepted(
    service: StubService, method: str, path: str, words: str, check: str
) -> None:
    release = threading.Event()
    service.replies[method, path] = lambda: Reply(200, {}) if release.wait(20) else Reply(500)

    ran = subprocess.run(
        [*PROGRAM, "--http-timeout", "0.3", *words.split()],
        env=environ(service),
        capture_output=True,
        text=True,
        check=False,
    )
    release.set()

    assert ran.returncode == 3
    assert "within 0.3 s; the request may have been accepted: check with" in ran.stderr
    assert f"'precache {check}' before you repeat it" in ran.stderr


def test_ctrl_c_before_the_answer_to_a_change_says_that_it_may_have_been_accepted(service: StubService) -> None:
    received, release = threading.Event(), threading.Event()

    def late() -> Reply:
        received.set()
        release.wait(20)
        return Reply(500)

    service.replies["POST", f"/v1/jobs/{JOB_ID}/cancel"] = late
    ran = subprocess.Popen([*PROGRAM, "job", "cancel", JOB_ID], env=environ(service), stderr=subprocess.PIPE, text=True)
    assert received.wait(20)

    ran.send_signal(signal.SIGINT)
    _, err = ran.communicate()
    release.set()

    assert ran.returncode == 130
    assert err == (
        "\nprecache: Interrupted before the answer; the request may have been accepted: check with 'precache job list' "
        "before you repeat it\n"
    )


def test_a_terminal_gets_a_live_view_and_the_pipe_clean_json(service: StubService) -> None:
    service.frames = [("running", [task("cmp-1")]), ("failed", [task("cmp-1", outcome="error", reason="disk full")])]
    ours, theirs = pty.openpty()

    with os.fdopen(theirs, "wb") as terminal:
        ran = subprocess.run(
            [*PROGRAM, "job", "show", JOB_ID, "--wait", "-f", "value", "-c", "state"],
            env=environ(service, TERM="xterm", COLUMNS="120"),
            stdout=subprocess.PIPE,
            stderr=terminal,
            text=True,
            check=False,
        )
    seen = os.read(ours, 1 << 16).decode()
    os.close(ours)

    assert (ran.returncode, ran.stdout) == (5, "failed\n")
    assert "1 of 1 ended (1 error)" in seen
    assert "\x1b[" in seen


def test_a_service_that_never_answers_is_left_after_the_time_limit(service: StubService) -> None:
    release = threading.Event()

    def never() -> Reply:
        release.wait(20)
        return Reply(200, {})

    service.replies["GET", "/v1/hosts"] = never

    ran = subprocess.run(
        [*PROGRAM, "--http-timeout", "0.2", "host", "list"],
        env=environ(service),
        capture_output=True,
        text=True,
        check=False,
    )
    release.set()

    assert ran.returncode == 3
    assert "within 0.2 s" in ran.stderr


def test_https_is_believed_only_with_its_authority(service: StubService, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.certificate("127.0.0.1").context()
    secure = StubService()

    with Serving(secure, tls=context):
        distrusted = subprocess.run(
            [*PROGRAM, "host", "list"], env=environ(secure), capture_output=True, text=True, check=False
        )
        trusted = subprocess.run(
            [*PROGRAM, "host", "list", "-f", "value", "-c", "name"],
            env=environ(secure, OS_CACERT=str(authority.cafile)),
            capture_output=True,
            text=True,
            check=False,
        )

    assert distrusted.returncode == 3
    assert "is not trusted" in distrusted.stderr
    assert "--cacert" in distrusted.stderr
    assert (trusted.returncode, trusted.stdout) == (0, "cmp-1\n")


def test_a_keystone_that_is_down_is_reported_once(service: StubService) -> None:
    login = {"OS_AUTH_URL": "http://127.0.0.1:9/v3", "OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_PROJECT_NAME": "p"}

    ran = subprocess.run(
        [*PROGRAM, "host", "list"],
        env=environ(service, **login, PRECACHE_URL=""),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 3
    assert ran.stderr.startswith("precache: Keystone at http://127.0.0.1:9 cannot be reached: ")
    assert ran.stderr.count("\n") == 1
