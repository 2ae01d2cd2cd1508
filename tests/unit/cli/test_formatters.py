"""Results as tables that fit, and as text that programs read back."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from wcwidth import wcswidth

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import DEBIAN, JOB_ID, UBUNTU, StubService, job, task

NASTY = 'a\'b "c" $(touch x) `id` \\ \N{SNOWMAN}\tend\nnext'
LONG = "The image has 12.4 GB, and the file system of the cache 9.1 GB free; make room there, or take a smaller image"
COMMANDS = {
    "jobs": ("job", "list"),
    "one job": ("job", "show", JOB_ID),
    "a wait": ("job", "show", JOB_ID, "--wait", "--all"),
    "tasks": ("job", "task", "list", JOB_ID),
    "hosts": ("host", "list"),
    "images": ("image", "list"),
    "aggregates": ("aggregate", "list"),
    "one aggregate": ("aggregate", "show", "web"),
}


@pytest.fixture
def wide(service: StubService) -> StubService:
    """A service whose every list is too wide for 80 columns."""
    error = {"outcome": "error", "reason": LONG, "bytes_done": 123456789, "finished_at": "2026-01-02T03:04:05.000001Z"}
    service.frames = [("failed", [task("compute-07.rack-3.example", DEBIAN, **error), task("cmp-2", UBUNTU, **error)])]
    names = {DEBIAN: "debian 12 of January", UBUNTU: "ubuntu"}
    service.jobs = [job("succeeded") | {"images": [DEBIAN, UBUNTU], "image_names": names, "counts": {"cached": 10000}}]
    service.images[0]["name"] = "debian 12 of January"
    service.aggregates[0]["metadata"] = {"owner": "the storage team of the second floor", "rack": "7"}
    return service


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_table_fits_the_width_and_breaks_no_id(run: Run, wide: StubService, words: tuple[str, ...]) -> None:
    out = run(*words, "--max-width", "80").out

    assert max(map(len, out.splitlines())) <= 80
    whole = run(*words, "-f", "json").out
    shown = re.findall(r"[0-9a-f]{8}-[0-9a-f-]*", out)
    assert all(one in whole and len(one) == 36 for one in shown)


def test_columns_that_find_no_room_are_named(run: Run, wide: StubService) -> None:
    out = run("job", "list", "--max-width", "80").out

    assert JOB_ID in out
    assert "succeeded" in out
    note = " ".join(out[out.index("Columns left out") :].splitlines())
    assert note.startswith("Columns left out because the table is too wide: priority, finished_at, task_count, host")


@pytest.mark.parametrize("name", ["CLIFF_MAX_TERM_WIDTH", "CLIFF_FIT_WIDTH"])
@pytest.mark.parametrize("text", ["x", "", "-1", "9" * 5000])
def test_a_width_in_the_environment_that_is_no_number_is_a_usage_error(
    run: Run, service: StubService, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)

    ran = run("job", "list")

    assert (ran.code, service.asked) == (2, [])
    assert ran.err.startswith(f"precache: The environment variable {name} is {text!r}, not a whole number; ")


def test_columns_that_were_chosen_are_all_shown(run: Run, wide: StubService) -> None:
    columns = [word for name in ("id", "images", "aggregate", "state", "created_at") for word in ("-c", name)]

    out = run("job", "list", "--max-width", "60", *columns).out

    assert max(map(len, out.splitlines())) <= 60
    assert f"id          {JOB_ID}\n" in out
    assert "created_at  2026-01-02 03:04:05Z\n" in out


def test_one_object_with_a_word_that_is_too_wide_is_written_without_a_frame(run: Run, wide: StubService) -> None:
    name = "x" * 100
    wide.aggregates[0]["name"] = name

    out = run("aggregate", "show", "1", "--max-width", "80").out

    assert "|" not in out
    assert f"name               {name}\n" in out
    assert max(len(line) for line in out.splitlines() if name not in line) <= 80


def test_wide_characters_are_counted_as_the_columns_that_they_take(run: Run, wide: StubService) -> None:
    wide.aggregates[0]["metadata"] = {"owner": "二階の保存チーム " * 6}

    out = run("aggregate", "list", "--max-width", "80").out

    assert "二階の保存チーム" in out
    assert {wcswidth(line) for line in out.splitlines()} == {wcswidth(out.splitlines()[0])}
    assert wcswidth(out.splitlines()[0]) <= 80


def test_a_table_without_a_limit_is_as_wide_as_it_must_be(run: Run, wide: StubService) -> None:
    assert LONG in run("job", "task", "list", JOB_ID).out


def test_an_image_is_shown_by_its_name_and_kept_by_its_id(run: Run, wide: StubService) -> None:
    assert "debian 12 of January" in run("job", "list").out
    assert run("job", "list", "-f", "json").json[0]["images"] == [DEBIAN, UBUNTU]
    assert f"debian-12 ({DEBIAN})" in run("job", "show", JOB_ID).out
    assert run("job", "task", "list", JOB_ID, "-f", "json").json[0]["image_name"] == "debian-12"


def test_value_is_one_line_for_each_row_with_tabs_between(run: Run, service: StubService) -> None:
    service.frames = [("failed", [task("cmp-1", outcome="error", reason=NASTY), task("cmp-2")])]
    columns = ("-c", "host", "-c", "outcome", "-c", "bytes_done", "-c", "reason")

    first, second = run("job", "task", "list", JOB_ID, "-f", "value", *columns).out.splitlines()

    escaped = NASTY.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    assert first.split("\t") == ["cmp-1", "error", "0", escaped]
    assert second.split("\t") == ["cmp-2", "", "0", ""]


def test_value_writes_lists_as_json(run: Run, wide: StubService) -> None:
    assert run("job", "list", "-f", "value", "-c", "images").out == f'["{DEBIAN}", "{UBUNTU}"]\n'


def test_a_shell_reads_back_what_shell_wrote(run: Run, service: StubService, tmp_path) -> None:
    service.aggregates[0]["name"] = NASTY
    out = run("aggregate", "show", "1", "-f", "shell", "--prefix", "agg_").out
    program = f'{out}\nprintf "%s|%s|%s" "$agg_name" "$agg_id" "$agg_updated_at"'

    read = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert read.stdout == f"{NASTY}|1|"
    assert list(tmp_path.iterdir()) == []
    assert shlex.split(out)[0].startswith("agg_id=")


def test_a_prefix_that_no_variable_can_begin_with_is_refused(run: Run, service: StubService) -> None:
    ran = run("aggregate", "show", "1", "-f", "shell", "--prefix", "1-x")

    assert (ran.code, service.asked) == (2, [])
    assert "cannot begin the name of a variable" in ran.err
