"""The systems that are compared, each with the same model."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.cores import Cores
from bench.materials import Materials
from bench.system import System
from stack import java
from stack.probe import free_ports
from stack.torchserve import MALLOC

ROOT = Path(__file__).resolve().parents[1]

OURS = "dermserve"
GATEWAY = "dermserve + gateway"
LIMIT = "in-process limit"
STOCK_ONE = "stock TorchServe, 1 thread"
STOCK = "stock TorchServe"
FLASK = "Flask + gunicorn"


def dermserve(materials: Materials, cores: Cores) -> System:
    """TorchServe with our archive and configuration."""
    inference, management, metrics, *grpc = free_ports(5)
    scratch = materials.folder / "scratch"
    scratch.mkdir(exist_ok=True)
    environment = {
        "TEMP": str(scratch),
        "DERMSERVE_MODEL_STORE": str(materials.archive.parent),
        "DERMSERVE_INFERENCE_PORT": str(inference),
        "DERMSERVE_MANAGEMENT_PORT": str(management),
        "DERMSERVE_METRICS_PORT": str(metrics),
        "TS_GRPC_INFERENCE_PORT": str(grpc[0]),
        "TS_GRPC_MANAGEMENT_PORT": str(grpc[1]),
    }
    return System(
        OURS,
        f"http://127.0.0.1:{inference}/predictions/lesion",
        [sys.executable, "-m", "stack", "torchserve"],
        environment,
        ROOT,
        cores,
        materials.folder / "dermserve.log",
    )


def gateway(materials: Materials, cores: Cores, behind: System) -> System:
    """The gateway in front of a TorchServe that runs already; both share the cores."""
    [port] = free_ports(1)
    environment = {
        "PORT": str(port),
        "DERMSERVE_INFERENCE_URL": behind.url.removesuffix("/predictions/lesion"),
        "DERMSERVE_MANAGEMENT_URL": f"http://127.0.0.1:{behind.environment['DERMSERVE_MANAGEMENT_PORT']}",
    }
    return System(
        GATEWAY,
        f"http://127.0.0.1:{port}/v1/predict",
        [sys.executable, "-m", "gateway"],
        environment,
        ROOT,
        cores,
        materials.folder / "gateway.log",
    )


def flask(materials: Materials, cores: Cores) -> System:
    """The same predictor, one synchronous gunicorn worker a core."""
    [port] = free_ports(1)
    words = ["-w", str(len(cores.serving)), "-b", f"127.0.0.1:{port}", "bench.peers.flask_app:app"]
    return System(
        FLASK,
        f"http://127.0.0.1:{port}/predictions/lesion",
        [str(materials.peers / "bin" / "gunicorn"), *words],
        MALLOC | {"BENCH_BUNDLE": str(materials.bundle), "PYTHONPATH": str(ROOT)},
        ROOT,
        cores,
        materials.folder / "flask.log",
    )


def stock(materials: Materials, cores: Cores, threads: int | None) -> System:
    """TorchServe as it comes, with its image classifier and TorchScript weights in fp32."""
    inference, management, metrics, *grpc = free_ports(5)
    folder = materials.stock_archive.parents[1]
    config = folder / "config.properties"
    config.write_text(
        f"inference_address=http://127.0.0.1:{inference}\n"
        f"management_address=http://127.0.0.1:{management}\n"
        f"metrics_address=http://127.0.0.1:{metrics}\n"
        f"grpc_inference_port={grpc[0]}\ngrpc_management_port={grpc[1]}\n"
        # The 24-megapixel photograph is larger than the default allows.
        "max_request_size=20971520\n"
    )
    words = ["--start", "--foreground", "--ncs", "--disable-token-auth", "--ts-config", str(config)]
    words += ["--model-store", str(materials.stock_archive.parent), "--models", "lesion=stock.mar"]
    environment = {
        "JAVA_HOME": str(java.find().parents[1]),
        "PATH": f"{materials.peers / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    return System(
        STOCK if threads is None else STOCK_ONE,
        f"http://127.0.0.1:{inference}/predictions/lesion",
        [str(materials.peers / "bin" / "torchserve"), *words],
        environment,
        folder,
        cores,
        materials.folder / f"stock-{threads or 'default'}.log",
    )
