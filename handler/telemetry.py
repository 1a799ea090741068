"""Every metric that a worker emits, named once; metrics.yaml is tested against this list."""

from __future__ import annotations

from typing import Literal

PREDICTIONS = "lesion_predictions_total"
REJECTIONS = "lesion_rejections_total"
STAGE_SECONDS = "lesion_stage_seconds"
SCORE = "lesion_score"
BATCH_FILL = "lesion_batch_fill"

OUTCOME = "outcome"
REASON = "reason"
STAGE = "stage"

Stage = Literal["decode", "quality", "inference", "decision", "explain"]
STAGES: tuple[Stage, ...] = ("decode", "quality", "inference", "decision", "explain")
OUTCOMES = ("malignant", "benign", "abstain")

METRICS: dict[str, tuple[str, ...]] = {
    PREDICTIONS: (OUTCOME,),
    REJECTIONS: (REASON,),
    STAGE_SECONDS: (STAGE,),
    SCORE: (),
    BATCH_FILL: (),
}
