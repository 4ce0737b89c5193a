"""Clocks of this machine: what is written, what a real systemd and cron say of it, and the lock under it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.alone import alone
from components.cron import Cron
from components.errors import ConfigError, GateRefused, ResourceError
from components.timer import (
    Job,
    calendar,
    crontab_line,
    install_units,
    installed,
    remove_units,
    units,
    write_crontab,
)
from tests.pipelines.line import ROOT, wait_until

CRON = Cron.parse("30 3 * * 1-5")


def job(folder: Path, *command: str, cron: Cron = CRON) -> Job:
    return Job("tiny", command or ("/opt/mozart", "schedule", "tiny"), folder, folder / "home", cron)


# -- crontab -------------------------------------------------------------------------------------------


def test_a_line_runs_the_command_in_its_folder_with_its_home(tmp_path):
    folder = tmp_path / "a 'b' %d"
    (folder / "home").mkdir(parents=True)
    code = "import os; print(os.getcwd(), os.environ['MOZART_HOME'], '100%')"
    line = crontab_line(job(folder, sys.executable, "-c", code))
    times, command = line[: len("30 3 * * 1-5")], line[len("30 3 * * 1-5") + 1 :]
    assert times == "30 3 * * 1-5".upper()
    assert "%" not in command.replace(r"\%", ""), "a bare % ends a command of cron"
    subprocess.run(["/bin/sh", "-c", command.replace(r"\%", "%")], check=True)  # as cron does
    assert (folder / "home/schedule.log").read_text() == f"{folder} {folder}/home 100%\n"


@pytest.fixture
def crontab_program(tmp_path, monkeypatch):
    """A `crontab` that keeps its table in a file, as the real one does for a user."""
    table = tmp_path / "table"
    program = tmp_path / "bin/crontab"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = -l ]; then [ -f {table} ] && cat {table} || exit 1; else cat > {table}; fi\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return table


def test_installing_replaces_the_line_of_that_name_alone(crontab_program, tmp_path):
    crontab_program.write_text("MAILTO=me\n0 1 * * * backup # mozart: tiny-2\n")
    assert write_crontab("tiny", crontab_line(job(tmp_path))) is False
    again = crontab_line(job(tmp_path, cron=Cron.parse("0 4 * * *")))
    assert write_crontab("tiny", again) is True
    assert crontab_program.read_text() == f"MAILTO=me\n0 1 * * * backup # mozart: tiny-2\n{again}\n"
    assert write_crontab("tiny", None) is True
    assert write_crontab("tiny", None) is False
    assert crontab_program.read_text() == "MAILTO=me\n0 1 * * * backup # mozart: tiny-2\n"


def test_without_cron_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="there is no 'crontab' on this machine: use --with systemd"):
        write_crontab("tiny", None)
    with pytest.raises(ResourceError, match="there is no 'systemctl' on this machine: use --with crontab"):
        install_units(job(tmp_path), tmp_path / "units")
    assert not (tmp_path / "units").exists()


# -- systemd -------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_itself_finds_no_fault_in_the_units(tmp_path):
    folder = tmp_path / "a 100% $HOME"
    folder.mkdir()
    made = units(job(folder, sys.executable, "-c", 'print("$HOME 100%")'))
    for name, text in made.items():
        (tmp_path / name).write_text(text, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", *(str(tmp_path / name) for name in made)],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert "mozart-tiny" not in done.stderr, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize(
    "text", ["0 3 * * *", "30 3 * * 1-5", "*/15 * * * *", "0 0 1 1,7 *", "10 30 6 * * SUN", "5 4 * * MON,THU"]
)
def test_systemd_reads_the_times_that_cron_means(text):
    cron = Cron.parse(text)
    now = datetime.now(UTC)
    done = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=3", f"{calendar(cron)} UTC"],
        capture_output=True,
        text=True,
        env={**os.environ, "TZ": "UTC"},
    )
    assert done.returncode == 0, done.stderr
    told = [
        line.split(": ", 1)[1] for line in done.stdout.splitlines() if "elapse:" in line or "Iter. #" in line
    ]
    assert told == [f"{one:%a %Y-%m-%d %H:%M:%S} UTC" for one in cron.next_times(now)]


def test_what_systemd_cannot_mean_is_refused():
    with pytest.raises(ConfigError, match="this day of the month or that weekday"):
        calendar(Cron.parse("0 3 1 * 1"))
    with pytest.raises(ConfigError, match="cannot be printed"):
        job(Path("/tmp"), "mozart", "a\nb")


def test_units_are_installed_and_removed_by_systemctl(monkeypatch, tmp_path):
    """With a systemctl that notes what it is asked: a user's systemd runs on no build machine."""
    program, noted = tmp_path / "bin/systemctl", tmp_path / "noted"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {noted}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    files = install_units(job(tmp_path), tmp_path / "units")
    assert [file.name for file in files] == ["mozart-tiny.service", "mozart-tiny.timer"]
    assert noted.read_text().splitlines()[-1] == "--user enable --now mozart-tiny.timer"
    (line,) = installed(tmp_path / "units")
    assert line.startswith("tiny  OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 03:30:00")
    assert remove_units("tiny", tmp_path / "units") is True
    assert noted.read_text().splitlines()[-2:] == [
        "--user disable --now mozart-tiny.timer",
        "--user daemon-reload",
    ]
    assert not [file for file in files if file.exists()]
    assert remove_units("tiny", tmp_path / "units") is False
    program.write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2; exit 1\n")
    with pytest.raises(ResourceError, match=r"Failed to connect to bus.* --with crontab"):
        install_units(job(tmp_path), tmp_path / "units")


# -- one at a time -------------------------------------------------------------------------------------

HOLD = "import sys, time; from pathlib import Path; from components.alone import alone\n"
HOLD += "with alone(Path(sys.argv[1]), 'tiny'): Path(sys.argv[1], 'held').touch(); time.sleep(60)"


def test_a_second_retraining_is_left_out_and_a_killed_one_lets_go(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], env=environment) as holder:
        wait_until((tmp_path / "held").exists, 60)
        with (
            pytest.raises(GateRefused, match=f"already by process {holder.pid} since 20"),
            alone(tmp_path, "tiny"),
        ):
            pytest.fail("two at once")
        with alone(tmp_path, "another"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with alone(tmp_path, "tiny"):
        assert (tmp_path / "locks/tiny.json").exists()
    assert not (tmp_path / "locks/tiny.json").exists()
