"""Takes request bodies in: limits hold while the bytes arrive, and nothing touches the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from gateway.problems import Problem, busy
from gateway.settings import Settings
from gateway.traffic import Traffic
from gateway.upload import Body, Upload

MULTIPART = b"multipart/form-data"
FIELDS = b"application/x-www-form-urlencoded"
FIELD = b"file"
MOST_OTHER_FIELDS = 64
LONGEST_HEADER = 8192
SEND_A_FORM = "Send multipart/form-data with the images in fields `file`, as `curl -F file=@image.jpg` does."


class ClientGone(Exception):
    """The client hung up before its request was answered."""


async def receive(request: Request, settings: Settings, traffic: Traffic) -> Body:
    """Read a request's images; who is done with them forgets them."""
    content_type, options = parse_options_header(request.headers.get("content-type"))
    limit = settings.max_request_bytes if content_type == MULTIPART else settings.max_image_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    if content_type != MULTIPART:
        image = Upload()
        try:
            held = await _drink(request, settings, traffic, limit, image.add)
        except BaseException:
            image.forget()
            raise
        image.problem = _curl_d(content_type, image)
        return Body([image], raw=True, held=held, traffic=traffic)
    if not options.get(b"boundary"):
        raise Problem(
            "malformed_upload",
            "The header Content-Type names no boundary. Let the HTTP client write that header, as "
            "`curl -F file=@image.jpg` does, or send the image's plain bytes as the body.",
        )
    form = Form(options[b"boundary"], settings)
    held = 0
    try:
        held = await _drink(request, settings, traffic, limit, form.feed)
        return Body(form.close(), raw=False, held=held, traffic=traffic)
    except BaseException:
        traffic.bytes_held -= held
        form.forget()
        raise


def too_large(limit: int) -> Problem:
    """More bytes than `limit`."""
    return Problem(
        "too_large", f"The upload is larger than {limit / 2**20:.4g} MiB. Send a smaller file or fewer files."
    )


def _curl_d(content_type: bytes, image: Upload) -> Problem | None:
    """What `curl -d @file` leaves of a file: no CR, LF or NUL, without which there is no image of any format."""
    if content_type != FIELDS or not image.size or any(byte in image.content for byte in b"\r\n\0"):
        return None
    return Problem(
        "not_an_image",
        "These are form fields, or a file sent with `curl -d`, which leaves line breaks and zeros out and so damages "
        "images. Use `curl --data-binary @image.jpg`.",
    )


async def _drink(
    request: Request, settings: Settings, traffic: Traffic, limit: int, take: Callable[[bytes], object]
) -> int:
    now = asyncio.get_running_loop().time
    end = now() + settings.body_timeout_s
    size = 0
    try:
        async with asyncio.timeout(settings.body_idle_timeout_s) as patience:
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(chunk)
                traffic.bytes_held += len(chunk)
                if size > limit:
                    raise too_large(limit)
                if traffic.bytes_held > settings.max_bytes_in_memory:
                    raise busy("memory", "The server holds as many uploads as it can.", settings.retry_after_s)
                take(chunk)
                if more:
                    patience.reschedule(min(now() + settings.body_idle_timeout_s, end))
    except BaseException as error:
        traffic.bytes_held -= size
        if isinstance(error, TimeoutError):
            raise Problem(
                "slow_client",
                f"The body paused for {settings.body_idle_timeout_s:g} s or took over {settings.body_timeout_s:g} s. "
                "Send it without pauses, over a faster connection, or send a smaller image.",
                headers={"connection": "close"},
            ) from None
        raise
    return size


class Form:
    """A multipart form read piece by piece; only its fields `file` are kept."""

    def __init__(self, boundary: bytes, settings: Settings) -> None:
        self._settings = settings
        self._uploads: list[Upload] = []
        self._fields = 0
        self._header = [b"", b""]
        self._disposition = b""
        self._current: Upload | None = None
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise Problem("malformed_upload", f"{SEND_A_FORM} What was sent cannot be read: {error}") from None

    def close(self) -> list[Upload]:
        """The files of the form, in order."""
        if not self._ended:
            raise Problem(
                "malformed_upload",
                "The form ends before its last boundary, so the upload was cut short. Send the whole of it again.",
            )
        if not self._uploads:
            raise Problem("empty_body", "The form has no file. Send each image in a field named `file`.")
        return self._uploads

    def forget(self) -> None:
        """Give the memory back, of a form that was not read to its end as well."""
        for upload in self._uploads:
            upload.forget()

    def _on_part_begin(self) -> None:
        self._fields += 1
        if self._fields > self._settings.max_files + MOST_OTHER_FIELDS:
            raise Problem("malformed_upload", "The form has too many fields. Send only fields `file`.")
        self._disposition = b""
        self._current = None

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]
        self._limit_header()

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]
        self._limit_header()

    def _limit_header(self) -> None:
        if len(self._header[0]) + len(self._header[1]) > LONGEST_HEADER:
            raise Problem(
                "malformed_upload",
                f"A header within the form is longer than {LONGEST_HEADER} bytes. Shorten the file names.",
            )

    def _on_header_end(self) -> None:
        if self._header[0].lower() == b"content-disposition":
            self._disposition = self._header[1]
        self._header = [b"", b""]

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != FIELD:
            return
        if len(self._uploads) >= self._settings.max_files:
            raise Problem(
                "too_many_files", f"One request takes {self._settings.max_files} files. Send the rest in another."
            )
        self._current = Upload(_clean(options.get(b"filename")))
        self._uploads.append(self._current)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        upload = self._current
        if upload is None or upload.problem:
            return
        if upload.size + end - start > self._settings.max_image_bytes:
            upload.problem = too_large(self._settings.max_image_bytes)
            upload.forget()
        else:
            upload.add(memoryview(data)[start:end])

    def _on_part_end(self) -> None:
        upload = self._current
        if upload and not upload.size and not upload.problem:
            upload.problem = Problem("empty_body", "The file is empty. Choose the image again.")

    def _on_end(self) -> None:
        self._ended = True


def _clean(filename: bytes | None) -> str | None:
    if not filename:
        return None
    name = filename.decode("utf-8", "replace").replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(char for char in name if char.isprintable())[:255] or None
