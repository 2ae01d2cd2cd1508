"""`precache job watch` against the real API, with events, without a terminal and with one."""

import codecs
import fcntl
import io
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager

import keystoneauth1.session
import pytest

from precache.api.events.feed import FeedLimits
from precache.cli.app import PrecacheApp
from precache.cli.client.jobs import Jobs
from precache.cli.client.session import Session
from precache.cli.errors import RequestRefused
from precache.cli.openstack.transport import SessionTransport
from precache.core.jobs import JobState, Outcome
from tests.http.followed import JOB, serving
from tests.waiting import wait_until

HOSTS = tuple(f"cmp{number}" for number in range(1, 21))


class Watching:
    """One run of the command, in a thread, with its messages on `stderr`."""

    def __init__(self, url, stderr, *options):
        self.out, self.code = io.StringIO(), None
        self._app = PrecacheApp(environ={"PRECACHE_URL": url}, stdout=self.out, stderr=stderr)
        self._argv = ["job", "watch", JOB, *options]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        self.code = self._app.run(self._argv)

    def end(self):
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.code


@pytest.fixture
def followed():
    with serving(hosts=HOSTS) as each:
        yield each


def told(followed, text, stderr):
    """Look at the job until this text is written."""

    def is_written():
        followed.look()
        return text in stderr.getvalue()

    wait_until(is_written)


def finish(followed):
    """End the job: all hosts but two have the images."""
    for host in HOSTS[2:]:
        followed.end(host)
    followed.jobs.finish(followed.claim, JobState.PARTLY_FAILED)
    wait_until(lambda: followed.look() or not followed.feed.reader_count)


def test_a_pipe_gets_a_line_for_each_change_of_the_job_and_for_each_failure(followed):
    stderr = io.StringIO()
    watching = Watching(followed.url, stderr, "-f", "json")
    told(followed, "is running, 40 tasks", stderr)

    followed.end("cmp1", Outcome.ERROR, reason="no space left")
    told(followed, "cmp1: 70a599e0-31e7-49b7-b260-868f441e862b: error: no space left", stderr)
    followed.end("cmp2", Outcome.SKIPPED, reason="the host is down")
    told(followed, "4 of 40 ended (2 error, 2 skipped)", stderr)
    finish(followed)

    assert watching.end() == 4
    assert f"Job {JOB} partly_failed: 36 cached, 2 error, 2 skipped" in stderr.getvalue()
    assert stderr.getvalue().count("no space left") == 4  # two tasks, once each and once in the report
    assert '"state": "partly_failed"' in watching.out.getvalue()
    assert watching.out.getvalue().count('"outcome": "error"') == 2


def test_the_watch_goes_on_after_the_connection_broke(followed):
    stderr = io.StringIO()
    watching = Watching(followed.url, stderr)
    told(followed, "is running", stderr)

    for stream in list(followed.feed._streams):
        stream.is_cut = True
        stream.wake()
    followed.end("cmp1", Outcome.ERROR, reason="no space left")
    wait_until(lambda: not followed.feed.reader_count)
    told(followed, "no space left", stderr)
    finish(followed)

    assert watching.end() == 4


def test_a_time_limit_ends_the_watch_and_not_the_job(followed):
    stderr = io.StringIO()

    watching = Watching(followed.url, stderr, "--timeout", "0.5")

    assert watching.end() == 7
    assert f"Not ended after 0.5 s; job {JOB} continues" in stderr.getvalue()


def test_the_openstack_client_receives_events_too(followed):
    transport = SessionTransport(session=keystoneauth1.session.Session(), timeout_s=30)
    jobs = Jobs(Session(transport=transport), f"{followed.url}/v1")

    with jobs.follow(JOB, last_event_id=None, timeout_s=30) as events:
        first = next(event for event in events if event.name)
        followed.end("cmp1")
        followed.look()
        second = next(events)
    with jobs.follow(JOB, last_event_id=first.id, timeout_s=30) as events:
        again = next(event for event in events if event.name)

    assert (first.name, second.name, again) == ("snapshot", "task", second)
    with (
        pytest.raises(RequestRefused, match="could not be found"),
        jobs.follow("nonsense", last_event_id=None, timeout_s=30),
    ):
        raise AssertionError


