"""Precache fills the image caches of compute hosts before instances boot from them."""
