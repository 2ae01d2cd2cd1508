"""A reader of VMDK streamOptimized while it arrives: compressed grains, each with its place before it.

Pure: no file, thread or clock. Sources: VMware's Virtual Disk Format 5.0; qemu's block/vmdk.c, which alone decides what
the disk of an image is.
"""

from precache.fetch.vmdk.header import stand_in_end
from precache.fetch.vmdk.reader import VmdkReader

__all__ = ["VmdkReader", "stand_in_end"]
