"""The images of a request, read while its bytes arrive; nothing touches the disk."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from gateway.intake import Intake, too_large
from gateway.problems import Problem
from gateway.settings import Settings
from gateway.upload import Body, Upload

MULTIPART = b"multipart/form-data"
FIELDS = b"application/x-www-form-urlencoded"
FIELD = b"file"
MOST_OTHER_FIELDS = 64
LONGEST_HEADER = 8192
SEND_A_FORM = "Send multipart/form-data with the images in fields `file`, as `curl -F file=@image.jpg` does."


async def receive(request: Request, settings: Settings, intake: Intake) -> Body:
    """Read a request's images; who is done with them forgets them."""
    content_type, options = parse_options_header(request.headers.get("content-type"))
    largest = settings.max_request_bytes if content_type == MULTIPART else settings.max_image_bytes
    limit = min(largest, settings.max_bytes_in_memory)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    if content_type != MULTIPART:
        image = Upload()
        try:
            held = await intake.drink(request, limit, image.add)
        except BaseException:
            image.forget()
            raise
        image.problem = _curl_d(content_type, image)
        return Body([image], raw=True, held=held, traffic=intake.traffic)
    if not options.get(b"boundary"):
        raise Problem(
            "malformed_upload",
            "The header Content-Type names no boundary. Let the HTTP client write that header, as "
            "`curl -F file=@image.jpg` does, or send the image's plain bytes as the body.",
        )
    form = Form(options[b"boundary"], settings)
    held = 0
    try:
        held = await intake.drink(request, limit, form.feed)
        return Body(form.close(), raw=False, held=held, traffic=intake.traffic)
    except BaseException:
        intake.traffic.bytes_held -= held
        form.forget()
        raise


def _curl_d(content_type: bytes, image: Upload) -> Problem | None:
    """What `curl -d @file` leaves of a file: no CR, LF or NUL, without which there is no image of any format."""
    if content_type != FIELDS or not image.size or any(byte in image.content for byte in b"\r\n\0"):
        return None
    return Problem(
        "not_an_image",
        "These are form fields, or a file sent with `curl -d`, which leaves line breaks and zeros out and so damages "
        "images. Use `curl --data-binary @image.jpg`.",
    )


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
        try:
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
        except FormParserError as error:  # of the boundary
            raise _unreadable(error) from None

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _unreadable(error) from None

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


def _unreadable(error: FormParserError) -> Problem:
    return Problem("malformed_upload", f"{SEND_A_FORM} What was sent cannot be read: {error}")


def _clean(filename: bytes | None) -> str | None:
    if not filename:
        return None
    name = filename.decode("utf-8", "replace").replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(char for char in name if char.isprintable())[:255] or None
