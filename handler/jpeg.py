"""What a JPEG may make its reader do: a scan of a few bytes has it go over all the pixels once more."""

from __future__ import annotations

import re
from typing import NamedTuple

from PIL.JpegImagePlugin import MARKER as READ_BY_PILLOW
from PIL.JpegImagePlugin import SOF

from handler.errors import TruncatedImage, UnsupportedFormat

START_OF_SCAN = b"\xff\xda"
END_OF_IMAGE, FIRST_OF_SCAN = 0xD9, 0xDA
COEFFICIENT = 2
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
WITHOUT_LENGTH = (0x01, 0xD8)
# In a scan's data 0xff is followed by 0x00, or by one of eight restart markers.
MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
# Cameras and editors write ten or so. At fifty million pixels this many take a core two thirds of a second.
MOST_SCANS = 200
MOST_PIXELS_OF_ALL_SCANS = 10**9
# Pillow goes through all before the first scan in Python, a byte of filling at a time. A colour profile may take 255.
MOST_SEGMENTS = 1000
MOST_FILLING = 64 * 2**10
BEFORE_SCAN = re.compile(rb"\xff[^\x00\xff]").search
WITHOUT_CONTENT = frozenset(marker & 0xFF for marker, (_, _, read) in READ_BY_PILLOW.items() if read is None)
FRAMES = frozenset(marker & 0xFF for marker, (_, _, read) in READ_BY_PILLOW.items() if read is SOF)


class Header(NamedTuple):
    """What precedes the first scan."""

    components: int
    in_first_scan: int
    progressive: bool

    @property
    def kept_whole(self) -> bool:
        """Whether its reader must hold the coefficients of all components until the last scan."""
        return self.progressive or self.in_first_scan < self.components

    def kept(self, width: int, height: int) -> int:
        """The bytes of these coefficients."""
        return COEFFICIENT * self.components * width * height if self.kept_whole else 0

    def check_scans(self, data: bytes, width: int, height: int) -> None:
        """Raises UnsupportedFormat for more scans than an honest file of this size has."""
        if not self.kept_whole:
            # Its reader is done after the first.
            return
        most = min(MOST_SCANS, MOST_PIXELS_OF_ALL_SCANS // (width * height))
        # What follows the image, a film for instance, may contain the same bytes: they are counted exactly only then.
        if data.count(START_OF_SCAN) > most and _scans(data) > most:
            raise UnsupportedFormat(f"The JPEG has more than {most} scans. Save it as a baseline JPEG.")


def read_header(data: bytes) -> Header:
    """Goes from segment to segment as Pillow does; raises a Rejection for more of them than an honest file has."""
    position, filling, components, progressive = 2, 0, 0, False
    for _ in range(MOST_SEGMENTS):
        found = BEFORE_SCAN(data, position)
        if found is None:
            return Header(components, 0, progressive)
        content = found.end()
        marker = data[content - 1]
        filling += content - position - 2
        if filling > MOST_FILLING:
            raise UnsupportedFormat("The JPEG is filled up with bytes that mean nothing. Save it anew.")
        position = content
        if marker == FIRST_OF_SCAN:
            return Header(components, data[content + 2], progressive)
        if marker in WITHOUT_CONTENT:
            continue
        if marker in FRAMES:
            if components:
                raise TruncatedImage("The JPEG file is damaged: it begins twice. Save it anew.")
            components, progressive = data[content + 7], marker in PROGRESSIVE
        position += max(data[content] << 8 | data[content + 1], 2)
    raise UnsupportedFormat(f"The JPEG has more than {MOST_SEGMENTS} segments. Save it without its metadata.")


def _scans(data: bytes) -> int:
    count, position = 0, 2
    while (marker := MARKER.search(data, position)) and marker[1][0] != END_OF_IMAGE:
        position = marker.end()
        count += marker[1][0] == FIRST_OF_SCAN
        if marker[1][0] not in WITHOUT_LENGTH:
            position += int.from_bytes(data[position : position + 2])
    return count
