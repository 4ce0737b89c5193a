"""Cron expressions: what is understood, what is refused in a sentence, when they come next."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.cron import Cron
from components.errors import ConfigError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "six"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        ("30 0 3 * * *", "30 0 3 * * *"),
        ("0 0 9 ? * 2-6", "0 0 9 * * 2-6"),
        ("*/15 1,2 1-5 jan sun", "0 */15 1,2 1-5 JAN SUN"),
        ("0 0 29 2 *", "0 0 0 29 2 *"),
        ("7 7 7 7 0", "0 7 7 7 7 0"),
    ],
)
def test_five_fields_are_six_with_second_0(text, six):
    assert Cron.parse(text).six == six
    assert Cron.parse(six).six == six


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 fields are given"),
        ("0 3 * *", "4 fields are given"),
        ("0 3 * * * * *", "7 fields are given"),
        ("60 3 * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 3 0 * *", "bad day-of-month"),
        ("0 3 * 13 *", "bad month"),
        ("61 0 3 * * *", "bad second"),
        ("0 3 * * 7", "Sunday is 0, not 7"),
        ("0 3 * * 1-7", "Sunday is 0, not 7"),
        ("0 3 L * *", "'L' is not known to every cron"),
        ("0 3 * * 1#2", "is not known to every cron"),
        ("0 3 30 2 *", "bad day-of-month"),
        ("*/0 3 * * *", "bad minute"),
        ("a b c d e", "bad minute"),
        ("@daily", "1 fields are given"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(text, said):
    with pytest.raises(ConfigError) as caught:
        Cron.parse(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_next_times_are_told():
    assert [f"{one:%d %H:%M}" for one in Cron.parse("0 3 * * *").next_times(NOW)] == [
        "22 03:00",
        "23 03:00",
        "24 03:00",
    ]


def test_crontab_takes_whole_minutes():
    assert Cron.parse("0 3 * * *").five == "0 3 * * *"
    with pytest.raises(ConfigError, match="the seconds of '30 0 3"):
        _ = Cron.parse("30 0 3 * * *").five


@given(st.text(alphabet="0123456789*/-,LW#?MONJAN@ \n", max_size=24))
@settings(derandomize=True, max_examples=50)
def test_any_text_is_understood_or_refused(text):
    try:
        cron = Cron.parse(text)
    except ConfigError:
        return
    times = cron.next_times(NOW)
    assert times == sorted(times)
    assert times[0] > NOW
