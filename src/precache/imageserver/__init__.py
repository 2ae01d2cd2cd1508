"""The embedded image service: a directory of image files, served over the reading part of the Glance v2 API.

For one machine, demonstrations and sites without Glance. Knows HTTP and files; nothing of jobs, hosts or caches.
"""

from precache.imageserver.app import create_image_app, refer_to
from precache.imageserver.library import ImageLibrary
from precache.imageserver.request_log import RequestLog

__all__ = ["ImageLibrary", "RequestLog", "create_image_app", "refer_to"]
