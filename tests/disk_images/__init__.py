"""Small disk images of every format that a cache takes: sound, odd, and broken in each way that a format can be."""
