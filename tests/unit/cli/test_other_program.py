"""The commands in another cliff program, which brings its own options and its own client manager."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from cliff.app import App
from cliff.commandmanager import CommandManager

from precache.cli.client import PrecacheClient
from precache.cli.client.endpoints import Endpoints
from precache.cli.client.transport import UrllibTransport
from precache.cli.commands.aggregate_images import AggregateCacheImage
from precache.cli.commands.job import JobList
from tests.unit.cli.stub_service import JOB_ID, StubService, job, task


def other_program(service: StubService, out: io.StringIO, err: io.StringIO) -> App:
    commands = CommandManager("nothing.of.this.name")
    commands.add_command("job list", JobList)
    commands.add_command("aggregate cache image", AggregateCacheImage)
    app = App("another", "1", commands, stdout=out, stderr=err)
    endpoints = Endpoints.derive(service.url)
    transport = UrllibTransport(timeout_s=5, setting_of=endpoints.setting_of)
    client = PrecacheClient(transport=transport, endpoints=endpoints)
    app.client_manager = SimpleNamespace(precache=client)
    return app


def test_a_command_finds_the_service_through_the_client_manager(service: StubService) -> None:
    service.jobs = [job("running")]
    out = io.StringIO()

    code = other_program(service, out, io.StringIO()).run(["job", "list", "-f", "value", "-c", "id"])

    assert (code, out.getvalue()) == (0, f"{JOB_ID}\n")


def test_the_exit_code_says_how_the_job_ended_there_too(service: StubService) -> None:
    service.frames = [("failed", [task("cmp-1", outcome="error")])]

    code = other_program(service, io.StringIO(), io.StringIO()).run(
        ["aggregate", "cache", "image", "web", "debian-12", "--wait"]
    )

    assert code == 5


@pytest.mark.parametrize("program", ["", "openstack "])
def test_examples_begin_with_the_program_that_shows_them(service: StubService, program: str) -> None:
    app = other_program(service, io.StringIO(), io.StringIO())

    told = JobList(app, None).get_parser(f"{program}precache job list").format_help()

    assert f"\n  {program}precache job list --state running --host cmp-1 --since 2h\n" in told
