"""The shipped files mean what they say: TorchServe knows every key, and the code emits every metric."""

from __future__ import annotations

import re
import zipfile
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from gateway.settings import Settings as GatewaySettings
from handler import telemetry
from handler.decode import Limits
from stack import properties

ROOT = Path(__file__).resolve().parents[2]
CONFIG = properties.read(ROOT / "config.properties")
METRICS = yaml.safe_load((ROOT / "metrics.yaml").read_text())
MODEL = yaml.safe_load((ROOT / "model-config.yaml").read_text())

# Read by TorchServe's launcher, and so by ours, before Java starts.
LAUNCHER_KEYS = {"vmargs"}


def words_of(java_class: str) -> set[str]:
    """Every identifier among the constants of one of TorchServe's classes."""
    spec = find_spec("ts")
    assert spec is not None
    assert spec.origin is not None
    with zipfile.ZipFile(Path(spec.origin).parent / "frontend" / "model-server.jar") as jar:
        content = jar.read(java_class)
    return {word.decode() for word in re.findall(rb"[A-Za-z][A-Za-z0-9_]+", content)}


def test_every_key_is_known_to_torchserve() -> None:
    known = words_of("org/pytorch/serve/util/ConfigManager.class")
    assert set(CONFIG) - known - LAUNCHER_KEYS == set()


def test_every_model_key_is_known_to_torchserve() -> None:
    setters = words_of("org/pytorch/serve/archive/model/ModelConfig.class")
    assert {key for key in MODEL if f"set{key[0].upper()}{key[1:]}" not in setters} == set()


def test_management_and_grpc_stay_on_loopback() -> None:
    assert CONFIG["management_address"].startswith("http://127.0.0.1:")
    assert CONFIG["grpc_inference_address"] == CONFIG["grpc_management_address"] == "127.0.0.1"
    assert CONFIG["management_address"] != CONFIG["inference_address"]


def test_nothing_can_be_registered_or_fetched() -> None:
    assert CONFIG["enable_model_api"] == "false"
    assert CONFIG["install_py_dep_per_model"] == "false"
    assert CONFIG["use_env_allowed_urls"] == "false"
    assert re.fullmatch(CONFIG["allowed_urls"], "https://example.org/lesion.mar") is None
    assert re.fullmatch(CONFIG["allowed_urls"], "file:///etc/passwd") is None


def test_the_wire_limit_is_the_bundles_own() -> None:
    # A body between the two limits reaches the handler, which answers with a reason.
    assert Limits().max_bytes < int(CONFIG["max_request_size"]) <= Limits().max_bytes * 1.1


def test_a_stuck_worker_is_given_up_while_the_gateway_still_waits() -> None:
    # It needs time to ask another one.
    most = 0.75 * GatewaySettings().backend_timeout_s
    assert int(MODEL["responseTimeout"]) <= most
    assert int(CONFIG["default_response_timeout"]) <= most


def test_only_our_archive_is_served_and_only_named_metrics_are_told() -> None:
    assert CONFIG["load_models"] == "lesion=lesion.mar"
    assert CONFIG["model_metrics_auto_detect"] == "false"
    assert CONFIG["decode_input_request"] == "false"
    assert CONFIG["disable_system_metrics"] == "true"


def test_a_java_without_memory_ends_and_its_buffers_come_in_small_chunks() -> None:
    assert "-XX:+ExitOnOutOfMemoryError" in CONFIG["vmargs"].split()
    [order] = re.findall(r"-Dio\.netty\.allocator\.maxOrder=(\d+)", CONFIG["vmargs"])
    page = 8192
    assert page << int(order) <= 2**20


def test_a_lone_image_hardly_waits_for_others_to_share_its_pass() -> None:
    assert int(MODEL["maxBatchDelay"]) <= 5


def test_memory_and_queue_are_bounded() -> None:
    assert re.search(r"-Xmx\d+[mg]", CONFIG["vmargs"])
    assert "-XX:MaxDirectMemorySize=" in CONFIG["vmargs"]
    assert 0 < int(CONFIG["job_queue_size"]) <= 128
    assert CONFIG["metrics_mode"] == "prometheus"
    assert not Path(CONFIG["model_store"]).is_absolute()


@pytest.mark.parametrize("variable", ["AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "OPENAI_API_KEY"])
def test_workers_see_no_credentials(variable: str) -> None:
    assert re.fullmatch(CONFIG["blacklist_env_vars"], variable)


@pytest.mark.parametrize("variable", ["DERMSERVE_THREADS", "PATH", "TS_METRICS_CONFIG", "PYTHONPATH"])
def test_workers_see_what_they_need(variable: str) -> None:
    assert re.fullmatch(CONFIG["blacklist_env_vars"], variable) is None


def test_metrics_are_those_that_the_handler_emits() -> None:
    declared = {
        metric["name"]: tuple(metric["dimensions"])
        for metrics in METRICS["model_metrics"].values()
        for metric in metrics
        if metric["name"].startswith("lesion_")
    }
    assert declared == {name: (*labels, "ModelName", "Level") for name, labels in telemetry.METRICS.items()}


def test_counters_and_histograms_are_told_apart() -> None:
    kinds = {metric["name"]: kind for kind, metrics in METRICS["model_metrics"].items() for metric in metrics}
    assert {name for name, kind in kinds.items() if kind == "counter"} == {telemetry.PREDICTIONS, telemetry.REJECTIONS}
    assert {name for name, kind in kinds.items() if kind == "histogram"} == {
        telemetry.STAGE_SECONDS,
        telemetry.SCORE,
        telemetry.BATCH_FILL,
    }


def test_stock_metrics_are_kept() -> None:
    names = {metric["name"] for metrics in METRICS["ts_metrics"].values() for metric in metrics}
    assert {"ts_inference_requests_total", "ts_queue_latency_microseconds", "Requests5XX", "QueueTime"} <= names


def test_the_number_of_workers_belongs_to_the_machine() -> None:
    assert not {"minWorkers", "maxWorkers"} & set(MODEL)
    assert int(CONFIG["default_workers_per_model"]) >= 1


def test_logs_go_to_the_console_only() -> None:
    tree = ElementTree.parse(ROOT / "log4j2.xml").getroot()
    assert {appender.tag for appender in tree.findall("Appenders/*")} == {"Console"}
    levels = {logger.get("name"): logger.get("level") for logger in tree.findall("Loggers/Logger")}
    assert levels["ACCESS_LOG"] == "warn"
    # Its messages quote request bodies.
    assert levels["org.pytorch.serve.http.HttpRequestHandler"] == "off"
