"""Each refusal is a type with an HTTP status and a stable reason; the reason is also a metric label."""

from __future__ import annotations

from typing import ClassVar


class Rejection(Exception):
    """An image that is refused: what was wrong with it and what its sender can do."""

    reason: ClassVar[str]
    status: ClassVar[int]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def wire(self) -> dict[str, dict[str, str]]:
        """The JSON body of the answer."""
        return {"error": {"reason": self.reason, "message": self.message}}


class EmptyBody(Rejection):
    reason, status = "empty_body", 400


class NotAnImage(Rejection):
    reason, status = "not_an_image", 415


class UnsupportedFormat(Rejection):
    reason, status = "unsupported_format", 415


class TruncatedImage(Rejection):
    reason, status = "truncated_image", 422


class TooManyPixels(Rejection):
    reason, status = "too_many_pixels", 413


class TooLarge(Rejection):
    reason, status = "too_large", 413


class TooSmall(Rejection):
    reason, status = "too_small", 422


REJECTIONS: tuple[type[Rejection], ...] = (
    EmptyBody,
    NotAnImage,
    UnsupportedFormat,
    TruncatedImage,
    TooManyPixels,
    TooLarge,
    TooSmall,
)


class BundleError(Exception):
    """A bundle that must not be served; one line that names the file and what to do."""


class BackendError(Exception):
    """A backend that this machine cannot run; one line that says why and what to choose instead."""
