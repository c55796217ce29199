"""The report of an export as one page without scripts, that opens from a disk."""

from html import escape
from typing import Any

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;border-bottom:1px solid #ddd;"
    "text-align:right}td:first-child,th:first-child{text-align:left}.bad{color:#b00020}.good{color:#1b6e20}"
    "@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}td,th{border-color:#444}"
    ".bad{color:#ff8a80}.good{color:#81c784}}"
)


def page(report: dict[str, Any]) -> str:
    """Return the page.

    Args:
        report: What ``export.json`` holds.
    """
    verdict = report["failures"] or ["The exported model finds what the model finds."]
    colour = "bad" if report["failures"] else "good"
    parity = report["parity"]
    precision = parity["precision"] + (f" ({report['quantised']})" if "quantised" in report else "")
    objects = [
        [
            t["task"],
            t["objects"],
            t["found"],
            t["extra"],
            _short(t["ap"]),
            _short(t["score"]),
            _short(t["box"]),
        ]
        for t in parity["tasks"]
    ]
    times = [
        [name, _short(ms["p50"]), _short(ms["p95"])]
        for name, ms in (("torch", parity["torch_ms"]), (parity["runtime"], parity["export_ms"]))
    ]
    return "".join(
        [
            "<!doctype html><html lang=en><meta charset=utf-8>",
            "<meta name=viewport content='width=device-width'>",
            f"<title>Export of {escape(report['model'])}</title><style>{_STYLE}</style>",
            f"<h1>{escape(report['file'])}</h1>",
            *(f"<p class={colour}>{escape(line)}</p>" for line in verdict),
            f"<p>{escape(parity['runtime'])}, {precision}, {parity['megabytes']:.1f} MB, input "
            f"{report['input']}, {report['images']} images compared ({escape(report['shown'])}).</p>",
            "<h2>Objects</h2>",
            _table(["task", "model", "found too", "extra", "AP", "score gap", "box gap (px)"], objects),
            "<h2>Milliseconds for one image</h2>",
            _table(["runtime", "p50", "p95"], times),
            "<h2>Largest difference of each output</h2>",
            _table(["output", "difference"], [[n, f"{v:.2g}"] for n, v in parity["gaps"].items()]),
            "</html>\n",
        ]
    )


def _short(value: float) -> str:
    return f"{value:.4g}"


def _table(heads: list[str], rows: list[list[Any]]) -> str:
    head = "".join(f"<th>{escape(text)}" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(v))}" for v in row) for row in rows)
    return f"<table><tr>{head}{body}</table>"
