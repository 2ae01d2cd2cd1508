"""`precache disk create`: which directory it takes for its cache, and which image."""

import io
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from precache.cli.app import PrecacheApp
from precache.config.load import load_config
from precache.imagecache.names import entry_name
from precache.wiring.commands.options import STANDALONE

IMAGE = "70a599e0-31e7-49b7-b260-868f441e862b"
TWIN = "155d900f-4e14-4e4c-a73d-069cbf4541e6"


def run(*words):
    stdout, stderr = io.StringIO(), io.StringIO()
    code = PrecacheApp(environ={}, stdout=stdout, stderr=stderr).run(["disk", "create", *map(str, words)])
    return code, stdout.getvalue(), " ".join(stderr.getvalue().split())


@pytest.fixture
def instances(tmp_path):
    """A host's directory with the image in its cache."""
    path = tmp_path / "guests" / "instances"
    (path / "_base").mkdir(parents=True)
    (path / "_base" / entry_name(IMAGE)).write_bytes(bytes(1 << 20))
    return path


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "precache.conf"
    path.write_text("[image_cache]\nowner = precache\n")
    return path


@pytest.fixture
def image_service():
    """The image service, with one name that one image has and one that two have. Yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            names = {IMAGE: "debian", TWIN: "twin", IMAGE.replace("7", "8"): "twin"}
            body = json.dumps({"images": [{"id": image, "name": name} for image, name in names.items()]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_without_a_directory_of_its_own_it_takes_none(config_file, tmp_path):
    code, _, told = run("--image", IMAGE, "--path", tmp_path / "vm.qcow2", "--config-file", config_file)

    assert code == 2
    assert "give --instances-path DIR" in told


@pytest.mark.parametrize("trace", ["compute_nodes", "compute_id", "../compute_id", "locks/nova-storage-registry-lock"])
def test_a_directory_that_nova_works_in_is_refused(instances, config_file, tmp_path, trace):
    (instances / "locks").mkdir()
    (instances / trace).write_text("{}")

    code, _, told = run(
        "--image", IMAGE, "--path", tmp_path / "vm.qcow2", "--config-file", config_file, "--instances-path", instances
    )

    assert code == 2
    assert "instances directory of a nova-compute" in told
    assert not (tmp_path / "vm.qcow2").exists()


@pytest.mark.parametrize("image", [IMAGE, "debian"])
def test_an_image_is_found_by_its_id_and_by_its_name(instances, config_file, image_service, tmp_path, image):
    with config_file.open("a") as file:
        file.write(f"[glance]\nendpoint_override = {image_service}\n")

    code, printed, told = run(
        "--image", image, "--path", tmp_path / "vm.qcow2", "--config-file", config_file, "--instances-path", instances,
        "-f", "json",
    )  # fmt: skip

    assert (code, told) == (0, "")
    assert json.loads(printed)["backing_file"] == str(instances / "_base" / entry_name(IMAGE))
    assert (tmp_path / "vm.qcow2").exists()


def test_a_name_that_two_images_have_is_refused_with_their_ids(instances, config_file, image_service, tmp_path):
    with config_file.open("a") as file:
        file.write(f"[glance]\nendpoint_override = {image_service}\n")

    code, _, told = run(
        "--image", "twin", "--path", tmp_path / "vm.qcow2", "--config-file", config_file, "--instances-path", instances
    )

    assert code != 0
    assert TWIN in told
    assert "give the id of one" in told


def test_an_owner_that_flipped_with_the_first_file_is_explained(instances, config_file, tmp_path):
    config_file.write_text("[DEFAULT]\ndebug = false\n")

    code, _, told = run(
        "--image", IMAGE, "--path", tmp_path / "vm.qcow2", "--config-file", config_file, "--instances-path", instances
    )

    assert code == 2
    assert "only because a configuration file is read that does not set it" in told


@pytest.mark.parametrize(
    ("text", "is_chosen"), [("", False), ("[image_cache]\nowner = nova\n", True), ("[DEFAULT]\nhost = a\n", False)]
)
def test_whether_a_file_says_the_owner_is_known(config_file, text, is_chosen):
    config_file.write_text(text)

    assert load_config([config_file], STANDALONE).image_cache.is_owner_chosen is is_chosen


def may_be_read_by_all(path):
    """Return whether every user may reach a file, as one in root's own home may not be."""
    return all(parent.stat().st_mode & 0o001 for parent in Path(path).resolve().parents)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(not may_be_read_by_all(__file__), reason="another user may not read the program here")
def test_a_disk_is_refused_where_the_age_of_its_image_cannot_be_reset(instances, config_file, tmp_path):
    for path in (instances, instances / "_base", tmp_path):
        path.chmod(0o777)
    for path in [path for path in tmp_path.parents if path.stat().st_uid == 0 and not path.stat().st_mode & 0o001]:
        path.chmod(path.stat().st_mode | 0o011)  # to be passed through only
    (instances / "locks").mkdir(mode=0o777)
    (instances / "locks").chmod(0o777)
    os.seteuid(65534)
    try:
        code, _, told = run(
            "--image", IMAGE, "--path", tmp_path / "vm.qcow2", "--config-file", config_file, "--instances-path",
            instances,
        )  # fmt: skip
    finally:
        os.seteuid(0)

    assert code != 0
    assert "not permitted; run the compute as the owner" in told
    assert not (tmp_path / "vm.qcow2").exists()
