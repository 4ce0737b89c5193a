"""The image as far as it can be checked without an engine: rules over its text, and its install steps run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "Dockerfile"


def instructions(text: str) -> list[tuple[str, str]]:
    """Word and arguments of each instruction, its continuation lines joined."""
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n?", "", text))
    return [tuple(line.strip().split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def faults(text: str) -> Iterator[str]:
    """What is wrong with a Dockerfile, by the rules that matter here (hadolint's, with its numbers)."""
    lines = instructions(text)
    stages = {rest.split()[-1] for word, rest in lines if word == "FROM" and " AS " in rest}
    copied: list[str] = []
    users: list[str] = []
    for word, rest in lines:
        match word:
            case "FROM":
                image = rest.split()[0]
                if image not in stages and not re.search(
                    r"(:\d+\.\d+\.\d+[\w.-]*|@sha256:[0-9a-f]{64})$", image
                ):
                    yield f"DL3006, DL3007: the base {image} is not pinned"
                users = []
            case "USER":
                users.append(rest)
            case "ADD":
                yield "DL3020: ADD fetches and unpacks: COPY"
            case "COPY":
                copied += rest.split()[:-1]
                if rest.split()[0] in (".", "./"):
                    yield "the whole folder is copied: name what the image needs"
            case "RUN":
                yield from _faults_of_run(rest, copied)
            case "ENV" | "ARG":
                if re.search(r"(PASSWORD|TOKEN|SECRET|API_KEY)\w*=\S", rest):
                    yield f"a secret stands in the image: {rest.split('=')[0]}"
            case "CMD" | "ENTRYPOINT":
                if not rest.startswith("["):
                    yield f"DL3025: {word} is a list, not a line for a shell"
    if not users or users[-1].split(":")[0] in ("0", "root"):
        yield "DL3002: the last user is root"


def _faults_of_run(rest: str, copied: list[str]) -> Iterator[str]:
    if "apt-get install" in rest:
        if "--no-install-recommends" not in rest:
            yield "DL3015: apt-get install without --no-install-recommends"
        if "rm -rf /var/lib/apt/lists" not in rest:
            yield "DL3009: the lists of apt stay in the layer"
    if "sudo " in rest:
        yield "DL3004: sudo"
    if re.search(r"(curl|wget)\b.*\|\s*(ba)?sh", rest):
        yield "DL4006: a script from the net is run unseen"
    for package in re.findall(r"pip install (?:--?\S+ )*([^\s;&-][^\s;&]*)", rest):
        if "==" not in package:
            yield f"DL3013: {package} is not pinned"
    if "pip install" in rest and "--no-cache-dir" not in rest:
        yield "DL3042: pip keeps its cache"
    if "uv sync" in rest:
        if "--locked" not in rest and "--frozen" not in rest:
            yield "the dependencies are not the locked ones"
        if "uv.lock" not in copied:
            yield "the lock is not copied before the dependencies are installed"
        if "--no-install-project" in rest and "pipelines" in copied:
            yield "the code is copied before the dependencies: every change installs them again"


def test_the_image_breaks_no_rule():
    assert list(faults(DOCKERFILE.read_text("utf-8"))) == []


GOOD = "FROM python:3.11.13-slim\nUSER 1000\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM python\nUSER 1", "the base python is not pinned"),
        ("FROM python:latest\nUSER 1", "the base python:latest is not pinned"),
        ("FROM python:3\nUSER 1", "the base python:3 is not pinned"),
        ("FROM python:3.11.13-slim\n", "root"),
        (GOOD + "USER root\n", "root"),
        (GOOD + "USER 0:0\n", "root"),
        (GOOD + "ADD https://example.org/x.tar /x\n", "DL3020"),
        (GOOD + "COPY . .\n", "the whole folder"),
        (GOOD + "RUN apt-get install -y git && rm -rf /var/lib/apt/lists/*\n", "DL3015"),
        (GOOD + "RUN apt-get install -y --no-install-recommends git\n", "DL3009"),
        (GOOD + "RUN pip install --no-cache-dir uv\n", "uv is not pinned"),
        (GOOD + "RUN pip install uv==1.0\n", "DL3042"),
        (GOOD + "RUN curl -s https://x.example/i.sh | sh\n", "DL4006"),
        (GOOD + "ENV API_TOKEN=abc\n", "a secret stands in the image"),
        (GOOD + "CMD mozart\n", "DL3025"),
        (GOOD + "RUN uv sync --locked\n", "the lock is not copied"),
        (GOOD + "COPY uv.lock ./\nRUN uv sync\n", "not the locked ones"),
        (GOOD + "COPY uv.lock pipelines ./\nRUN uv sync --locked --no-install-project\n", "every change"),
    ],
)
def test_each_rule_finds_its_fault(text, said):
    assert any(said in fault for fault in faults(text)), list(faults(text))


