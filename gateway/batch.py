"""Several images that a client asks about at once: what is sent, and what came back for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import fspath
from pathlib import Path
from typing import Any

from gateway.answers import ApiError, Comparison, Prediction

Image = bytes | Path
Images = Mapping[str, Image] | Sequence[Image]
# What a busy server says. It did not look at the image, so asking again may help.
BUSY = frozenset({429, 503})
# What is said of an image, and of a form with one image as its own answer.
OF_AN_IMAGE = frozenset(
    (
        *("empty_body", "not_an_image", "unsupported_format", "truncated_image"),
        *("too_many_pixels", "too_large", "too_small", "busy", "prediction_failed"),
    )
)


def content(image: Image) -> bytes:
    """The image's bytes; raises TypeError for a path that is only text."""
    if isinstance(image, Path):
        return image.read_bytes()
    if isinstance(image, bytes):
        return image
    advice = f": for a file, give Path({image!r})" if isinstance(image, str) else ""
    raise TypeError(f"an image is bytes or a pathlib.Path, not {type(image).__name__}{advice}")


class Batch:
    """Images with their names, and the answers so far. The names stay here: a form cannot carry every name as it is."""

    def __init__(self, images: Images) -> None:
        if isinstance(images, Mapping):
            named = list(images.items())
        else:
            named = [(image.name if isinstance(image, Path) else str(i), image) for i, image in enumerate(images)]
        self._files = [(fspath(name), content(image)) for name, image in named]
        self._answers: dict[int, Prediction | ApiError] = {}

    def left(self) -> list[int]:
        """Which have no answer yet, or found the server busy."""
        return [i for i in range(len(self._files)) if _is_open(self._answers.get(i))]

    def form(self) -> dict[str, Any]:
        """The request that asks about those."""
        return {"files": [("file", (str(i), self._files[i][1])) for i in self.left()]}

    def settle(self, document: dict[str, Any]) -> None:
        """Takes the answer to `form`."""
        entries = document.get("results", [document])
        self._answers.update({i: self._answer(i, entry) for i, entry in zip(self.left(), entries, strict=True)})

    def is_alone(self, error: ApiError) -> bool:
        """Whether a problem that was told of the whole form is that of the one image in it."""
        return len(self._files) == 1 and error.reason in OF_AN_IMAGE

    def refuse(self, error: ApiError) -> None:
        """Takes a problem that was told of the whole form."""
        for i in self.left():
            self._answers[i] = ApiError(error.status, error.problem, self._files[i][0])

    def answers(self) -> list[Prediction | ApiError]:
        """One an image, in order."""
        return [self._answers[i] for i in range(len(self._files))]

    def compared(self, document: dict[str, Any]) -> Comparison:
        """The answer to `form` where the images were compared."""
        comparison = Comparison.model_validate(document)
        named = [lesion.model_copy(update={"filename": self._files[lesion.index][0]}) for lesion in comparison.lesions]
        return comparison.model_copy(update={"lesions": named})

    def _answer(self, index: int, entry: dict[str, Any]) -> Prediction | ApiError:
        name = self._files[index][0]
        if "error" in entry:
            return ApiError(entry["error"]["status"], entry["error"], name)
        return Prediction.model_validate(entry).model_copy(update={"filename": name})


def _is_open(answer: Prediction | ApiError | None) -> bool:
    return answer is None or (isinstance(answer, ApiError) and answer.status in BUSY)
