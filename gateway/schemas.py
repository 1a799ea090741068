"""The JSON Schemas of what goes in and out, with the examples that the documentation shows."""

from __future__ import annotations

from typing import Any

from gateway.problems import KINDS, Problem

Schema = dict[str, Any]

NOTICE = (
    "Research use only. Not a medical device. A low score does not rule out skin cancer: "
    "do not diagnose, screen or decide on treatment with it, and show any changing lesion to a doctor."
)
SHA256 = "5f1d3c0b9a7e4826d1c5b3f09e8a7d6c4b2a190817263544f3e2d1c0b9a89786"
PREDICTION: Schema = {
    "label": "benign",
    "probability": 0.031,
    "threshold": 0.11,
    "sensitivity": 0.95,
    "reasons": [],
    "quality": {"sharpness": 0.8, "exposure": 0.9, "familiarity": 0.7},
    "model": {"name": "lesion", "version": "1.0", "sha256": SHA256},
    "notice": NOTICE,
}
ABSTENTION: Schema = {
    **PREDICTION,
    "label": "abstain",
    "probability": None,
    "reasons": ["blurred"],
    "quality": {"sharpness": 0.1, "exposure": 0.9, "familiarity": 0.6},
}
HEATMAP = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAA"
    "AfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
)
LEGEND = "Red marks where the model found what raised its score, relative to the rest of this image."
EXPLANATION: Schema = {**PREDICTION, "heatmap": HEATMAP, "legend": LEGEND}
REQUEST_ID = "5d41402abc4b2a76"


def problem(reason: str) -> Schema:
    """The example of one error."""
    return Problem(reason).document(REQUEST_ID)


MANY: Schema = {
    "results": [
        {"filename": "left-arm.jpg", **PREDICTION},
        {"filename": "letter.pdf", "error": problem("not_an_image")},
    ]
}


def _lesion(index: int, filename: str, score: float, rank: int, distance: float, difference: float) -> Schema:
    return {
        "index": index,
        "filename": filename,
        **EXPLANATION,
        "label": "malignant" if score >= 0.11 else "benign",
        "probability": score,
        "rank": rank,
        "score": score,
        "distance": distance,
        "score_difference": difference,
        "ugly_duckling": rank == 1,
        "same_as": None,
    }


COMPARISON: Schema = {
    "lesions": [
        _lesion(1, "back.jpg", 0.42, 1, 0.3127, 0.3845),
        _lesion(0, "left-arm.jpg", 0.04, 2, 0.1764, 0.189),
        _lesion(2, "leg.jpg", 0.031, 3, 0.1802, 0.199),
    ],
    "ugly_duckling": 1,
    "reason": "This lesion differs most from the others of the same patient, in appearance and score together.",
    "notice": NOTICE,
}
MODEL: Schema = {
    "manifest": {
        "name": "lesion",
        "version": "1.0",
        "architecture": "resnet18",
        "thresholds": [{"sensitivity": 0.95, "value": 0.11}],
        "report": {
            "test": {"reliability": [{"lower": 0.3, "upper": 0.4, "images": 66, "malignant": 12, "mean_score": 0.341}]}
        },
        "notice": NOTICE,
    },
    "card": "# Model card\n\nIntended use: research ...",
}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def ref(name: str) -> Schema:
    """The place of a schema in the document."""
    return {"$ref": f"#/components/schemas/{name}"}


SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
FILENAME: Schema = {"type": ["string", "null"], "description": "the name the file was sent under"}
RELIABILITY: Schema = {
    "type": "array",
    "items": _object(
        {
            "lower": SHARE,
            "upper": SHARE,
            "images": WHOLE,
            "malignant": WHOLE,
            "mean_score": {**SHARE, "type": ["number", "null"], "description": "null where there are no images"},
        }
    ),
    "description": "whether the scores held: of the test images with a score from `lower` to below `upper` (the last "
    "range holds 1 too), how many were malignant; older models do not tell",
}

