"""Protocols that belong to their callers; adapters and drivers implement them.

Unless a port says otherwise, its methods may be called from several threads at once, raise only errors of
`core/errors`, and take and return aware UTC instants.
"""
