"""Certificates from Barbican's API, played on loopback, through castellan as it is."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from keystoneauth1.token_endpoint import Token
from oslo_config import cfg

from precache.adapters.certificates_castellan import CastellanCertificates
from precache.core.errors import CertificateNotFound, KeyManagerUnavailable
from tests.unit.fetch.signing import certificate, new_key

CERTIFICATE, KEY, MISSING, BROKEN = (f"0000000{digit}-0000-4000-8000-000000000000" for digit in "1234")


@pytest.fixture(scope="module")
def der():
    return certificate("signer", new_key("ECC_SECP384R1"))


@pytest.fixture
def barbican(der):
    class Played(BaseHTTPRequestHandler):
        def do_GET(self):
            secret, _, rest = self.path.removeprefix("/v1/secrets/").partition("/")
            if self.path == "/":
                links = [{"rel": "self", "href": f"http://127.0.0.1:{self.server.server_port}/v1/"}]
                version = {"id": "v1", "status": "CURRENT", "min_version": "1.0", "max_version": "1.1", "links": links}
                self._send(200, json.dumps({"versions": [version]}).encode())
            elif self.headers["X-Auth-Token"] != "token":
                self._send(401, b"{}")
            elif secret == MISSING:
                self._send(404, b'{"title": "Not Found", "description": "Secret not found."}')
            elif secret == BROKEN:
                self._send(500, b"{}")
            elif rest == "payload":
                self._send(200, ssl.DER_cert_to_PEM_cert(der).encode(), "application/octet-stream")
            else:
                kind = "certificate" if secret == CERTIFICATE else "opaque"
                record = {
                    "status": "ACTIVE", "secret_type": kind, "name": "signer", "created": "2026-01-01T00:00:00",
                    "updated": "2026-01-01T00:00:00", "expiration": None, "algorithm": None,
                    "bit_length": None, "mode": None,
                    "content_types": {"default": "application/octet-stream"}, "creator_id": "x",
                    "secret_ref": f"http://127.0.0.1:{self.server.server_port}/v1/secrets/{secret}",
                }  # fmt: skip
                self._send(200, json.dumps(record).encode())

        def _send(self, status, body, kind="application/json"):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Nothing: what is asked shows in the answers."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Played)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def certificates(url, tmp_path, *, token="token"):
    file = tmp_path / "precache.conf"
    file.write_text(f"[barbican]\nbarbican_endpoint = {url}\nnumber_of_retries = 1\nretry_delay = 0\n")
    conf = cfg.ConfigOpts()
    conf([], project="precache", default_config_files=[str(file)], default_config_dirs=[])
    return CastellanCertificates(conf=conf, auth=None if token is None else Token(url, token))


def test_certificate_comes_as_it_was_stored(barbican, tmp_path, der):
    assert certificates(barbican, tmp_path).get(CERTIFICATE) == der


@pytest.mark.parametrize("secret", [MISSING, KEY])
def test_missing_certificate_and_secret_of_another_kind_are_not_found(barbican, tmp_path, secret):
    with pytest.raises(CertificateNotFound, match=secret):
        certificates(barbican, tmp_path).get(secret)


def test_barbican_with_an_error_of_its_own_is_unavailable(barbican, tmp_path):
    with pytest.raises(KeyManagerUnavailable):
        certificates(barbican, tmp_path).get(BROKEN)


@pytest.mark.parametrize("token", ["wrong", None])
def test_barbican_that_refuses_the_credentials_returns_nothing(barbican, tmp_path, token):
    with pytest.raises(KeyManagerUnavailable):
        certificates(barbican, tmp_path, token=token).get(CERTIFICATE)


def test_barbican_that_is_down_is_unavailable(tmp_path):
    with pytest.raises(KeyManagerUnavailable, match=CERTIFICATE):
        certificates("http://127.0.0.1:1", tmp_path).get(CERTIFICATE)
