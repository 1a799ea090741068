"""`make serve`: TorchServe and the gateway together, told step by step, ended together."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from stack import archive, gateway, output, probe, scratch, signals, torchserve
from stack.child import Child
from stack.problem import BadSetting, Crashed, NotReady
from stack.settings import ROOT, Settings

GATEWAY_STOP_SECONDS = 30.0
QUEUE_SECONDS = 5.0
TORCHSERVE_STOP_SECONDS = 15.0


def serve(settings: Settings, gateway: bool = True) -> int:
    """Runs until a signal says stop or a child ends; raises a Problem for whatever goes wrong."""
    return asyncio.run(Supervisor(settings, gateway).run())


class Supervisor:
    """Starts the children in order, watches them, and ends them in the reverse order."""

    _gateway = (sys.executable, "-m", "gateway")

    def __init__(self, settings: Settings, gateway: bool) -> None:
        self.settings = settings
        self.with_gateway = gateway
        self.children: list[Child] = []
        self.stopped = asyncio.Event()
        self.started_at = time.monotonic()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in signals.of_end():
            loop.add_signal_handler(number, self._stop, number)
        probe.require_free(self.settings.ports(self.with_gateway))
        if self.with_gateway:
            await self._check_gateway()
        if self.stopped.is_set():
            return 0
        self._say("archive", f"{self.settings.archive} sha256 {archive.verify(self.settings.archive)[:16]}")
        image = archive.golden_image(self.settings.archive)
        folder = scratch.make()
        try:
            scratch.require_short(folder, "TMPDIR")
            scratch.require_programs(folder, "TMPDIR")
            scratch.require_room(folder, "TMPDIR", self.settings.archive)
            example = folder / "example.jpg"
            example.write_bytes(image)
            await self._start_torchserve(folder, image)
            if self.with_gateway and not self.stopped.is_set():
                await self._start_gateway()
            if not self.stopped.is_set():
                self._tell_addresses(example)
            await self._unless_ended(self.stopped.wait())
        finally:
            await self._end()
            shutil.rmtree(folder, ignore_errors=True)
        return 0

    async def _check_gateway(self) -> None:
        """Its settings are told wrong before anything has started."""
        check = await asyncio.create_subprocess_exec(
            *self._gateway, "check", env=self._gateway_environment, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        _, told = await check.communicate()
        # Ctrl-C reaches the check as well.
        if check.returncode and not self.stopped.is_set():
            raise BadSetting(told.decode(errors="replace").strip())
        gateway.require_possible(os.environ, self.settings.workers)

    async def _start_torchserve(self, folder: Path, image: bytes) -> None:
        settings = self.settings
        inference, management = probe.free_ports(2)
        grpc = {"TS_GRPC_INFERENCE_PORT": str(inference), "TS_GRPC_MANAGEMENT_PORT": str(management)}
        command = torchserve.command(settings, folder, torchserve.addresses(settings, "127.0.0.1") | grpc)
        cores = f"{_counted(settings.workers, 'worker')} with {_counted(settings.threads, 'thread')} each"
        self._say("torchserve", f"starting with {command.arguments[0]}, {cores}")
        child = await Child.start("torchserve", command.arguments, command.environment, command.folder)
        self.children.append(child)
        await self._in_time(probe.workers_ready(settings.management_url, settings.workers), "TorchServe's workers")
        if self.stopped.is_set():
            return
        await self._in_time(probe.predict(settings.inference_url, image), "a first prediction")
        self._say("torchserve", f"predicts, {time.monotonic() - self.started_at:.1f} s after the start")

    @property
    def _gateway_environment(self) -> dict[str, str]:
        return dict(os.environ) | {
            "PORT": str(self.settings.gateway_port),
            "DERMSERVE_INFERENCE_URL": self.settings.inference_url,
            "DERMSERVE_MANAGEMENT_URL": self.settings.management_url,
        }

    async def _start_gateway(self) -> None:
        self._say("gateway", "starting")
        self.children.append(await Child.start("gateway", self._gateway, self._gateway_environment, ROOT))
        address = self.settings.gateway_url
        try:
            await self._in_time(probe.answers(f"{address}/readyz"), "the gateway")
        except NotReady as error:
            raise NotReady(f"{error}\nthe gateway: {await gateway.why_not_ready(address)}") from None
        if self.stopped.is_set():
            return
        self._say("gateway", f"ready, {time.monotonic() - self.started_at:.1f} s after the start")

    async def _in_time(self, waited: Awaitable[object], name: str) -> None:
        try:
            await asyncio.wait_for(self._unless_ended(waited), self.settings.start_seconds)
        except TimeoutError:
            raise NotReady(
                f"{name} did not come up within {self.settings.start_seconds:.0f} s: read the lines above, or give it "
                "longer with DERMSERVE_START_SECONDS"
            ) from None

    async def _unless_ended(self, waited: Awaitable[object]) -> None:
        """Waits, but no longer than until a signal says stop; raises Crashed if a child ends before."""
        work = asyncio.ensure_future(waited)
        stop = asyncio.create_task(self.stopped.wait())
        watched: list[asyncio.Future[Any]] = [work, stop]
        for child in self.children:
            watched += [child.ended, child.refusal]
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for child in self.children:
                if child.refusal.done():
                    raise NotReady(child.refusal.result())
                if child.ended.done() and not self.stopped.is_set():
                    raise Crashed(
                        f"{child.name} ended by itself ({_reason(child.ended.result())}): the rest is stopped"
                    )
            if work.done():
                work.result()
        finally:
            work.cancel()
            stop.cancel()

    async def _end(self) -> None:
        for child in reversed(self.children):
            if child.name == "torchserve" and not child.ended.done():
                try:
                    await asyncio.wait_for(probe.idle(self.settings.management_url), QUEUE_SECONDS)
                except TimeoutError:
                    self._say("torchserve", "its queue does not empty; stopping all the same")
            seconds = GATEWAY_STOP_SECONDS if child.name == "gateway" else TORCHSERVE_STOP_SECONDS
            if not await child.stop(seconds):
                self._say(child.name, f"did not stop within {seconds:.0f} s and was killed")
            else:
                self._say(child.name, "stopped")

    def _stop(self, number: signal.Signals) -> None:
        if self.stopped.is_set():
            if number != signal.SIGINT:  # make passes on what its group was sent as well; a shell repeats its terminal
                return
            output.tell("\nstopping at once")
            for child in self.children:
                child.kill()
            return
        self.stopped.set()
        output.tell("\nstopping: requests at work are answered first (Ctrl-C again stops at once)")

    def _tell_addresses(self, example: Path) -> None:
        settings = self.settings
        if self.with_gateway:
            rows = {"page": f"{settings.gateway_url}/", "API": f"{settings.gateway_url}/docs"}
            url = f"{settings.gateway_url}/v1/predict"
        else:
            url = f"{settings.inference_url}/predictions/lesion"
            rows = {"TorchServe": url}
        rows["management"] = f"{settings.management_url}/models/lesion"
        rows["metrics"] = f"{settings.metrics_url}/metrics"
        for name, address in rows.items():
            output.tell(f"  {name:<11} {address}")
        output.tell(f"\n  curl -X POST -T {shlex.quote(str(example))} {url}\n\nCtrl-C stops everything.")

    def _say(self, what: str, message: str) -> None:
        output.tell(f"{what:<11} {message}")


def _reason(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number > 1)}"
