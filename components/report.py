"""The page of one run: what came out, how good it is, and what it was made of. One HTML file.

It stands alone (pictures and charts inside, no script, nothing from the network) and is written
however the run ended: what is not there is said to be not there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from components.artifacts import explain_os_error, read_json
from components.metrics import METRICS
from components.pages import number, template
from components.pictures import show
from components.provenance import now
from components.report_data import data_shown
from components.report_quality import quality
from components.train import HISTORY, read_history

TEMPLATE = "report.html.j2"


def write_report(
    page: Path,
    *,
    name: str,
    recipe: dict[str, Any] | None = None,
    statistics: Path | None = None,
    validation: Path | None = None,
    model: Path | None = None,
    evaluation: Path | None = None,
    release: Path | None = None,
    failure: str = "",
) -> None:
    """Writes the file `page` about the run `name` from the artifact folders that there are.

    Args:
        recipe: what was asked for; by default what the model's provenance says.
        failure: why the run stopped, for the person who reads; empty where it did not.

    Raises:
        ResourceError: the page cannot be written.
    """
    found = {
        "statistics": _json(statistics, "statistics.json"),
        "validation": _json(validation, "report.json"),
        "model": _json(model, "model.json"),
        "provenance": _json(model, "provenance.json"),
        "evaluation": _json(evaluation, "evaluation.json"),
        "release": _json(release, "release.json"),
    }
    provenance, measured = found["provenance"] or {}, found["evaluation"]
    recipe = recipe or provenance.get("recipe") or {}
    family = (found["model"] or measured or recipe.get("model") or {}).get("family", "")
    html = template(TEMPLATE).render(
        **found,
        name=name,
        failure=failure,
        family=family,
        about=_about(family),
        badge=_badge(found, failure),
        date=(provenance.get("created") or now())[:16].replace("T", " "),
        quality=quality(measured) if measured else None,
        metrics=METRICS,
        shown=show(evaluation) if measured and evaluation else {},
        curves=_curves(model, family) if model and found["model"] else [],
        data=data_shown(found["statistics"]) if found["statistics"] else None,
        recipe=_yaml(recipe),
    )
    beside = page.with_name(f".{page.name}.{os.getpid()}.tmp")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(html, "utf-8")
        os.replace(beside, page)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise explain_os_error(error, page) from error


def _json(folder: Path | None, file: str) -> Any:
    """What a folder's file says, or None where the run did not come so far."""
    return read_json(folder / file) if folder and (folder / file).is_file() else None


def _yaml(value: Any) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=96) if value else ""


def _about(family: str) -> Any:
    """What the family says of itself; None for one that this Mozart does not have."""
    from keras_models import describe, families

    return describe(family) if family in families() else None


def _badge(found: dict[str, Any], failure: str) -> tuple[str, str]:
    """The end of the run: a tone (good, bad, open, plain) and a few words."""
    release, measured, gate_1 = found["release"], found["evaluation"], found["validation"]
    if release:
        said = f"version {release['version']}"
        return ("good", f"published as {said}") if release["champion"] else ("plain", f"{said}, not promoted")
    if measured and not measured["verdict"]["blessed"]:
        undecided = measured["verdict"].get("outcome") == "inconclusive"
        return ("open", "inconclusive, not published") if undecided else ("bad", "refused")
    if gate_1 and gate_1["verdict"] != "pass":
        return "bad", "data refused"
    if failure:
        return "bad", "stopped"
    return ("good", "passed its gates") if measured else ("plain", "not finished")


def _curves(model: Path, family: str) -> list[Any]:
    """One chart for each value that the training reported."""
    from markupsafe import Markup

    from components.charts import curve

    rows = read_history(model / HISTORY) if (model / HISTORY).is_file() else []
    about = _about(family)
    exact = bool(about and about.likelihood != "none")
    epochs = [row["epoch"] for row in rows]
    charts = []
    for name in sorted(rows[0], key=lambda name: name != "loss") if rows else ():
        values = [row[name] for row in rows]
        unit = "log-odds" if "logit" in name else "nats" if exact else ""
        if name != "epoch":
            title = f"{name.replace('_', ' ')}: {number(values[-1])} at the end"
            charts.append(Markup(curve(title, epochs, values, unit)))
    return charts
