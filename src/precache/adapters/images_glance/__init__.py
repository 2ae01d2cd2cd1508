"""The image service by the Glance v2 API, through keystoneauth: a real Glance or the embedded image service.

Retries, limits and metrics are wrappers elsewhere. Writes no token into errors or logs.
"""

from precache.adapters.images_glance.client import RECORD_TIMEOUT, GlanceImages

__all__ = ["RECORD_TIMEOUT", "GlanceImages"]
