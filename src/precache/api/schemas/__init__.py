"""Validation of requests. The schemas are in `openapi.yaml`."""
