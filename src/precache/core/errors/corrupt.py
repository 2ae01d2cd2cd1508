"""The received data is not what the image service announced."""

from precache.core.errors.tree import Corrupt


class DigestMismatch(Corrupt):
    """The data does not have the digest that the image service gave."""

    def __init__(self, image: str, expected: str, actual: str) -> None:
        super().__init__(f"Image {image}: the data does not match its digest: expected {expected}, got {actual}")


class NoImageData(Corrupt):
    """The image service has a record but no data."""

    def __init__(self, image: str) -> None:
        super().__init__(f"Image {image} has no associated data")


class ImageTooLong(Corrupt):
    """More bytes arrived than the image service had announced."""

    def __init__(self, image: str, expected_bytes: int) -> None:
        super().__init__(f"Image {image}: more than the announced {expected_bytes} bytes arrived")
