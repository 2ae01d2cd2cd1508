"""Limits, enforced by the kernel, of what a tool that reads untrusted files may open, call and use.

Nothing here knows the tool. The rules are made in the process that starts it and take effect in the child between
fork and exec.
"""

from precache.sandbox.sandbox import Needs, Sandbox

__all__ = ["Needs", "Sandbox"]