SCHEMAS: dict[str, Schema] = {
    "Prediction": {
        **_object(
            {
                "label": {"enum": ["malignant", "benign", "abstain"], "description": "the decision at `threshold`"},
                "probability": {
                    **SHARE,
                    "type": ["number", "null"],
                    "description": "calibrated probability of malignancy; null when the model abstains",
                },
                "threshold": {**SHARE, "description": "from here on the label is malignant"},
                "sensitivity": {
                    **SHARE,
                    "description": "the sensitivity that the threshold was chosen for, on validation data; "
                    "`/v1/model` has what was measured",
                },
                "reasons": {"type": "array", "items": TEXT, "description": "why the model abstains"},
                "quality": {
                    "type": "object",
                    "additionalProperties": {"type": ["number", "null"]},
                    "description": "sharpness, exposure and familiarity of the image, 0 to 1",
                },
                "model": _object({"name": TEXT, "version": TEXT, "sha256": TEXT}),
                "notice": {**TEXT, "description": "show it wherever you show the number"},
            },
            {"classes": {"type": "object", "additionalProperties": SHARE, "description": "of a model of many classes"}},
        ),
        "examples": [PREDICTION, ABSTENTION],
    },
    "Explanation": {
        "allOf": [
            ref("Prediction"),
            _object(
                {},
                {
                    "heatmap": {**TEXT, "description": "class-activation map: a PNG as data URI"},
                    "legend": {**TEXT, "description": "what the map shows and what not; show it beside the map"},
                },
            ),
        ],
        "examples": [EXPLANATION],
    },
    "Failure": _object({"filename": FILENAME, "error": ref("Problem")}),
    "Results": {
        **_object(
            {
                "results": {
                    "type": "array",
                    "description": "one entry a file, in the order of the request",
                    "items": {
                        "anyOf": [
                            {"allOf": [ref("Explanation"), _object({"filename": FILENAME})]},
                            ref("Failure"),
                        ]
                    },
                }
            }
        ),
        "examples": [MANY],
    },
    "ComparedLesion": _object(
        {
            "index": {**WHOLE, "description": "place in the request, from 0"},
            "filename": FILENAME,
            "rank": {"type": ["integer", "null"], "description": "1 is the highest score; null: not analysable"},
            "score": {**SHARE, "type": ["number", "null"]},
            "distance": {
                "type": ["number", "null"],
                "description": "mean cosine distance of its features from those of the other lesions",
            },
            "score_difference": {
                "type": ["number", "null"],
                "description": "distance of its score from the median score of the other lesions",
            },
            "ugly_duckling": {"type": "boolean"},
            "same_as": {
                "type": ["integer", "null"],
                "description": "index of the first image that is the same file: both are one lesion, with one rank and "
                "distance, and only the first can be the ugly duckling",
            },
        }
    ),
    "Comparison": {
        **_object(
            {
                "lesions": {
                    "type": "array",
                    "description": "by rank",
                    "items": {
                        "allOf": [ref("ComparedLesion"), {"anyOf": [ref("Explanation"), ref("Failure")]}],
                    },
                },
                "ugly_duckling": {
                    "type": ["integer", "null"],
                    "description": "index of the lesion whose distance and score difference together are more than "
                    "1.25 times those of any other; null if there is none, or fewer than three different images can be "
                    "analysed",
                },
                "reason": {**TEXT, "description": "why this lesion, or why none"},
                "notice": {"type": ["string", "null"]},
            }
        ),
        "examples": [COMPARISON],
    },
    "Model": {
        **_object(
            {
                "manifest": {
                    "type": "object",
                    "description": "the bundle's manifest; each of its `thresholds` names the sensitivity that it was "
                    "chosen for, on validation data, and `report.test` what was measured on held-out images",
                    "properties": {"report": _object({}, {"test": _object({}, {"reliability": RELIABILITY})})},
                },
                "card": {**TEXT, "description": "the model card, Markdown"},
            }
        ),
        "examples": [MODEL],
    },
    "Readiness": _object(
        {
            "ready": {"type": "boolean"},
            "checks": {"type": "object", "additionalProperties": {"type": "boolean"}},
        }
    ),
    "Drained": _object({"drained": {"type": "boolean"}, "in_flight": WHOLE}),
    "Problem": {
        **_object(
            {
                "type": {"type": "string", "format": "uri-reference", "description": "where the reason is explained"},
                "title": TEXT,
                "status": {"type": "integer"},
                "detail": {**TEXT, "description": "what was wrong and what to do"},
                "reason": {"enum": list(KINDS), "description": "stable; decide by this"},
                "request_id": TEXT,
            }
        ),
        "description": "RFC 9457 problem details",
        "examples": [problem("not_an_image")],
    },
}
