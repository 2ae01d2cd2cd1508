"""Small disk images of every supported format: valid, unusual, and broken in every way."""
