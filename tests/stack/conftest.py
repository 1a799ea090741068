from __future__ import annotations

from pathlib import Path

import pytest

from handler.predictor import Predictor


@pytest.fixture(scope="session")
def predictor(bundle: Path) -> Predictor:
    """The bundle of the archive, without a server."""
    return Predictor.load(bundle, threads=1)
