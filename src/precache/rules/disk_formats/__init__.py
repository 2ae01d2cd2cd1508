"""Finds in a disk image what qemu's drivers ignore: a parent, another file, data behind its end.

One file per format. All are pure functions over `Content`. They read a bounded number of bytes, and never raise for
the content of these. What qemu itself refuses is not checked here.
"""

from precache.rules.disk_formats.content import Content
from precache.rules.disk_formats.objections import cut_off, objection

__all__ = ["Content", "cut_off", "objection"]
