"""Retraining on this machine's clock: a line of crontab, or a systemd timer of the user.

Both run the same command in the same folder, with MOZART_HOME named and under one lock: a retraining that
still runs when the next is due is not joined by a second one.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from components.cron import Cron
from components.errors import ConfigError, NothingToDo, ResourceError

MARK = "# mozart: "
_SYSTEMD_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


@dataclass(frozen=True)
class Job:
    """What is run: the name, the command, the folder it stands in, and MOZART_HOME."""

    name: str
    command: tuple[str, ...]
    folder: Path
    home: Path
    cron: Cron

    def __post_init__(self) -> None:
        for text in (*self.command, str(self.folder), str(self.home)):
            if not text.isprintable():
                raise ConfigError(
                    f"a schedule cannot hold {text[:60]!r}: it has signs that cannot be printed"
                )


# -- crontab -------------------------------------------------------------------------------------------


def crontab_line(job: Job) -> str:
    """One line; cron takes a bare `%` for the end of the command."""
    what = f"cd {shlex.quote(str(job.folder))} && MOZART_HOME={shlex.quote(str(job.home))} "
    what += f"{shlex.join(job.command)} >> {shlex.quote(str(job.home / 'schedule.log'))} 2>&1"
    return f"{job.cron.five} {what.replace('%', chr(92) + '%')} {MARK}{job.name}"


def crontab() -> list[str]:
    """The lines of the user's crontab.

    Raises:
        ResourceError: there is no cron here.
    """
    done = _run(["crontab", "-l"])
    return done.stdout.splitlines() if done.returncode == 0 else []  # an empty one is an error to `crontab`


def write_crontab(name: str, line: str | None) -> bool:
    """Replaces the line of that name, or takes it out; the others stay. Whether there was one."""
    lines = crontab()
    others = [one for one in lines if not one.endswith(f"{MARK}{name}")]
    text = "\n".join([*others, *([line] if line else [])])
    done = _run(["crontab", "-"], text + "\n" if text else "")
    if done.returncode:
        raise ResourceError(f"crontab refused the line: {done.stderr.strip()[:200]}")
    return len(others) < len(lines)


# -- systemd -------------------------------------------------------------------------------------------


def units(job: Job) -> dict[str, str]:
    """File name → text of the service and of its timer."""
    service = f"""\
[Unit]
Description=Mozart retrains {job.name}

[Service]
Type=oneshot
SuccessExitStatus={NothingToDo.exit_code}
WorkingDirectory={_path(str(job.folder))}
Environment={_quoted(f"MOZART_HOME={job.home}")}
ExecStart={" ".join(_quoted(word.replace("$", "$$")) for word in job.command)}
"""
    timer = f"""\
[Unit]
Description=When Mozart retrains {job.name}

[Timer]
OnCalendar={calendar(job.cron)}
AccuracySec=1s
Persistent=false

[Install]
WantedBy=timers.target
"""
    return {f"{unit(job.name)}.service": service, f"{unit(job.name)}.timer": timer}


def unit(name: str) -> str:
    """The units' name."""
    return f"mozart-{name}"


def calendar(cron: Cron) -> str:
    """OnCalendar= of a cron expression.

    Raises:
        ConfigError: days of the month and of the week together: cron takes either, systemd both at once.
    """
    second, minute, hour, day, month, weekday = cron.fields
    if day != "*" and weekday != "*":
        raise ConfigError(
            f"'{cron.five}': a systemd timer cannot mean 'this day of the month or that weekday': give one of "
            "both, or use --with crontab"
        )
    days = (
        "" if weekday == "*" else ",".join(_SYSTEMD_DAYS[one] for one in sorted(_numbers(weekday, 5))) + " "
    )
    fields = [
        _list(field, place) for place, field in ((4, month), (3, day), (2, hour), (1, minute), (0, second))
    ]
    return f"{days}*-{fields[0]}-{fields[1]} {fields[2]}:{fields[3]}:{fields[4]}"


def _list(field: str, place: int) -> str:
    return "*" if field == "*" else ",".join(f"{one:02d}" for one in sorted(_numbers(field, place)))


def _numbers(field: str, place: int) -> set[int]:
    """The numbers that a field means, as the library that checked it reads it; Sunday is 0."""
    from cronsim.cronsim import Field

    found = {one for one in Field(place).parse(field) if isinstance(one, int)}
    return {one % 7 for one in found} if place == 5 else found


def _quoted(text: str) -> str:
    """A word for systemd: quoted, its own signs escaped."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


def _path(text: str) -> str:
    return text.replace("%", "%%")


def install_units(job: Job, folder: Path | None = None) -> list[Path]:
    """Writes the units to the user's folder and starts the timer.

    Raises:
        ResourceError: there is no systemd for users here, or the folder cannot be written.
    """
    folder = folder or _unit_folder()
    _systemctl("daemon-reload")  # says first whether there is a systemd at all
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for name, text in units(job).items():
            (folder / name).write_text(text, "utf-8")
            files.append(folder / name)
    except OSError as error:
        raise ResourceError(f"{folder} cannot be written: {error.strerror}") from error
    _systemctl("daemon-reload")
    _systemctl("enable", "--now", f"{unit(job.name)}.timer")
    return files


def remove_units(name: str, folder: Path | None = None) -> bool:
    """Stops the timer and takes both files away; whether there were any."""
    files = [(folder or _unit_folder()) / f"{unit(name)}.{kind}" for kind in ("service", "timer")]
    if not any(file.exists() for file in files):
        return False
    _systemctl("disable", "--now", f"{unit(name)}.timer")
    for file in files:
        file.unlink(missing_ok=True)
    _systemctl("daemon-reload")
    return True


def installed(folder: Path | None = None) -> list[str]:
    """The timers of the user that are ours, each with its time."""
    found = []
    for file in sorted((folder or _unit_folder()).glob("mozart-*.timer")):
        times = [line for line in file.read_text("utf-8").splitlines() if line.startswith("OnCalendar=")]
        found.append(f"{file.stem.removeprefix('mozart-')}  {' '.join(times)}  {file}")
    return found


def _unit_folder() -> Path:
    configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(configuration) / "systemd/user"


def _systemctl(*arguments: str) -> None:
    done = _run(["systemctl", "--user", *arguments])
    if done.returncode:
        said = " ".join(done.stderr.split())[:200]
        raise ResourceError(
            f"systemd does not take the timer ({said}): use --with crontab, or install the units yourself"
        )


def _run(command: list[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0]) is None:
        other = "systemd" if command[0] == "crontab" else "crontab"
        raise ResourceError(
            f"there is no '{command[0]}' on this machine: use --with {other}, or run what is printed by other means"
        )
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, input=text, capture_output=True, text=True, env=environment)


def this_mozart() -> tuple[str, ...]:
    """The command by which a clock finds this very Mozart, in whatever environment it runs."""
    beside = Path(sys.executable).parent / "mozart"
    return (str(beside),) if beside.is_file() else (sys.executable, "-m", "pipelines.cli")