def test_it_agrees_with_the_project():
    text = DOCKERFILE.read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = set(re.search(r'ARG EXTRAS="([^"]*)"', text)[1].split()) | {"gpu"}
    assert extras <= set(project["project"]["optional-dependencies"])
    floors = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    copied = {rest.split()[0] for word, rest in instructions(text) if word == "COPY"}
    assert floors <= copied
    assert f"mozart-python:{project['project']['version']} ." in text


def test_the_builder_sees_only_what_is_copied():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"}
    lines = instructions(DOCKERFILE.read_text("utf-8"))
    copied = [rest.split()[:-1] for word, rest in lines if word == "COPY" and "--from" not in rest]
    assert kept == {name for names in copied for name in names}
    assert "*" in (ROOT / ".dockerignore").read_text("utf-8").splitlines()


@pytest.mark.slow
def test_its_install_steps_make_an_environment_that_works(tmp_path):
    """Runs ENV, COPY and RUN of the first stage as written, in a folder for / and a fresh environment."""
    tools, opt, source = tmp_path / "tools", tmp_path / "opt", tmp_path / "src"
    subprocess.run([sys.executable, "-m", "venv", tools], check=True)
    source.mkdir()
    environment = {name: os.environ[name] for name in ("HOME", "LANG", "SSL_CERT_FILE") if name in os.environ}
    environment |= {"PATH": f"{tools}/bin:/usr/bin:/bin", "EXTRAS": "s3"}
    first = DOCKERFILE.read_text("utf-8").split("\nFROM ")[1]
    for word, rest in instructions("FROM " + first):
        if word == "ENV":
            variables = dict(pair.split("=", 1) for pair in rest.split())
            environment |= {name: value.replace("/opt/", f"{opt}/") for name, value in variables.items()}
        elif word == "COPY":
            *names, _ = rest.split()
            for name in names:
                into = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                into(ROOT / name, source / name)
        elif word == "RUN":
            # the cache of this machine is used, so that the test fetches nothing twice
            step = rest.replace(" --no-cache ", " ")
            subprocess.run(["/bin/sh", "-ec", step], cwd=source, env=environment, check=True, timeout=1500)
    shutil.rmtree(source)
    mozart = opt / "mozart/bin/mozart"
    elsewhere = {"PATH": f"{opt}/mozart/bin:/usr/bin:/bin", "MOZART_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [mozart, "compile", "digits-vae", "-o", "p.yaml"],
        cwd=tmp_path,
        env=elsewhere,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    code = "import json, importlib.util as u; print(json.dumps([bool(u.find_spec(n)) for n in ('pytest', 'boto3')]))"
    found = subprocess.run(
        [opt / "mozart/bin/python", "-c", code], env=elsewhere, capture_output=True, text=True
    )
    assert json.loads(found.stdout) == [False, True], (
        "no tools of development, and the extra that was asked for"
    )


@pytest.mark.slow
def test_the_variant_for_gpus_is_locked_too(tmp_path):
    """Gigabytes, so it is resolved and not installed: each package of it has a wheel and a hash in the lock."""
    wanted = subprocess.run(
        ["uv", "export", "--locked", "--no-dev", "--no-emit-project", "--extra", "gpu", "--extra", "s3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.search(r"(?m)^nvidia-cudnn-cu12==\S+", wanted)
    pinned = re.findall(r"(?m)^[a-z0-9][\w.\[\]-]*==\S+", wanted)
    assert len(pinned) == len(re.findall(r"(?m)^\S+==[^\n]*\\\n    --hash=sha256:", wanted))
