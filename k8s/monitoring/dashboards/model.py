"""What the model says: scores against the reference, drift, abstention, rejections, outcomes."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from k8s.monitoring.dashboards.panels import MODEL, Panel, bars, chosen, frame, heat, number, rows, series

OUTCOMES = 'rate(lesion_predictions_total{namespace=~"$namespace"}[$__rate_interval])'
REFUSED = 'rate(gateway_images_total{namespace=~"$namespace", outcome="refused"}[$__rate_interval])'
SCORES = 'lesion_score_bucket{namespace=~"$namespace"}'
DRIFT = 'namespace:lesion_score:psi6h{namespace=~"$namespace"} and namespace:lesion_score:increase6h >= 500'
ABSTAINED = 'namespace:lesion_predictions_abstained:ratio_rate1h{namespace=~"$namespace"}'
CALM: tuple[tuple[float | None, str], ...] = ((None, "green"), (0.1, "orange"), (0.25, "red"))


def dashboard() -> Dashboard:
    """The dashboard Model."""
    return frame(
        "Model",
        "Are the images still those that the model was evaluated on?",
        {
            "Served": _served(),
            "Scores": _scores(),
            "Outcomes": _outcomes(),
        },
    )


def _served() -> list[Panel]:
    return [
        number(
            "Drift (PSI), 6 h",
            "short",
            f"max({DRIFT})",
            "Population stability index against the reference: above 0.25 another population. From 500 scores on.",
            steps=CALM,
            runbook="dermservescoresdrift",
        ),
        number(
            "Abstains, 1 h",
            "percentunit",
            f"max({ABSTAINED})",
            "Share of images for which the model declines to give a probability.",
            steps=((None, "green"), (0.2, "orange"), (0.3, "red")),
            runbook="dermserveabstains",
            decimals=1,
        ),
        number(
            "Scores, 6 h",
            "short",
            'sum(namespace:lesion_score:increase6h{namespace=~"$namespace"})',
            "How many probabilities the drift is computed from; below 500 it would be chance, and is not shown.",
            steps=((None, "orange"), (500, "green")),
            decimals=0,
        ),
        rows(
            "Models",
            f"count by (namespace, name, version, architecture, sha256) ({MODEL})",
            "Each model that was served within the hour, and by how many pods.",
            span=12,
            runbook="dermserveversionskew",
        ),
    ]


def _scores() -> list[Panel]:
    return [
        bars(
            "Scores against the reference",
            "percentunit",
            {
                "last six hours": 'avg by (bin) (namespace:lesion_score:share6h{namespace=~"$namespace"})',
                "reference": 'avg by (bin) (namespace:lesion_reference_score:share{namespace=~"$namespace"})',
            },
            "bin",
            "Share of the probabilities in each bin, beside that of the evaluation; of several namespaces their mean.",
            runbook="dermservescoresdrift",
        ),
        heat(
            "Scores over time",
            "percentunit",
            f"sum by (le) {chosen(f'increase({SCORES}[$__rate_interval])')}",
            "Calibrated probabilities of malignancy that were answered; abstentions have none.",
        ),
        series(
            "Drift (PSI)",
            "short",
            {"{{namespace}}": DRIFT},
            "Over six hours, from 500 scores on. 0.1 is worth a look, above 0.25 a ticket is opened.",
            runbook="dermservescoresdrift",
            steps=((None, "transparent"), (0.1, "orange"), (0.25, "red")),
            span=12,
        ),
        series(
            "Percentiles of the score",
            "percentunit",
            {
                f"p{share * 100:g}": f"histogram_quantile({share}, sum by (le) {chosen(f'rate({SCORES}[1h])')})"
                for share in (0.25, 0.5, 0.75, 0.95)
            },
            "Of the last hour, interpolated within TorchServe's fixed buckets.",
            span=12,
        ),
    ]


def _outcomes() -> list[Panel]:
    return [
        series(
            "Outcomes",
            "reqps",
            {"{{outcome}}": f"sum by (outcome) {chosen(OUTCOMES)}"},
            "Predictions a second.",
            stacked=True,
        ),
        series(
            "Abstention",
            "percentunit",
            {"{{namespace}}": ABSTAINED},
            "Share of predictions of the last hour.",
            runbook="dermserveabstains",
            steps=((None, "transparent"), (0.3, "red")),
        ),
        series(
            "Rejections",
            "reqps",
            {"{{reason}}": f"sum by (reason) {chosen(REFUSED)}"},
            "Images that the gateway or the handler refused, files in forms included, by reason.",
            runbook="dermserverejections",
        ),
    ]
