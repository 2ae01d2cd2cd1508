"""What a disk image says of itself and qemu's drivers pass over: a parent, another file, data behind its end.

One file per format. All are pure functions over `Content`; they read a bounded number of bytes, whatever these say,
and never raise for what they read. What qemu itself refuses is not looked for a second time.
"""

from precache.rules.disk_formats.content import Content
from precache.rules.disk_formats.objections import cut_off, objection

__all__ = ["Content", "cut_off", "objection"]
