"""A qcow2 read while it arrives: pure, from the bytes of the image to placements on the disk."""
