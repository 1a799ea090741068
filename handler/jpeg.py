"""What a JPEG may make its reader do: a scan of a few bytes has it go over all the pixels once more."""

from __future__ import annotations

import re

from handler.errors import UnsupportedFormat

START_OF_SCAN = b"\xff\xda"
END_OF_IMAGE, FIRST_OF_SCAN = 0xD9, 0xDA
WITHOUT_LENGTH = (0x01, 0xD8)
# In a scan's data 0xff is followed by 0x00, or by one of eight restart markers.
MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
# Cameras and editors write ten or so. At fifty million pixels this many take a core two thirds of a second.
MOST_SCANS = 200
MOST_PIXELS_OF_ALL_SCANS = 10**9


def check_scans(data: bytes, width: int, height: int) -> None:
    """Raises UnsupportedFormat for more scans than an honest file of this size has."""
    most = min(MOST_SCANS, MOST_PIXELS_OF_ALL_SCANS // (width * height))
    # What follows the image, a film for instance, may contain the same two bytes: they are counted exactly only then.
    if data.count(START_OF_SCAN) > most and _scans(data) > most:
        raise UnsupportedFormat(f"The JPEG has more than {most} scans. Save it as a baseline JPEG.")


def _scans(data: bytes) -> int:
    count, position = 0, 2
    while (marker := MARKER.search(data, position)) and marker[1][0] != END_OF_IMAGE:
        position = marker.end()
        count += marker[1][0] == FIRST_OF_SCAN
        if marker[1][0] not in WITHOUT_LENGTH:
            position += int.from_bytes(data[position : position + 2])
    return count
