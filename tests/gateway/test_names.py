"""What the Python client's results are called."""

from __future__ import annotations

import pytest

from gateway.client import Client
from tests.gateway.conftest import Gateway


@pytest.mark.parametrize(
    "name", ['a"b.jpg', "a/b", "left arm/ä.jpg", "..", "", "C:\\a.jpg", "a\nb", "\udcff.jpg", "x" * 400]
)
def test_results_have_the_names_that_the_images_were_given(standing: Gateway, name: str) -> None:
    images = {name: b"IMAGE 0.3 1,0", "other": b"IMAGE 0.1 1,0", "b.pdf": b"%PDF"}
    with Client(standing.url) as client:
        assert [answer.filename for answer in client.predict_many(images)] == [*images]
        assert [answer.filename for answer in client.predict_many({name: b"IMAGE"})] == [name]
        assert [answer.filename for answer in client.predict_many({name: b"%PDF"})] == [name]
        assert {lesion.index: lesion.filename for lesion in client.compare(images).lesions} == dict(enumerate(images))