def test_a_deleted_job_ends_the_watch(followed):
    stderr = io.StringIO()
    watching = Watching(followed.url, stderr)
    told(followed, "is running", stderr)

    del followed.jobs._records[JOB]
    followed.look()

    assert watching.end() == 1
    assert f"Job {JOB} could not be found" in stderr.getvalue()


def test_a_job_that_does_not_exist_is_an_error(followed):
    del followed.jobs._records[JOB]
    stderr = io.StringIO()

    assert Watching(followed.url, stderr).end() == 1
    assert f"Job {JOB} could not be found" in stderr.getvalue()


def test_without_a_place_for_a_reader_the_job_is_polled():
    with serving(hosts=HOSTS, limits=FeedLimits(readers=0)) as followed:
        stderr = io.StringIO()
        watching = Watching(followed.url, stderr)
        wait_until(lambda: "is running" in stderr.getvalue())
        assert "0 clients follow jobs already" in stderr.getvalue()
        followed.jobs.cancel(JOB)
        for host in HOSTS:
            followed.end(host, Outcome.CANCELLED)
        followed.jobs.finish(followed.claim, JobState.CANCELLED)

        assert watching.end() == 6


@contextmanager
def terminal(rows, columns):
    """Return a writable terminal of this size and a function that returns what was written and sets the size."""
    ours, theirs = os.openpty()
    screen = Screen(ours, theirs)
    screen.resize(rows, columns)
    with open(theirs, "w", encoding="utf-8") as stream:
        try:
            yield stream, screen
        finally:
            os.close(ours)


class Screen:
    def __init__(self, ours, theirs):
        self._ours, self._theirs = ours, theirs
        self.text = ""
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def resize(self, rows, columns):
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        os.set_blocking(self._ours, False)
        try:
            while part := os.read(self._ours, 65536):
                self.text += self._decode(part)
        except BlockingIOError:
            pass
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.text)


def test_a_terminal_shows_the_job_on_one_screen(followed, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    followed.ask(*HOSTS[:15])
    for number, host in enumerate(HOSTS[:15]):
        followed.progress(host, number, 100)
    with terminal(30, 100) as (stream, screen):
        watching = Watching(followed.url, stream)
        wait_until(lambda: "Slowest of 30 running" in screen.read())
        followed.end("cmp1", Outcome.ERROR, reason="no space left")

        def is_drawn():
            followed.look()
            return "Failed: 2" in screen.read()

        wait_until(is_drawn)
        finish(followed)
        wait_until(lambda: screen.read() and watching.code is not None)
        watching.end()
        text = screen.read()

    assert watching.code == 4
    for expected in ("2 of 40 ended (2 error)", "no space left", "Sites: ", "Last changes", "downloading"):
        assert expected in text, text


def test_the_screen_follows_the_size_of_the_terminal_and_ctrl_c_leaves_the_job_running(followed):
    followed.ask(*HOSTS)
    with terminal(40, 100) as (stream, screen):
        watching = subprocess.Popen(
            [sys.executable, "-m", "precache.cli.main", "job", "watch", JOB],
            env={"PRECACHE_URL": followed.url, "TERM": "xterm", "PATH": "", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
        )
        try:
            wait_until(lambda: "Sites" in screen.read())
            screen.text = ""
            screen.resize(12, 60)
            watching.send_signal(signal.SIGWINCH)
            wait_until(lambda: "Sites" in screen.read())
            lines = f"Job {screen.read().rpartition('Job ')[2]}".split("\r\n")
            watching.send_signal(signal.SIGINT)
            wait_until(lambda: screen.read() and watching.poll() is not None)
            text = screen.read()
        finally:
            watching.kill()
            out, _ = watching.communicate()

    assert 4 < len(lines) <= 12
    assert max(map(len, lines)) <= 60
    assert (watching.returncode, out) == (130, b"")
    assert f"Interrupted; job {JOB} continues" in text
    assert followed.jobs.get(JOB).state is JobState.RUNNING
