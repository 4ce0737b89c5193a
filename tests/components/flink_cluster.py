"""A Flink cluster in processes of its own, from the classes that Beam's job server brings: a manager and a worker."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from components.runners import JAR
from tests.components.test_runners import free_port

OPEN = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in ("lang", "util")]
PACKAGE = "org.apache.flink.runtime"
MANAGER = f"{PACKAGE}.entrypoint.StandaloneSessionClusterEntrypoint"
WORKER = f"{PACKAGE}.taskexecutor.TaskManagerRunner"
# What Flink's start script computes from the size of a worker: 256 MB of heap, small sorters and buffers.
SETTINGS = """
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: {rpc}
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: {rest}
taskmanager.host: 127.0.0.1
taskmanager.numberOfTaskSlots: 2
taskmanager.cpu.cores: 2
taskmanager.memory.framework.heap.size: 64m
taskmanager.memory.task.heap.size: 192m
taskmanager.memory.framework.off-heap.size: 64m
taskmanager.memory.task.off-heap.size: 32m
taskmanager.memory.managed.size: 64m
taskmanager.memory.network.min: 64m
taskmanager.memory.network.max: 64m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 64m
taskmanager.memory.jvm-overhead.max: 64m
heartbeat.interval: 1000
heartbeat.timeout: 8000
io.tmp.dirs: {folder}
"""


class Cluster:
    """A task manager of two slots and a heap of 256 MB; `master` is the address for Beam."""

    def __init__(self, folder: Path) -> None:
        self.folder, rest = folder, free_port()
        self.master = f"127.0.0.1:{rest}"
        text = SETTINGS.format(rpc=free_port(), rest=rest, folder=folder)
        for name in ("config.yaml", "flink-conf.yaml"):  # of Flink 1.19 and later, and of those before
            (folder / name).write_text(text, "utf-8")
        self.manager = self._java(MANAGER, "-Xmx256m")
        self.start_worker()

    def start_worker(self) -> None:
        """A new task manager; the one before, if any, was killed."""
        self.worker = self._java(WORKER, "-Xmx256m", "-XX:MaxDirectMemorySize=256m")
        self._wait()

    def _java(self, main: str, *options: str) -> subprocess.Popen[bytes]:
        command = ["java", *options, *OPEN, "-cp", os.environ[JAR], main, "--configDir", str(self.folder)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _wait(self) -> None:
        for _ in range(600):
            assert self.manager.poll() is None, "Flink's manager ended"
            try:
                with urllib.request.urlopen(f"http://{self.master}/overview", timeout=5) as answer:
                    if json.load(answer)["slots-available"] == 2:
                        return
            except OSError:
                pass
            time.sleep(0.2)
        pytest.fail("Flink's worker did not come up in two minutes")

    def stop(self) -> None:
        for process in (self.worker, self.manager):
            process.kill()
            process.wait(20)
