"""Finds in a disk image what qemu's drivers ignore: a parent, another file, data beyond its end.

One file per format. All are pure functions over `Content`. They read a bounded number of bytes, and never raise for
the content of these. What qemu itself refuses is not checked here.
"""

from precache.rules.disk_formats.completeness import is_truncated, why_unusable
from precache.rules.disk_formats.content import Content

__all__ = ["Content", "is_truncated", "why_unusable"]
