"""What we need from the world, said by those who need it. Protocols only; adapters and drivers fulfil them.

Unless a port says otherwise its methods may be called from several threads at once, raise only errors of
`core/errors`, and take and give aware UTC instants.
"""
