"""`mozart schedule --local`: the printed line, executed as cron would, retrains; a second one is left out."""

from __future__ import annotations

import subprocess

import pytest

from components.alone import alone
from components.errors import GateRefused
from pipelines.schedule_commands import schedule
from tests.pipelines.line import changes, folder_with_recipe, mozart


def test_the_line_and_the_units_are_printed_with_the_next_times(tmp_path):
    folder = folder_with_recipe(tmp_path)
    line = mozart(folder, "schedule", "tiny.yaml", "--cron", "0 3 * * *", "--local")
    assert line.returncode == 0, line.stderr
    first, last = line.stdout.splitlines()
    assert first.startswith(f"0 3 * * * cd {folder} && MOZART_HOME={folder}/home ")
    assert f"schedule {folder}/tiny.yaml --local --once" in first
    assert first.endswith("# mozart: tiny")
    assert last.count("03:00:00") == 3
    assert not (folder / "home").exists(), "printing changes nothing"
    units = mozart(folder, "schedule", "tiny.yaml", "--cron", "0 3 * * *", "--local", "--with", "systemd")
    assert "OnCalendar=*-*-* 03:00:00" in units.stdout
    assert "# mozart-tiny.timer" in units.stdout
    wrong = mozart(folder, "schedule", "tiny.yaml", "--cron", "9 0 3 * * *", "--local")
    assert (wrong.returncode, "the seconds of '9 0 3" in wrong.stderr) == (2, True)


def test_what_is_being_retrained_is_left_alone(tmp_path, monkeypatch):
    folder = folder_with_recipe(tmp_path)
    monkeypatch.setenv("MOZART_HOME", str(folder / "home"))
    told = [f"notify.email=tee {tmp_path / 'mail'}"]
    with alone(folder / "home", "tiny"), pytest.raises(GateRefused, match="this time is left out"):
        schedule(str(folder / "tiny.yaml"), local=True, once=True, change=told)
    assert not (folder / "home/runs").exists()
    mail = (tmp_path / "mail").read_text("utf-8")
    assert mail.startswith("Subject: Mozart: tiny was refused (before its first step)")
    assert "'tiny' is being retrained already by process" in mail


@pytest.mark.slow
def test_the_line_retrains_as_cron_would_run_it(tmp_path):
    folder = folder_with_recipe(tmp_path)
    (folder / "home").mkdir()
    arguments = ("tiny.yaml", "--cron", "0 3 * * *", "--local", *changes("train.batch_size=65536"))
    line = mozart(folder, "schedule", *arguments).stdout.splitlines()[0]
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(["/bin/sh", "-c", line.split(maxsplit=5)[5]], cwd="/", env=bare)
    log = (folder / "home/schedule.log").read_text("utf-8")
    assert done.returncode == 3, log
    assert "gate 1 refused the data" in log
    assert len([path for path in (folder / "home/runs").iterdir() if path.is_dir()]) == 1
