"""What users get: traffic, errors, latency, saturation, and where the time goes."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from k8s.monitoring.dashboards.panels import API, Panel, chosen, frame, heat, number, series

REQUESTS = f'rate(gateway_requests_total{{namespace=~"$namespace", {API}}}[$__rate_interval])'
PROBLEMS = 'rate(gateway_problems_total{namespace=~"$namespace"}[$__rate_interval])'
BUCKETS = 'gateway_answer_seconds_bucket{namespace=~"$namespace", route="/v1/predict"}'
STAGES = 'lesion_stage_seconds_{part}{{namespace=~"$namespace"}}'
FAILED = 'namespace:gateway_images_failed:ratio_rate{window}{{namespace=~"$namespace"}}'
SLOW = 'namespace:gateway_answers_slow:ratio_rate{window}{{namespace=~"$namespace"}}'
WINDOWS = ("5m", "1h", "6h")


def dashboard() -> Dashboard:
    """The dashboard Service."""
    return frame(
        "Service",
        "Is the endpoint keeping its promises, and if not, where is the time going?",
        {
            "Objectives: 99.9 % answered, 99 % of predictions within 250 ms": _objectives(),
            "Traffic and errors": _traffic(),
            "Latency": _latency(),
            "Saturation": _saturation(),
        },
    )


def _objectives() -> list[Panel]:
    goal = ((None, "red"), (0.999, "green"))
    swift = ((None, "red"), (0.99, "green"))
    return [
        number(
            "Answered, 3 days",
            "percentunit",
            f"1 - max({FAILED.format(window='3d')})",
            "Of the images that were not refused, those that have an answer, in the worst namespace.",
            steps=goal,
            runbook="dermserveavailabilitybudgetshrinks",
            decimals=3,
        ),
        number(
            "Within 250 ms, 3 days",
            "percentunit",
            f"1 - max({SLOW.format(window='3d')})",
            "Predictions answered within 250 ms of the end of their upload, in the worst namespace.",
            steps=swift,
            runbook="dermservelatencybudgetshrinks",
            decimals=3,
        ),
        number(
            "Alerts firing",
            "short",
            'sum(ALERTS{alertname=~"Dermserve.*", alertstate="firing", namespace=~"$namespace"}) or vector(0)',
            "Each has a runbook.",
            steps=((None, "green"), (1, "red")),
            runbook="how-to-use-this-page",
            decimals=0,
        ),
        series(
            "Burn rate",
            "short",
            {
                **{f"failed, {w}": f"max({FAILED.format(window=w)}) / 0.001" for w in WINDOWS},
                **{f"slow, {w}": f"max({SLOW.format(window=w)}) / 0.01" for w in WINDOWS},
            },
            "1 spends the month's budget in a month. Above 14.4 for an hour, or 6 for six hours, somebody is paged.",
            runbook="dermserveavailabilityburnsfast",
            steps=((None, "transparent"), (6, "orange"), (14.4, "red")),
            span=12,
        ),
    ]


def _traffic() -> list[Panel]:
    return [
        series(
            "Requests",
            "reqps",
            {"{{route}}": f"sum by (route) {chosen(REQUESTS)}"},
            "Answered requests a second, by route.",
            stacked=True,
        ),
        series(
            "Answers",
            "reqps",
            {"{{code}}": f"sum by (code) {chosen(REQUESTS)}"},
            "By status code; 499 means that the client left before its answer.",
            stacked=True,
        ),
        series(
            "Problems",
            "reqps",
            {"{{reason}}": f"sum by (reason) {chosen(PROBLEMS)}"},
            "Errors by their stable reason: backend_*, busy, internal and prediction_failed are the server's fault.",
            runbook="dermserveerrors",
        ),
    ]


def _latency() -> list[Panel]:
    rates = chosen(f"rate({BUCKETS}[$__rate_interval])")
    shares = {f"p{share * 100:g}": f"histogram_quantile({share}, sum by (le) {rates})" for share in (0.5, 0.95, 0.99)}
    seconds = chosen(f"rate({STAGES.format(part='sum')}[$__rate_interval])")
    batches = chosen(f"rate({STAGES.format(part='count')}[$__rate_interval])")
    queue = chosen('rate(ts_queue_latency_microseconds{namespace=~"$namespace"}[$__rate_interval])')
    asked = chosen('rate(ts_inference_requests_total{namespace=~"$namespace"}[$__rate_interval])')
    return [
        heat(
            "Latency of /v1/predict",
            "s",
            f"sum by (le) {chosen(f'increase({BUCKETS}[$__rate_interval])')}",
            "How many requests took how long, from the end of their upload to the answer; those with a 200 only.",
        ),
        series(
            "Percentiles of /v1/predict",
            "s",
            shares,
            "Interpolated within the buckets of the histogram.",
            runbook="dermservelatencyburnsfast",
            steps=((None, "transparent"), (0.25, "red")),
            span=12,
        ),
        series(
            "Time of a stage",
            "s",
            {"{{stage}}": f"sum by (stage) {seconds} / sum by (stage) {batches}"},
            "What a whole batch spends in each stage of the handler, on average.",
            span=12,
        ),
        series(
            "Time in the queue",
            "s",
            {"a request": f"sum{queue} / sum{asked} / 1e6"},
            "What TorchServe lets a request wait for a worker, on average.",
            runbook="dermservequeuefull",
            span=12,
        ),
    ]


def _saturation() -> list[Panel]:
    fill = 'lesion_batch_fill_{part}{{namespace=~"$namespace"}}'
    pending = chosen('lesion_queue_pending{namespace=~"$namespace"}')
    remaining = chosen('lesion_queue_remaining{namespace=~"$namespace"}')
    full = chosen(f"rate({fill.format(part='sum')}[$__rate_interval])")
    batches = chosen(f"rate({fill.format(part='count')}[$__rate_interval])")
    return [
        series(
            "Queue",
            "percentunit",
            {"{{pod}}": f"{pending} / ({pending} + {remaining})"},
            "Share of TorchServe's queue that is taken; at 100 % requests are refused as busy.",
            runbook="dermservequeuefull",
            steps=((None, "transparent"), (0.8, "red")),
        ),
        series(
            "Requests at work",
            "short",
            {"{{pod}}": chosen('gateway_in_flight{namespace=~"$namespace"}')},
            "Requests that the gateway has not yet answered, those whose upload still arrives included.",
        ),
        series(
            "Busy",
            "reqps",
            {
                "{{limit}}": "sum by (limit) "
                + chosen('rate(gateway_busy_total{namespace=~"$namespace"}[$__rate_interval])')
            },
            "Images refused as busy a second, by what was full: in_flight, arriving, memory or queue.",
            runbook="what-is-full",
        ),
        series(
            "Held by the gateway",
            "bytes",
            {"{{pod}}": chosen('gateway_bytes_held{namespace=~"$namespace"}')},
            "Uploads, and answers not yet taken; from DERMSERVE_MAX_BYTES_IN_MEMORY on it is busy.",
            runbook="what-is-full",
        ),
        series(
            "Batch fill",
            "percentunit",
            {"mean": f"sum{full} / sum{batches}"},
            "How full the batches are: near 0 the workers idle, near 100 % they are the limit.",
        ),
    ]
