"""What the program does with command lines, errors and answers that are not as they should be."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import Reply, StubService

HOSTS = "/v1/hosts"


def test_no_server_at_the_address_is_three_and_says_what_to_check(run: Run) -> None:
    ran = run("--url", "http://127.0.0.1:9", "host", "list")

    assert ran.code == 3
    assert "http://127.0.0.1:9 cannot be reached: Connection refused" in ran.err
    assert "PRECACHE_URL" in ran.err


@pytest.mark.parametrize("url", ["127.0.0.1:8775", "ftp://x", "http://", "http://h:port", "http://[", "http://a b"])
def test_an_invalid_address_is_a_usage_error(run: Run, url: str) -> None:
    ran = run("--url", url, "host", "list")

    assert ran.code == 2
    assert "is not an address" in ran.err


@pytest.mark.parametrize(
    ("variable", "words", "option"),
    [
        ("PRECACHE_IMAGE_URL", ("image", "list"), "--image-url"),
        ("PRECACHE_COMPUTE_URL", ("aggregate", "list"), "--compute-url"),
        ("PRECACHE_URL", ("image", "list"), "--url"),
    ],
)
def test_the_setting_of_an_address_that_cannot_be_reached_is_named(
    run: Run, variable: str, words: tuple[str, ...], option: str
) -> None:
    ran = run(*words, environ={variable: "http://127.0.0.1:9"})

    assert ran.code == 3
    assert ran.err.endswith(f"; is it running, and is {option} ({variable}) right?\n")


def test_a_user_in_an_address_is_refused_without_showing_the_password(run: Run, service: StubService) -> None:
    ran = run("host", "list", environ={"PRECACHE_URL": service.url.replace("//", "//admin:s3cret@")})

    assert (ran.code, service.asked) == (2, [])
    assert "contains a user or password" in ran.err
    assert "s3cret" not in ran.err


def test_a_path_that_the_service_does_not_have_is_an_error_in_the_address(run: Run, service: StubService) -> None:
    fault = {"code": "precache.request.no_such_path", "message": "The resource could not be found."}
    service.replies["GET", "/v1/v1/hosts"] = Reply(404, {"error": fault})

    ran = run("--url", f"{service.url}/v1", "host", "list")

    assert ran.code == 1
    assert f"GET {service.url}/v1/v1/hosts: the service has no such path; is the address right?" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        "job cancel ID {}",
        "job show {}",
        "job pause {}",
        "job set {} --priority 1",
        "host cache image {} debian-12",
        "aggregate delete {}",
        "host set {}",
        "job create --image {} --cell cell1",
        "job create --image debian-12 --host {}",
        "job create --image debian-12 --cell cell1 --name {}",
        "job list --name {}",
        "aggregate set web --zone {}",
    ],
)
def test_an_empty_argument_is_refused_before_anything_is_sent(run: Run, service: StubService, words: str) -> None:
    ran = run(*("" if word == "{}" else word for word in words.split()))

    assert (ran.code, service.asked) == (2, [])
    assert "'' is empty; is a variable unset?" in ran.err


def test_a_failure_of_the_service_shows_its_request_id(run: Run, service: StubService) -> None:
    service.replies["GET", HOSTS] = Reply(500, {"error": {"code": "x", "message": "boom", "request_id": "req-7"}})

    ran = run("host", "list")

    assert ran.code == 3
    assert "answered 500: boom (request id req-7)" in ran.err


def test_the_request_id_may_be_in_a_header(run: Run, service: StubService) -> None:
    service.replies["GET", HOSTS] = Reply(502, "<html>", {"x-openstack-request-id": "req-8"})

    assert "req-8" in run("host", "list").err


def test_a_missing_token_is_explained(run: Run, service: StubService) -> None:
    service.replies["GET", HOSTS] = Reply(401, {"error": {"code": 401, "title": "Unauthorized"}})

    ran = run("host", "list")

    assert ran.code == 1
    assert "Unauthorized" in ran.err
    assert "OS_TOKEN" in ran.err


def test_the_token_is_sent_and_never_shown(run: Run, service: StubService) -> None:
    ran = run("-v", "host", "list", environ={"OS_TOKEN": "s3cret"})

    assert service.asked[0].headers["x-auth-token"] == "s3cret"
    assert "s3cret" not in ran.out + ran.err


def test_a_token_that_would_break_the_header_is_a_usage_error(run: Run, service: StubService) -> None:
    ran = run("--token", "a\r\nb", "host", "list")

    assert ran.code == 2
    assert service.asked == []


def test_a_redirect_is_reported_and_not_followed(run: Run, service: StubService) -> None:
    service.replies["GET", HOSTS] = Reply(302, None, {"Location": "http://elsewhere.example/"})

    ran = run("host", "list", environ={"OS_TOKEN": "s3cret"})

    assert ran.code == 1
    assert "http://elsewhere.example/" in ran.err


@pytest.mark.parametrize("body", ["<html>hello</html>", [], {"hosts": "none"}, {"hosts": [1]}, {}])
def test_an_answer_that_is_something_else_is_reported_in_one_sentence(
    run: Run, service: StubService, body: object
) -> None:
    service.replies["GET", HOSTS] = Reply(200, body)

    ran = run("host", "list")

    assert ran.code == 3
    assert "not understood" in ran.err
    assert ran.err.count("\n") == 1


def test_pages_that_go_round_in_a_circle_are_left(run: Run, service: StubService) -> None:
    service.replies["GET", "/image/v2/images"] = Reply(200, {"images": [], "next": "/v2/images?marker=x"})

    assert run("image", "list").code == 3


def test_a_proxy_is_never_asked_for_this_machine(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)

    assert run("host", "list").code == 0


def test_a_ca_file_that_cannot_be_read_is_a_usage_error(run: Run) -> None:
    ran = run("--url", "https://127.0.0.1:9", "--cacert", "/nowhere.pem", "host", "list")

    assert ran.code == 2
    assert "/nowhere.pem" in ran.err


def test_a_log_file_that_cannot_be_written_is_one_sentence(run: Run) -> None:
    ran = run("--log-file", "/nowhere/log", "host", "list")

    assert ran.code == 1
    assert ran.err.count("\n") == 1


def test_no_command_is_a_usage_error_that_shows_them_all(run: Run) -> None:
    ran = run()

    assert (ran.code, ran.out) == (2, "")
    assert "aggregate cache image    Fill the image caches" in ran.err


def test_help_lists_commands_and_exit_codes(run: Run) -> None:
    for argv in (["--help"], ["help"]):
        ran = run(*argv)

        assert ran.code == 0
        assert "serve all" in ran.out
        assert "130  interrupted" in ran.out


@pytest.mark.parametrize("argv", [["aggregate"], ["agregate", "list"], ["aggregate", "--wait"]])
def test_an_unknown_command_suggests_what_may_be_meant(run: Run, argv: list[str]) -> None:
    ran = run(*argv)

    assert (ran.code, ran.out) == (2, "")
    assert "aggregate list" in ran.err


def test_help_of_a_noun_lists_its_commands(run: Run) -> None:
    for argv in (["help", "job"], ["job", "--help"]):
        ran = run(*argv)

        assert ran.code == 0
        assert "job task list" in ran.out
        assert "aggregate" not in ran.out


def test_help_of_an_unknown_command_is_an_error(run: Run) -> None:
    ran = run("help", "nope")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "precache: There is no command 'nope'; 'precache help' lists them all\n"


def test_every_client_command_has_help_with_an_example(run: Run) -> None:
    from importlib.metadata import entry_points

    for entry in entry_points(group="precache.commands"):
        if entry.module.startswith("precache.cli."):
            name = entry.name.replace("_", " ")
            ran = run(*name.split(), "--help")

            assert ran.code == 0
            assert f"  precache {name}" in ran.out.partition("Example:")[2], name


def test_help_is_given_even_where_another_option_is_wrong(run: Run) -> None:
    ran = run("job", "list", "--state", "bogus", "--help")

    assert ran.code == 0
    assert "usage: precache job list" in ran.out


def test_an_option_of_a_command_is_not_read_as_an_abbreviation(run: Run) -> None:
    ran = run("host", "list", "--image", "x")

    assert ran.code == 2
    assert "unrecognized arguments: --image x" in ran.err


def test_a_bug_is_one_sentence_and_a_traceback_only_on_demand(run: Run, service: StubService) -> None:
    service.replies["GET", HOSTS] = Reply(200, {"hosts": [{"name": {}}]})
    service.replies["GET", "/v1/jobs"] = Reply(200, {"jobs": [{"counts": 3}]})

    plain = run("job", "list")
    debug = run("--debug", "job", "list")

    assert plain.code == debug.code == 1
    assert "Traceback" not in plain.err
    assert "--debug" in plain.err
    assert "Traceback" in debug.err


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["--ulr", "http://x", "job", "list"], "no option --ulr in front of a command; did you mean --url?"),
        (["--debugging=x"], "no option --debugging in front of a command; did you mean --debug?"),
        (["-f", "json", "job", "list"], "no option -f in front of a command; 'precache --help'"),
    ],
)
def test_an_unknown_option_is_named_with_the_most_similar_one(run: Run, argv: list[str], hint: str) -> None:
    ran = run(*argv)

    assert (ran.code, ran.out) == (2, "")
    assert hint in ran.err
    assert ran.err.endswith("put the options of a command after its name\n")


@pytest.mark.parametrize(
    ("words", "last", "shows_usage"),
    [
        ("image pin x --keep-for 0", "argument --keep-for: keep_for_s must be a whole number from 1", False),
        ("image pin x --host", "argument --host: expected one argument", False),
        ("image pin", "the following arguments are required: image", True),
        ("image pin x --unknown", "unrecognized arguments: --unknown", True),
    ],
)
def test_the_usage_is_shown_only_if_the_fault_is_in_no_single_argument(
    run: Run, words: str, last: str, shows_usage: bool
) -> None:
    ran = run(*words.split())

    assert ran.code == 2
    assert ran.err.splitlines()[-1].startswith(f"precache image pin: error: {last}")
    assert (len(ran.err.splitlines()) > 1) is shows_usage
