"""The embedded HTTP server: cheroot, with connections that hold a thread only while there is work for it."""
