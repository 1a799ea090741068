"""/v1/compare: lesions of one patient by rank, and the ugly duckling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.comparison import Lesion, compare
from tests.gateway.conftest import Gateway

ALIKE = [b"IMAGE 0.05 1,0,0", b"IMAGE 0.04 1,0.1,0", b"IMAGE 0.06 1,0,0.1"]


def ask(gateway: Gateway, *images: bytes) -> dict:  # type: ignore[type-arg]
    answer = gateway.http.post("/v1/compare", files=[("file", (f"{i}.jpg", image)) for i, image in enumerate(images)])
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_the_lesion_that_differs_is_the_ugly_duckling(standing: Gateway) -> None:
    answer = ask(standing, *ALIKE, b"IMAGE 0.6 0,0,1")
    assert answer["ugly_duckling"] == 3
    assert [lesion["index"] for lesion in answer["lesions"]] == [3, 2, 0, 1]
    assert [lesion["rank"] for lesion in answer["lesions"]] == [1, 2, 3, 4]
    first = answer["lesions"][0]
    assert first["ugly_duckling"] is True
    assert first["score"] == 0.6
    assert first["distance"] > 0.9
    assert first["score_difference"] == pytest.approx(0.55)
    assert first["notice"] == answer["notice"]
    assert "features" not in first


def test_lesions_that_are_all_alike_have_no_ugly_duckling(standing: Gateway) -> None:
    answer = ask(standing, *[b"IMAGE 0.05 1,0,0"] * 4)
    assert answer["ugly_duckling"] is None
    assert "No lesion differs" in answer["reason"]


def test_fewer_than_three_analysable_lesions_are_ranked_and_told_why(standing: Gateway) -> None:
    answer = ask(standing, ALIKE[0], b"%PDF", b"IMAGE 0.6 0,0,1", b"IMAGE abstain 0,1,0")
    assert answer["ugly_duckling"] is None
    assert "at least three" in answer["reason"]
    assert [lesion["rank"] for lesion in answer["lesions"]] == [1, 2, None, None]
    assert answer["lesions"][2]["error"]["reason"] == "not_an_image"
    assert answer["lesions"][3]["label"] == "abstain"


def test_a_file_that_is_sent_twice_is_marked(standing: Gateway) -> None:
    answer = ask(standing, ALIKE[0], ALIKE[1], ALIKE[0], b"", b"")
    same = {row["index"]: row["same_as"] for row in answer["lesions"]}
    assert same == {0: None, 1: None, 2: 0, 3: None, 4: None}


def test_one_image_is_no_comparison(standing: Gateway) -> None:
    answer = standing.http.post("/v1/compare", files={"file": ("a.jpg", ALIKE[0])})
    assert (answer.status_code, answer.json()["reason"]) == (422, "too_few_files")


@given(st.lists(st.tuples(st.floats(0, 1), st.lists(st.floats(0, 1), min_size=3, max_size=3)), max_size=8))
def test_every_lesion_gets_one_rank_and_the_duckling_is_among_them(drawn: list[tuple[float, list[float]]]) -> None:
    lesions = [Lesion(index, score, features) for index, (score, features) in enumerate(drawn)]
    outcome = compare(lesions)
    assert sorted(standing.rank for standing in outcome.standings.values()) == list(range(1, len(lesions) + 1))
    assert outcome.ugly_duckling is None or outcome.ugly_duckling in outcome.standings
    assert all(standing.distance is None or 0 <= standing.distance <= 1 for standing in outcome.standings.values())
    assert outcome.reason
