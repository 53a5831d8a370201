"""Scale and up in the report: who decided, and the table of votes."""

from __future__ import annotations

from html import escape
from typing import Any

from phone2sim.sim_export.report.figures import interval_bar


def metric_html(metric: dict[str, Any]) -> str:
    """Of `metric.json`: one line on who decided, the answer, and every vote with what became of it."""
    rows = []
    flagged = bool(metric.get("flagged"))
    decided = f"<p>{escape(_sentence(str(metric['decided'])))}</p>" if metric.get("decided") else ""
    for part in ("scale", "up"):
        if source := metric.get(f"{part}_source"):
            chip = f'<span class="chip{" warn" if flagged else ""}">{escape(str(source).replace("_", " "))}</span>'
            rows.append(f"<tr><th>{part} from</th><td>{chip}</td></tr>")
    if metric.get("scale_interval"):
        low, high = metric["scale_interval"]
        text = f"between {low:.3f} and {high:.3f} times what is reported here"
        rows.append(f"<tr><th>true size</th><td>{text}{interval_bar(1.0, low, high)}</td></tr>")
    if metric.get("up_interval_deg") is not None:
        rows.append(f"<tr><th>up</th><td>within {metric['up_interval_deg']:.2g}°</td></tr>")
    html = f'{decided}<div class="wide"><table>{"".join(rows)}</table></div>'
    votes = [v for v in metric.get("votes", []) if isinstance(v, dict)]
    if not votes:
        return html
    chosen = float((metric.get("scale") or {}).get("value") or 0.0)
    for about, title in (("scale", "Who voted on the scale"), ("up", "Who voted on up")):
        mine = [v for v in votes if v.get("about") == about]
        mine.sort(key=lambda v: not v.get("used", False))
        if mine:
            html += f'<h3>{title}</h3><div class="wide"><table>{"".join(_vote(v, chosen) for v in mine)}</table></div>'
    return html


def _vote(vote: dict[str, Any], chosen: float) -> str:
    """A row: who, what they say relative to what was chosen, what became of it, and on what evidence."""
    if vote.get("about") == "scale" and chosen:
        low, value, high = (vote[k] / chosen for k in ("low", "value", "high"))
        says = f"{value:.4g} × the chosen size <span class='soft'>({low:.4g} – {high:.4g})</span>"
    elif "from_chosen_deg" in vote:
        says = f"{vote['from_chosen_deg']:.2g}° from the chosen up <span class='soft'>(± {vote['interval_deg']:.2g}°)</span>"
    else:
        says = escape(", ".join(f"{k} {v}" for k, v in vote.items() if k not in ("about", "source")))
    state = ""
    if "used" in vote:
        verdict = str(vote.get("verdict", ""))
        out = verdict.startswith("outvoted")
        kind, word = ("good", "decides") if vote["used"] else ("bad", "outvoted") if out else ("", "not used")
        word = "guesses" if vote.get("guess") and not out else word
        state = f'<span class="chip {kind}">{word}</span>'
        state += f"<span class='soft'>{escape(verdict.removeprefix('outvoted '))}</span>"
    who, why = escape(str(vote.get("source", "?"))), escape(str(vote.get("why", "")))
    return f"<tr><th>{who}</th><td>{says}</td><td>{state}</td><td class='soft'>{why}</td></tr>"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
