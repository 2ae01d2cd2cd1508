"""What the clients of OpenStack's HTTP APIs have in common; they stand on this and nothing else does."""

from precache.adapters.http.causes import innermost, is_hang_up
from precache.adapters.http.session import open_session
from precache.adapters.http.unreachable import why_unreachable

__all__ = ["innermost", "is_hang_up", "open_session", "why_unreachable"]
