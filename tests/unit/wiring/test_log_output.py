"""The log as another process would read it: where it goes, and what its lines say."""

import json
import subprocess
import sys

import pytest

from precache.config.load import load_config
from precache.core.errors import InvalidConfiguration
from precache.wiring.log_output import log_to_file_instead_of_terminal, start_logging

PROGRAM = """
import logging, sys
from pathlib import Path
from precache.config.load import load_config
from precache.core.work_context import WorkContext, working_on
from precache.wiring.log_output import start_logging

start_logging(load_config([Path(sys.argv[1])]), process="api")
log = logging.getLogger("precache.example")
log.info("outside")
with working_on(WorkContext(request_id="req-1", job_id="job-1")):
    log.info("inside")
with working_on(WorkContext(job_id="job-2")):
    log.info("on a host")
try:
    raise ValueError("hush-hush")
except ValueError:
    log.warning("something failed")
logging.getLogger("urllib3.connectionpool").info("chatter")
log.debug("detail")
"""


def logged(tmp_path, text):
    """Return what a process with this configuration writes to (standard output, standard error)."""
    file = tmp_path / "precache.conf"
    file.write_text(text)
    # Without warnings: an older library may warn of what is installed beside it, which is not our log.
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return ended.stdout, ended.stderr


def test_lines_go_to_standard_error_with_the_ids_of_request_and_job(tmp_path):
    printed, lines = logged(tmp_path, "[DEFAULT]\nmy_ip = 10.0.0.1\n")

    first, outside, inside, on_host, failed = [line.partition(" precache.")[2] for line in lines.splitlines()]
    assert printed == ""
    assert first.startswith("wiring.log_output [DEFAULT] my_ip in ")
    assert (outside, inside, failed) == ("example outside", "example [req-1 job-1] inside", "example something failed")
    assert on_host == "example [job-2] on a host"


def test_lines_can_be_json_in_a_file_named_after_the_process(tmp_path):
    (tmp_path / "logs").mkdir()

    told = logged(tmp_path, f"[DEFAULT]\nuse_json = true\nlog_dir = {tmp_path}/logs\n")

    lines = [json.loads(line) for line in (tmp_path / "logs" / "precache-api.log").read_text().splitlines()]
    assert told == ("", "")
    assert [line["message"] for line in lines] == ["outside", "inside", "on a host", "something failed"]
    assert [line["context"].get("job_id") for line in lines] == [None, "job-1", "job-2", None]
    assert "hush-hush" not in json.dumps(lines)


def test_levels_are_set_by_module_and_debug_shows_everything_of_our_own(tmp_path):
    text = "[DEFAULT]\ndebug = true\ndefault_log_levels = urllib3=INFO,precache.example=WARNING\n"

    _, lines = logged(tmp_path, text)

    assert [line.split(" ", 4)[-1] for line in lines.splitlines()] == ["something failed", "chatter"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[DEFAULT]\nlog_file = /nowhere/x.log\n", "/nowhere/x.log: No such file or directory"),
        ("[DEFAULT]\ndefault_log_levels = foo\n", "default_log_levels must be module=LEVEL pairs"),
        ("[DEFAULT]\nuse_journal = true\n", "use_journal needs Python's systemd module"),
        ("[DEFAULT]\nlog_config_append = /nowhere/x.ini\n", "/nowhere/x.ini"),
    ],
)
def test_a_log_that_cannot_be_written_stops_the_start_in_one_sentence(tmp_path, text, told):
    file = tmp_path / "precache.conf"
    file.write_text(text)

    with pytest.raises(InvalidConfiguration) as refused:
        start_logging(load_config([file]), process="api")

    assert told in str(refused.value)


def test_a_file_takes_the_place_of_a_terminal_unless_a_destination_is_configured(tmp_path):
    file = tmp_path / "precache.conf"
    file.write_text(f"[DEFAULT]\nlog_file = {tmp_path}/own.log\n")

    assert log_to_file_instead_of_terminal(load_config([]), tmp_path / "x.log") == tmp_path / "x.log"
    assert log_to_file_instead_of_terminal(load_config([file]), tmp_path / "x.log") is None
