"""The same predictor behind Flask: gunicorn bench.peers.flask_app:app"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, request  # type: ignore[import-not-found]

from handler.errors import Rejection
from handler.predictor import Predictor

app = Flask(__name__)
predictor = Predictor.load(os.environ["BENCH_BUNDLE"], threads=1)


@app.post("/predictions/lesion")
def predict() -> tuple[dict[str, Any], int]:
    [answer] = predictor.predict([request.get_data()])
    return answer.wire(), answer.status if isinstance(answer, Rejection) else 200
