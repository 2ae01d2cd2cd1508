"""One stub service per test, and the program run against it in this process."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from precache.cli.app import PrecacheApp
from tests.unit.cli.stub_service import Serving, StubService


@dataclass(frozen=True)
class Ran:
    """What a run left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def service() -> Iterator[StubService]:
    stub = StubService()
    with Serving(stub):
        yield stub


@pytest.fixture
def run(service: StubService) -> Run:
    """Run one command line against the stub; `environ` adds to or replaces the environment."""

    def run_it(*argv: str, environ: dict[str, str] | None = None) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                app = PrecacheApp(environ={"PRECACHE_URL": service.url} | (environ or {}), stdout=out, stderr=err)
                code = app.run(list(argv))
            except SystemExit as leaving:  # argparse
                code = int(leaving.code or 0)
        return Ran(int(code), out.getvalue(), err.getvalue())

    return run_it
