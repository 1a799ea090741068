"""How much memory a decode takes at once, and the pixels that an image of its kind may therefore have."""

from __future__ import annotations

from PIL import Image

from handler.errors import TooManyPixels

# Pillow's own storage: colours take four bytes whatever their number, of which a page of RGB is one more copy.
STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
COLOURS = 4
# Grey of 16 bits beside its page needs six. At fifty million pixels it is 298 MiB.
MOST_BYTES_A_PIXEL = 6.25


def stored(image: Image.Image) -> int:
    """The bytes of its pixels as Pillow holds them."""
    return STORED.get(image.mode, COLOURS) * image.width * image.height


def check(image: Image.Image, size: tuple[int, int], beside: int, turned: bool, max_pixels: int) -> None:
    """Raises TooManyPixels where an image of `size`, decoded to `image`, takes too much.

    `beside` is what its decoder holds besides the pixels, and lets go of before the page is made.
    """
    pixels = size[0] * size[1]
    paged = turned or image.mode != "RGB" or image.has_transparency_data
    needed = stored(image) + max(beside, paged * COLOURS * image.width * image.height)
    most = int(MOST_BYTES_A_PIXEL * max_pixels)
    if needed > most:
        limit = most * pixels // needed
        raise TooManyPixels(
            f"The image is {size[0]} x {size[1]}, the limit for its kind is {limit:,} pixels. Send a smaller one."
        )
