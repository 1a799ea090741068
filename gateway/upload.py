"""Images on their way through: the only place that keeps their bytes, so that they can be given back at once."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

from gateway.problems import Problem
from gateway.traffic import Traffic


class Upload:
    """An image as it came in, or the reason why it was not kept.

    Pass this on and not its content: whoever has it for longer, as tracebacks do until the garbage collector comes by,
    then keeps nothing. It grows in place; joining pieces would need the memory of two.
    """

    def __init__(self, filename: str | None = None, content: bytes = b"") -> None:
        self.filename = filename
        self.problem: Problem | None = None
        self._buffer = BytesIO()
        self.add(content)

    @property
    def content(self) -> bytes:
        return self._buffer.getvalue()

    @property
    def size(self) -> int:
        return self._buffer.tell()

    def add(self, piece: bytes | memoryview) -> None:
        self._buffer.write(piece)

    def forget(self) -> None:
        """Give the memory back."""
        self._buffer = BytesIO()


@dataclass
class Body:
    """What a request carried: one raw image, or the files of a form; `held` of what `traffic` counts is its own."""

    uploads: list[Upload]
    raw: bool
    held: int
    traffic: Traffic

    def swap(self, upload: Upload, answer: bytes) -> None:
        """Keep an image's answer in its place."""
        self._hold(len(answer) - upload.size)
        upload.forget()

    def forget(self) -> None:
        """Give the memory back."""
        for upload in self.uploads:
            upload.forget()
        self._hold(-self.held)

    def _hold(self, more: int) -> None:
        self.held += more
        self.traffic.bytes_held += more
