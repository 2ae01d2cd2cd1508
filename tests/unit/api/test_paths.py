import pytest

from precache.api.paths import is_compute, is_open, is_versioned_compute, split_project


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/compute/v2.1/abc123/os-aggregates", ("/compute/v2.1/os-aggregates", "abc123")),
        ("/compute/v2.1/a-b/os-aggregates/1/images", ("/compute/v2.1/os-aggregates/1/images", "a-b")),
        ("/compute/v2.1/os-aggregates/1", ("/compute/v2.1/os-aggregates/1", None)),
        ("/compute/v2.1/XYZ/os-aggregates", ("/compute/v2.1/XYZ/os-aggregates", None)),
        ("/compute/v2.1/abc/servers", ("/compute/v2.1/abc/servers", None)),
        ("/v1/abc/os-aggregates", ("/v1/abc/os-aggregates", None)),
    ],
)
def test_project_is_taken_out_of_paths_of_older_catalogues(path, expected):
    assert split_project(path) == expected


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/compute", "/compute/", "/compute/v2.1", "/compute/v2.1/"])
def test_version_documents_are_open(path):
    assert is_open(path)


@pytest.mark.parametrize("path", ["/v1/jobs", "/compute/v2.1/os-aggregates", "/compute/v2.1//", "/v2", "//"])
def test_everything_else_is_not(path):
    assert not is_open(path)


@pytest.mark.parametrize(
    ("path", "compute", "versioned"),
    [
        ("/compute", True, False),
        ("/compute/v2.1", True, True),
        ("/compute/v2.1/x", True, True),
        ("/compute/v2.10", True, False),
        ("/computer", False, False),
        ("/v1/compute", False, False),
    ],
)
def test_parts_of_the_address_space_end_at_slashes(path, compute, versioned):
    assert (is_compute(path), is_versioned_compute(path)) == (compute, versioned)
