"""Times that come again, as cron writes them: five fields, or six with seconds first, as Kubeflow does.

Both understand minute, hour, day of month, month and day of week with `*`, lists, ranges, steps and names.
What only one of the many dialects knows (L, W, #, @daily, 7 for Sunday) is refused, with what to write.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from datetime import datetime

from cronsim import CronSim, CronSimError

from components.errors import ConfigError

_HOW = "write five fields (minute hour day month weekday) or six with seconds first, e.g. '0 3 * * *'"
_NAMES = re.compile(r"SUN|MON|TUE|WED|THU|FRI|SAT|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC")


@dataclass(frozen=True)
class Cron:
    """A checked expression: its six fields, seconds first."""

    fields: tuple[str, str, str, str, str, str]

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Raises ConfigError with the field that cannot be meant."""
        fields = text.upper().split()
        if len(fields) not in (5, 6):
            raise ConfigError(f"--cron '{text[:60]}': {len(fields)} fields are given: {_HOW}")
        if len(fields) == 5:
            fields = ["0", *fields]
        for field in fields:
            if re.search(r"[LW#@]", _NAMES.sub("", field)):
                raise ConfigError(f"--cron '{text[:60]}': '{field}' is not known to every cron: {_HOW}")
        fields = ["*" if field == "?" else field for field in fields]
        if re.search(r"(?<![\d/])7", fields[5]):
            raise ConfigError(f"--cron '{text[:60]}': Kubeflow counts weekdays from 0: Sunday is 0, not 7")
        cron = cls(tuple(fields))  # type: ignore[arg-type]
        try:
            CronSim(cron.six, datetime(2026, 1, 1))
        except CronSimError as error:
            raise ConfigError(f"--cron '{text[:60]}': {str(error).lower()}: {_HOW}") from error
        return cron

    @property
    def six(self) -> str:
        """Seconds first, as Kubeflow takes it."""
        return " ".join(self.fields)

    @property
    def five(self) -> str:
        """As crontab takes it, to the minute.

        Raises:
            ConfigError: the seconds matter.
        """
        if self.fields[0] != "0":
            raise ConfigError(f"cron here runs to the minute: the seconds of '{self.six}' must be 0")
        return " ".join(self.fields[1:])

    def next_times(self, after: datetime, count: int = 3) -> list[datetime]:
        """The next times after a moment, in its time zone."""
        return list(itertools.islice(CronSim(self.six, after), count))
