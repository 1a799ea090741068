"""Every way a request can fail: one stable reason each, told as RFC 9457 problem+json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


Limit = Literal["in_flight", "arriving", "memory", "queue"]
"""What is full when the server is busy: places for requests or for uploads on their way, memory, TorchServe's queue."""

LIMITS: tuple[Limit, ...] = get_args(Limit)


@dataclass(frozen=True)
class Kind:
    """What a reason means: its status, a title for people, and what the caller can do."""

    status: int
    title: str
    advice: str


REFUSALS: dict[str, Kind] = {
    "empty_body": Kind(400, "No image in the request", "Send the image's bytes as the body, or as the field `file`."),
    "not_an_image": Kind(
        415,
        "Not an image",
        "Send the plain bytes of a JPEG, PNG or other image file: no base64, JSON, gzip, document or link.",
    ),
    "unsupported_format": Kind(415, "Image format not supported", "Save the image as JPEG or PNG and send that."),
    "truncated_image": Kind(422, "Image file is damaged", "The file ends early: copy or export it again."),
    "too_many_pixels": Kind(413, "Image has too many pixels", "Scale the image down and send it again."),
    "too_large": Kind(413, "Upload too large", "Send a smaller file, or fewer files in one request."),
    "too_small": Kind(422, "Image too small", "Send an image with more pixels of the lesion."),
}
"""The reasons with which the handler itself refuses an image."""

KINDS: dict[str, Kind] = {
    **REFUSALS,
    "too_many_files": Kind(413, "Too many files", "Split the images over several requests."),
    "too_few_files": Kind(422, "Too few images to compare", "Send two or more images of the same patient."),
    "malformed_upload": Kind(
        400, "Upload cannot be read", "Send multipart/form-data with the images in fields `file`."
    ),
    "malformed_request": Kind(
        400,
        "Request is not valid HTTP",
        "Send plain HTTP/1.1 to `http://`; leave https and HTTP/2 to a proxy before it.",
    ),
    "head_too_large": Kind(
        431, "Request headers too large", "Send at most 32 KiB of address and headers; drop cookies."
    ),
    "unauthorized": Kind(401, "API key needed", "Send `Authorization: Bearer <key>` with a valid key."),
    "forbidden": Kind(403, "Not allowed from here", "Call this address from the machine itself, without a proxy."),
    "not_found": Kind(404, "No such address", "See /docs for the addresses of this API."),
    "method_not_allowed": Kind(405, "Method not allowed", "Use a method named in the header `Allow`."),
    "unknown_method": Kind(501, "Method not known", "Send GET or POST, in capitals; see /docs for what goes where."),
    "slow_client": Kind(408, "Request came in too slowly", "Send the whole request faster, or a smaller image."),
    "rate_limited": Kind(429, "Rate limit of this API key reached", "Wait for the seconds in `Retry-After`."),
    "busy": Kind(429, "Server is busy", "Send the request again after the seconds in `Retry-After`."),
    "internal": Kind(500, "Error in the gateway", "Report it with the request id; trying again may help."),
    "prediction_failed": Kind(502, "Model server failed", "Report it with the request id; trying again may help."),
    "backend_unavailable": Kind(503, "Model server is not available", "Try again after `Retry-After`."),
    "shutting_down": Kind(503, "Server is stopping", "Send the request again; another instance will take it."),
    "backend_timeout": Kind(504, "Model server did not answer in time", "Try again later."),
}


class Problem(Exception):
    """A request that ends in an error: reason, status and a sentence on what was wrong and what to do."""

    def __init__(
        self,
        reason: str,
        detail: str | None = None,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        limit: Limit | None = None,
    ) -> None:
        kind = KINDS[reason]
        super().__init__(detail or kind.title)
        self.reason = reason
        self.status = status or kind.status
        self.title = kind.title
        self.detail = detail or f"{kind.title}. {kind.advice}"
        self.headers = dict(headers or {})
        self.limit = limit

    def document(self, request_id: str) -> dict[str, Any]:
        """The members of the problem+json object."""
        return {
            "type": f"/docs#{self.reason}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
            "request_id": request_id,
        }

    def response(self, request_id: str) -> Response:
        """The whole answer."""
        return Response(
            json.dumps(self.document(request_id), ensure_ascii=False).encode(),
            status_code=self.status,
            media_type=MEDIA_TYPE,
            headers={"cache-control": "no-store", **self.headers},
        )


def of_each_image(state: Mapping[str, Any], refusal: Problem | None) -> list[Problem]:
    """What a request's images met; one that was refused before its images were known is one image."""
    problems: list[Problem] = state.get("problems", [])
    if refusal and refusal not in problems:
        return [refusal] * int(state["note"].get("images", 1))
    return problems


def busy(limit: Limit, detail: str, retry_after_s: int) -> Problem:
    """A refusal that ends by itself."""
    return Problem(
        "busy",
        f"{detail} Send the request again in {retry_after_s} s.",
        headers={"retry-after": str(retry_after_s)},
        limit=limit,
    )
