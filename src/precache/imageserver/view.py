"""An image of the library as a record of the Glance v2 API."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from precache.imageserver.records import LibraryImage, printable


def image_record(image: LibraryImage) -> dict[str, Any]:
    """Return the record. Links are relative to the root of the service, as Glance's are: clients put their
    endpoint before them."""
    facts, has_content = image.facts, image.has_data or not image.fingerprint.size_bytes
    changed = datetime.fromtimestamp(image.fingerprint.mtime_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    record: dict[str, Any] = {
        "id": image.id,
        "name": PurePath(printable(image.file_name)).stem,
        "status": image.status,
        "visibility": "public",
        "protected": False,
        "os_hidden": False,
        "owner": None,
        "tags": [],
        "min_disk": 0,
        "min_ram": 0,
        "disk_format": facts.disk_format,
        "container_format": "bare",
        "size": image.fingerprint.size_bytes if has_content else None,
        "virtual_size": facts.virtual_size_bytes if has_content else None,
        "checksum": facts.md5 if has_content else None,
        "os_hash_algo": "sha512" if has_content else None,
        "os_hash_value": facts.sha512 if has_content else None,
        "created_at": changed,
        "updated_at": changed,
        "self": f"/v2/images/{image.id}",
        "file": f"/v2/images/{image.id}/file",
        "schema": "/v2/schemas/image",
    }
    return record | dict(image.overrides)
