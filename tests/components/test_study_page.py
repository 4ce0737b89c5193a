"""The page of a study in a real browser: every key and button, a reload, the download, the sound."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.artifacts import read_json
from components.study import study
from components.study_answers import parsed
from components.study_results import study_results
from tests.components.browser import Page, browser
from tests.components.study_samples import MAKE, NAMES

SETTLED = "performance.now() - shown > SETTLE"


def made(folder: Path, kind: str, pairs: int = 4) -> dict[str, Any]:
    """A study in `folder/study` and its key."""
    names = [str(MAKE[kind](folder / name, pairs, i)) for i, name in enumerate(NAMES[:2])]
    key: dict[str, Any] = read_json(study(names, folder / "study", pairs=pairs).key)
    return key


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with browser(tmp_path / "browser") as found:
        yield found
        assert found.complaints == []
        asked = [url for url in found.requests if not url.startswith(("file:", "data:", "blob:", "about:"))]
        assert asked == []  # nothing of the network


def answer(page: Page, key: str) -> None:
    """A key, once the page listens to it."""
    page.until(SETTLED)
    page.press(key)


def test_a_judge_answers_all_by_keys_and_sends_the_file(page: Page, tmp_path: Path) -> None:
    key = made(tmp_path, "images")
    page.open(tmp_path / "study" / "index.html")
    assert "You will see 5 pairs" in page.text("#intro")
    assert not page.sees("#ask")
    page.press("Enter")
    assert page.text("#count") == "1 of 5"
    assert page.ask("[...document.images].every((image) => image.complete && image.naturalWidth === 8)")
    assert page.ask("getComputedStyle(document.images[0]).imageRendering") == "pixelated"
    for pressed in ("ArrowLeft", "ArrowRight", "s", "ArrowLeft", "ArrowRight"):
        answer(page, pressed)
    assert "Thank you" in page.text("#end")
    page.click("#download")
    file = page.downloaded()
    sent = parsed(file.read_bytes())
    assert file.name == f"answers-{sent.judge}.json"
    assert [one.choice for one in sent.answers] == ["left", "right", "same", "left", "right"]
    order = [one["id"] for one in json.loads(page.ask("JSON.stringify(study.questions)"))]
    assert [one.question for one in sent.answers] == order
    assert all(0.2 <= one.seconds < 60 for one in sent.answers)
    assert sent == parsed(page.ask("document.querySelector('#text').value").encode())
    results, _ = study_results(tmp_path / "study", [str(file)])
    preferred = {"left": 0, "right": 0, "same": 0}
    for name, choice in zip(order, ("left", "right", "same", "left", "right"), strict=True):
        entry = key["questions"][name]
        if entry["repeats"] is None and choice != "same":
            preferred[choice] += 1
    (pair,) = results["pairs"]
    assert pair["wins"] + pair["losses"] == preferred["left"] + preferred["right"]
    assert results["answers"] == 4


def test_a_judge_answers_with_the_mouse_goes_back_and_changes_an_answer(page: Page, tmp_path: Path) -> None:
    made(tmp_path, "series")
    page.open(tmp_path / "study" / "index.html")
    page.click("#start")
    assert page.ask("document.querySelectorAll('figure path').length") == 4  # two sides, two channels
    page.until(SETTLED)
    page.click("#left")
    page.until(SETTLED)
    page.click("#back")
    assert page.text("#count") == "1 of 5"
    assert page.ask("document.querySelector('#left').getAttribute('aria-pressed')") == "true"
    page.until(SETTLED)
    page.click("#keep")
    assert page.text("#count") == "2 of 5"
    answer(page, "Backspace")
    page.until(SETTLED)
    page.click("#right")
    assert page.ask("state.answers[questions[0].id].choice") == "right"
    answer(page, "Backspace")
    answer(page, "Backspace")  # there is nothing before the first
    assert page.text("#count") == "1 of 5"
    answer(page, "Enter")  # keeps the answer
    assert page.text("#count") == "2 of 5"
    assert page.ask("Object.keys(state.answers).length") == 1


def test_a_second_press_and_a_held_key_answer_nothing(page: Page, tmp_path: Path) -> None:
    made(tmp_path, "images")
    page.open(tmp_path / "study" / "index.html")
    page.press("Enter")
    page.until(SETTLED)
    page.ask(
        "for (const repeat of [false, false, true])"
        " document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft', repeat}))"
    )
    assert page.text("#count") == "2 of 5"
    page.until(SETTLED)
    page.ask("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft', altKey: true}))")
    assert page.text("#count") == "2 of 5"  # Alt and the arrow is the browser's own back


def test_a_reload_goes_on_and_another_person_begins_anew(page: Page, tmp_path: Path) -> None:
    made(tmp_path, "images")
    file = tmp_path / "study" / "index.html"
    page.open(file)
    page.press("Enter")
    answer(page, "ArrowLeft")
    answer(page, "s")
    judge = page.ask("state.judge")
    page.reload()
    assert "Go on (2 of 5 answered)" in page.text("#intro")
    page.click("#start")
    assert page.text("#count") == "3 of 5"
    assert page.ask("state.judge") == judge
    page.click("#stop")
    assert "2 of 5 answered" in page.text("#end")
    assert len(parsed(page.ask("document.querySelector('#text').value").encode()).answers) == 2
    page.click("#on")
    assert page.text("#count") == "3 of 5"
    page.click("#stop")
    page.click("#anew")
    assert page.sees("#end")  # asks once more
    page.click("#anew")
    assert page.text("#start") == "Begin"
    assert page.ask("state.judge") != judge
    page.click("#start")
    page.click("#stop")
    assert "no answer to save" in page.text("#end")
    assert page.ask("document.querySelector('#download').disabled") is True


def test_the_device_keeps_answers_when_the_browser_was_closed(tmp_path: Path) -> None:
    made(tmp_path, "images")
    file = tmp_path / "study" / "index.html"
    with browser(tmp_path / "browser") as page:
        page.open(file)
        page.press("Enter")
        answer(page, "ArrowLeft")
        judge = page.ask("state.judge")
        page.until_on_disk(judge.encode())
    with browser(tmp_path / "browser") as page:
        page.open(file)
        assert page.text("#start") == "Go on (1 of 5 answered)"
        assert page.ask("state.judge") == judge


def test_what_another_page_left_behind_is_not_taken_for_answers(page: Page, tmp_path: Path) -> None:
    made(tmp_path, "images")
    page.open(tmp_path / "study" / "index.html")
    for left in ("'{'", "'null'", "JSON.stringify({judge: 'me', at: 99, answers: {}})"):
        page.ask(f"localStorage.setItem(STORE, {left}); history.replaceState({{[STORE]: 'x'}}, '')")
        page.reload()
        assert page.text("#start") == "Begin"
        assert page.ask("state.at") == 0


def test_text_is_shown_as_it_is_and_never_run(page: Page, tmp_path: Path) -> None:
    made(tmp_path, "text")
    page.open(tmp_path / "study" / "index.html")
    page.press("Enter")
    said = page.ask("document.querySelector('.said').textContent")
    assert said.startswith("</script><script>document.title = 'taken'</script><b>")
    assert "\n  indented ✓" in said
    assert page.ask("document.title") == "Which text is better?"
    assert page.ask("document.querySelectorAll('.said *').length") == 0
    assert page.ask("getComputedStyle(document.querySelector('.said')).whiteSpace") == "pre-wrap"
    page.ask(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert page.ask("window.ran === undefined")  # the policy knows one program
    assert any("Content Security Policy" in told for told in page.complaints)
    page.complaints.clear()


def test_music_is_drawn_and_heard(page: Page, tmp_path: Path) -> None:
    made(tmp_path, "music")
    page.open(tmp_path / "study" / "index.html")
    page.press("Enter")
    assert page.ask("document.querySelectorAll('figure rect').length") == 16
    page.click("figure:nth-child(1) .play")
    assert "Pause" in page.text("figure:nth-child(1) .play")
    page.until("playing.context.currentTime > playing.start + 0.2")
    assert page.ask("Number(document.querySelector('.now').getAttribute('x1')) > 0")
    page.press("2")  # the other side takes over
    assert "Play" in page.text("figure:nth-child(1) .play")
    assert "Pause" in page.text("figure:nth-child(2) .play")
    page.press("2")
    page.until("playing.context.state === 'suspended'")
    at = page.ask("playing.context.currentTime")
    time.sleep(0.1)
    assert page.ask("playing.context.currentTime") == at
    page.press("2")
    page.until(f"playing.context.currentTime > {at}")
    answer(page, "ArrowLeft")
    assert page.ask("playing === null")  # the next pair is silent


def test_the_sound_is_that_of_the_notes(page: Page, tmp_path: Path) -> None:
    """Rendered off line: silence, then a' of 440 Hz, then a drum, then silence; never louder than full scale."""
    made(tmp_path, "music")
    page.open(tmp_path / "study" / "index.html")
    samples = np.array(
        page.ask(
            "(async () => { const context = new OfflineAudioContext(1, 8000 * 3, 8000);"
            " schedule(context, [[0.5, 0.8, 69, 100, 0], [1.6, 0.1, 38, 100, 1]], 0);"
            " return Array.from((await context.startRendering()).getChannelData(0)); })()"
        )
    )
    assert np.abs(samples).max() <= 1
    loud = [float(np.sqrt(np.square(samples[800 * i : 800 * (i + 1)]).mean())) for i in range(30)]
    assert max(loud[:4]) == 0
    assert min(loud[6:12]) > 0.01
    assert loud[16] > 0.01
    assert max(loud[22:]) < 1e-3
    tone = np.abs(np.fft.rfft(samples[4800:9600] * np.hanning(4800)))
    assert np.argmax(tone) * 8000 / 4800 == pytest.approx(440, abs=3)


def test_it_fits_a_phone(page: Page, tmp_path: Path) -> None:
    made(tmp_path, "text")
    page.send("Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=2, mobile=True)
    page.open(tmp_path / "study" / "index.html")
    page.click("#start")
    assert page.ask("document.documentElement.scrollWidth <= 360")
    bottom = page.ask("document.querySelector('#left').getBoundingClientRect().bottom")
    assert bottom <= 640  # the buttons stay in reach
    assert page.ask("document.querySelector('#left').getBoundingClientRect().height") >= 44
    lefts = page.ask("[...document.querySelectorAll('figure')].map((f) => f.getBoundingClientRect().left)")
    assert lefts[0] == lefts[1]  # texts lie one below the other
