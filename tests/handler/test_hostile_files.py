"""Whatever the bytes are, the answer is a Rejection or a Prediction, within bounded memory."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handler.decode import Limits
from handler.errors import Rejection
from handler.predictor import Prediction, Predictor
from tests.handler.drawing import FILES

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning"),
]
QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MAGIC = [
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"RIFF\0\0\0\0WEBPVP8X",
    b"GIF8",
]
PICTURES = st.sampled_from(sorted(FILES.values()))
MOST_PIXELS = 2_000_000
MOST_GROWTH_KIB = 120_000


@pytest.fixture(scope="module")
def predictor(sigmoid_bundle: Path) -> Iterator[Predictor]:
    """Refuses above two million pixels, and must not have grown by more than their decoding can need."""
    strict = Predictor.load(sigmoid_bundle, "fp32", threads=1)
    strict.manifest = strict.manifest.model_copy(update={"limits": Limits(max_pixels=MOST_PIXELS)})
    strict.predict(list(FILES.values()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield strict
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH_KIB


def survives(predictor: Predictor, data: bytes) -> None:
    [answer] = predictor.predict([data])
    assert isinstance(answer, (Prediction, Rejection))
    if isinstance(answer, Rejection):
        assert 400 <= answer.status < 500
        assert answer.message
        assert "\n" not in answer.message


@QUICK
@given(data=st.binary(max_size=4000))
def test_arbitrary_bytes(predictor: Predictor, data: bytes) -> None:
    survives(predictor, data)


@QUICK
@given(magic=st.sampled_from(MAGIC), rest=st.binary(max_size=2000))
def test_arbitrary_bytes_that_look_like_an_image(predictor: Predictor, magic: bytes, rest: bytes) -> None:
    survives(predictor, magic + rest)


@QUICK
@given(data=PICTURES, share=st.floats(0, 1))
def test_truncated_files(predictor: Predictor, data: bytes, share: float) -> None:
    survives(predictor, data[: int(share * len(data))])


@QUICK
@given(data=PICTURES, flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=12))
def test_flipped_bits(predictor: Predictor, data: bytes, flips: list[tuple[float, int]]) -> None:
    survives(predictor, flipped(data, flips, len(data)))


@QUICK
@given(data=PICTURES, flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_in_the_header(predictor: Predictor, data: bytes, flips: list[tuple[float, int]]) -> None:
    survives(predictor, flipped(data, flips, 200))


def flipped(data: bytes, flips: list[tuple[float, int]], within: int) -> bytes:
    damaged = bytearray(data)
    for share, bit in flips:
        damaged[min(int(share * within), len(damaged) - 1)] ^= 1 << bit
    return bytes(damaged)
