"""Splits keep lesions and patients whole, and say so when one does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_module import splits
from lightning_module.datasets import Table, load, synthetic


def table_of(**columns: object) -> Table:
    size = len(next(iter(columns.values())))  # type: ignore[arg-type]
    given_columns = {
        "path": [f"{row}.jpg" for row in range(size)],
        "diagnosis": "nv",
        "malignant": False,
        **columns,
    }
    return Table.of(given_columns, root=Path("drawn"), layout="drawn", licence="none")


@pytest.fixture(scope="module")
def many() -> Table:
    rng = np.random.default_rng(0)
    lesion = np.repeat(np.arange(400), rng.integers(1, 4, 400))
    diagnosis = np.asarray(["nv", "nv", "nv", "mel", "bkl", "df"])[lesion % 6]
    return table_of(lesion=[f"L{i}" for i in lesion], diagnosis=diagnosis, malignant=diagnosis == "mel")


def test_a_split_uses_every_row_once_and_leaks_nothing(many: Table) -> None:
    split = splits.grouped(many)
    assert sorted(np.concatenate(list(split.parts().values()))) == list(range(len(many)))
    owners = [set(many.frame["lesion"].iloc[rows]) for rows in split.parts().values()]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]


@pytest.mark.parametrize(("test", "val"), [(0.15, 0.15), (0.2, 0.1), (0.3, 0.2), (0.0, 0.2)])
def test_shares_and_strata_are_met(many: Table, test: float, val: float) -> None:
    split = splits.grouped(many, test=test, val=val)
    assert len(split.test) / len(many) == pytest.approx(test, abs=0.03)
    assert len(split.val) / len(many) == pytest.approx(val, abs=0.03)
    overall = many.frame["diagnosis"].value_counts(normalize=True)
    for rows in split.parts().values():
        if len(rows):
            part = many.frame["diagnosis"].iloc[rows].value_counts(normalize=True)
            assert (part - overall).abs().max() < 0.05


def test_the_seed_decides(many: Table) -> None:
    first, again, other = (splits.grouped(many, seed=seed).test.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_folds_share_one_untouched_test_part(many: Table) -> None:
    folds = splits.kfold(many, folds=4, seed=3)
    reserved = splits.grouped(many, seed=3).test
    held = np.concatenate([fold.val for fold in folds])
    assert all(np.array_equal(fold.test, reserved) for fold in folds)
    assert sorted([*held, *reserved]) == list(range(len(many)))
    for fold in folds:
        splits.assert_no_leak(many, fold)


def test_a_patient_binds_lesions_and_a_lesion_binds_patients() -> None:
    table = table_of(lesion=["a", "a", "b", None, "c", None], patient=[None, "p", "p", "p", "q", None])
    ids = splits.group_ids(table.frame)
    assert len(set(ids[:4])) == 1
    assert len(set(ids)) == 3


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 15), st.booleans()), min_size=40, max_size=120))
def test_no_table_is_split_through_a_group(rows: list[tuple[int, int, bool]]) -> None:
    rows += [(1000 + i, 1000 + i, i % 2 == 0) for i in range(20)]
    table = table_of(
        lesion=[None if lesion % 5 == 0 else f"L{lesion}" for lesion, _, _ in rows],
        patient=[None if patient % 4 == 0 else f"P{patient}" for _, patient, _ in rows],
        malignant=[malignant for *_, malignant in rows],
    )
    split = splits.grouped(table)
    splits.assert_no_leak(table, split)
    assert sum(len(part) for part in split.parts().values()) == len(table)


@pytest.mark.parametrize("column", ["lesion", "patient"])
def test_a_cut_group_is_an_error_that_names_it(column: str) -> None:
    table = table_of(**{column: ["one", "two", "two", "three"]})
    cut = splits.Split(np.array([0, 1]), np.array([2]), np.array([3]))
    with pytest.raises(splits.LeakError, match=rf"cuts through 1 {column}s: {column} two lies in train and val"):
        splits.assert_no_leak(table, cut)


def test_a_row_used_twice_is_an_error() -> None:
    table = table_of(lesion=["one", "two", "three"])
    with pytest.raises(splits.LeakError, match="1 rows are used twice, for example row 1"):
        splits.assert_no_leak(table, splits.Split(np.array([0, 1]), np.array([1]), np.array([2])))


def test_published_split_folders_stay_as_they_are(tmp_path: Path) -> None:
    table = load(synthetic.render(tmp_path / "classes", 40, layout="class_folders", size=(32, 32)))
    split = splits.grouped(table)
    for name, rows in split.parts().items():
        assert set(table.frame["split"].iloc[rows]) == {name}
    assert np.array_equal(splits.kfold(table, folds=3)[0].test, split.test)


def test_what_is_not_published_is_cut_from_the_training_part() -> None:
    table = table_of(split=["train"] * 30 + ["test"] * 10, malignant=[True, False] * 20)
    split = splits.grouped(table)
    assert split.test.tolist() == list(range(30, 40))
    assert 0 < len(split.val) < 10


def test_too_few_groups_are_said() -> None:
    with pytest.raises(ValueError, match="1 lesions or patients cannot make"):
        splits.grouped(table_of(patient=["p"] * 10))


def test_a_share_beyond_half_is_refused(many: Table) -> None:
    with pytest.raises(ValueError, match=r"share of 0\.8"):
        splits.grouped(many, test=0.8)


def test_one_image_a_lesion() -> None:
    table = table_of(lesion=["a", "a", "a", "b", None, None])
    chosen = splits.one_image_a_lesion(table, np.arange(6), seed=1)
    assert table.frame["lesion"].iloc[chosen].fillna("?").tolist().count("a") == 1
    assert chosen[-3:].tolist() == [3, 4, 5]
    picks = {int(splits.one_image_a_lesion(table, np.arange(6), seed=seed)[0]) for seed in range(20)}
    assert picks == {0, 1, 2}


def test_undersampling_spares_the_minority() -> None:
    table = table_of(
        patient=["p"] * 8 + ["q"] * 4 + [None] * 2,
        site=["back"] * 5 + ["face"] * 3 + ["back"] * 6,
        malignant=[True, True] + [False] * 12,
    )
    chosen = splits.undersampled(table, np.arange(14))
    kept = table.frame.iloc[chosen]
    assert {0, 1} <= set(chosen)
    benign = kept[~kept["malignant"]]
    assert benign.groupby(["patient", "site"]).size().tolist() == [1, 1, 1]
    assert {12, 13} <= set(chosen)
    assert len(splits.undersampled(table, np.arange(14), per_site=3)) == 2 + 3 + 3 + 3 + 2


def test_weights_draw_benign_and_malignant_equally_often() -> None:
    table = table_of(malignant=[True] + [False] * 9)
    weights = splits.sampling_weights(table, np.arange(10))
    assert weights[0] == pytest.approx(weights[1:].sum())


def test_published_validation_images_take_part_in_cross_validation() -> None:
    table = table_of(split=["train"] * 30 + ["val"] * 10 + ["test"] * 10, malignant=[True, False] * 25)
    folds = splits.kfold(table, folds=4)
    assert sorted(np.concatenate([fold.val for fold in folds])) == list(range(40))
    assert all(len(fold.train) + len(fold.val) == 40 for fold in folds)


def test_undersampling_counts_by_patient_where_lesions_are_named_too() -> None:
    table = table_of(
        patient=["p"] * 4 + [None] * 4,
        lesion=["a", "b", "c", "d", "e", "e", "f", "f"],
        site=["back"] * 8,
        malignant=[True] + [False] * 7,
    )
    kept = table.frame.iloc[splits.undersampled(table, np.arange(8))]
    assert kept["malignant"].sum() == 1
    benign = kept[~kept["malignant"]]
    assert benign["patient"].fillna("unknown").tolist().count("p") == 1
    assert sorted(benign["lesion"][benign["patient"].isna()]) == ["e", "f"]
