"""/v1/compare: lesions of one patient by rank, and the ugly duckling."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.comparison import Lesion, compare
from tests.gateway.conftest import Gateway
from tests.gateway.fake_torchserve import FakeTorchServe

STANDING = ("rank", "score", "distance", "score_difference")
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
    answer = ask(standing, *[b"IMAGE 0.05 1,0,0" + b" " * i for i in range(4)])
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


def test_a_file_that_is_sent_twice_makes_no_third_lesion(standing: Gateway) -> None:
    answer = ask(standing, ALIKE[0], b"IMAGE 0.6 0,0,1", ALIKE[0])
    assert answer["ugly_duckling"] is None
    assert "at least three" in answer["reason"]
    assert not any(lesion["ugly_duckling"] for lesion in answer["lesions"])


def test_a_file_that_is_sent_twice_stands_where_its_first_copy_stands_and_moves_no_other(standing: Gateway) -> None:
    odd = b"IMAGE 0.6 0,0,1"
    once = {lesion["index"]: lesion for lesion in ask(standing, *ALIKE, odd)["lesions"]}
    answer = ask(standing, *ALIKE, odd, odd, ALIKE[2], odd)
    assert [lesion["index"] for lesion in answer["lesions"]] == [3, 4, 6, 2, 5, 0, 1]
    assert answer["ugly_duckling"] == 3
    assert [lesion["index"] for lesion in answer["lesions"] if lesion["ugly_duckling"]] == [3]
    for lesion in answer["lesions"]:
        first = once[lesion["index"] if lesion["same_as"] is None else lesion["same_as"]]
        assert {key: lesion[key] for key in STANDING} == {key: first[key] for key in STANDING}


def test_a_file_that_is_sent_twice_is_analysed_once(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    before = torchserve.started
    ask(gateway, ALIKE[0], ALIKE[0], ALIKE[1])
    assert torchserve.started - before == 2


@pytest.mark.parametrize("request_", [{"content": b"%PDF"}, {"files": {"file": ("a.jpg", ALIKE[0])}}])
def test_one_file_is_no_comparison_and_the_answer_says_that_one_arrived(
    standing: Gateway, request_: dict[str, Any]
) -> None:
    answer = standing.http.post("/v1/compare", **request_)
    assert (answer.status_code, answer.json()["reason"]) == (422, "too_few_files")
    assert answer.json()["detail"].startswith("One file arrived.")


def alike(*scores: float) -> list[Lesion]:
    return [Lesion(index, score, [1.0, 0.0]) for index, score in enumerate(scores)]


def test_scores_are_compared_with_the_median_of_the_others() -> None:
    standings = compare(alike(0.9, 0.6, 0.0, 0.0)).standings
    assert [standings[index].score_difference for index in range(4)] == pytest.approx([0.9, 0.6, 0.6, 0.6])
    assert [standings[index].distance for index in range(4)] == [0.0] * 4


@pytest.mark.parametrize(("middle", "duckling"), [(0.32, 2), (0.35, None)])
def test_a_lesion_stands_out_from_a_quarter_more_than_the_next_on(middle: float, duckling: int | None) -> None:
    # Of 0, x and 1 the last lies 1 - x / 2 from the others and the first (1 + x) / 2: at a third a quarter less.
    assert compare(alike(0.0, middle, 1.0)).ugly_duckling == duckling


@given(st.lists(st.tuples(st.floats(0, 1), st.lists(st.floats(0, 1), min_size=3, max_size=3)), max_size=8))
def test_every_lesion_gets_one_rank_and_the_duckling_is_among_them(drawn: list[tuple[float, list[float]]]) -> None:
    lesions = [Lesion(index, score, features) for index, (score, features) in enumerate(drawn)]
    outcome = compare(lesions)
    assert sorted(standing.rank for standing in outcome.standings.values()) == list(range(1, len(lesions) + 1))
    assert outcome.ugly_duckling is None or outcome.ugly_duckling in outcome.standings
    assert all(standing.distance is None or 0 <= standing.distance <= 1 for standing in outcome.standings.values())
    assert outcome.reason
