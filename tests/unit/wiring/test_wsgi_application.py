"""One application a process, with real forks."""

import os

import pytest

from precache.core.errors import StoreUnavailable
from precache.wiring.wsgi_application import PerProcess


def in_a_child(work):
    """Return what `work` gives, done in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, repr(work()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    os.waitpid(child, 0)
    return text


def ask(app):
    """Return the status and the body of an answer."""
    statuses = []
    body = b"".join(app({}, lambda status, headers: statuses.append(status)))
    return statuses[0], body


def builder():
    """Return a function that builds applications, each of which tells its number and the process that built it."""
    built = []

    def build():
        built.append(os.getpid())
        number, pid = len(built), os.getpid()

        def app(environ, start_response):
            start_response("200 OK", [])
            return [f"{number} {pid == os.getpid()}".encode()]

        return app

    return build


def test_one_process_builds_once():
    app = PerProcess(builder())

    assert ask(app) == ask(app) == ("200 OK", b"1 True")


def test_a_forked_process_builds_its_own_once():
    app = PerProcess(builder())

    told = in_a_child(lambda: (ask(app), ask(app)))

    assert told == repr((("200 OK", b"2 True"),) * 2)
    assert ask(app) == ("200 OK", b"1 True")


def test_a_start_that_cannot_be_is_known_at_once():
    def build():
        raise StoreUnavailable("refused")

    with pytest.raises(StoreUnavailable):
        PerProcess(build)


def test_a_forked_process_that_cannot_build_answers_503_until_it_can():
    mother, away, build = os.getpid(), [True], builder()

    def build_where_possible():
        if os.getpid() != mother and away:
            raise StoreUnavailable("refused")
        return build()

    app = PerProcess(build_where_possible)

    told = in_a_child(lambda: (ask(app), away.clear(), ask(app)))

    assert told == repr((("503 Service Unavailable", b""), None, ("200 OK", b"2 True")))
