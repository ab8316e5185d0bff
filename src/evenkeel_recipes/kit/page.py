"""The page of a run: one HTML file with its tables and pictures inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from matplotlib.figure import Figure

from evenkeel_recipes.kit.checkpoint import write_whole

TEMPLATE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{ title }}</title>
<style>
 body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
 h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2rem }
 table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
 th, td { border-bottom: 1px solid #d0d7de; padding: .3rem .8rem; text-align: right }
 th:first-child, td:first-child { text-align: left }
 img { max-width: 100% } .warning { border-left: 4px solid #b35900; padding-left: .8rem; color: #7a3e00 }
</style>
<h1>{{ title }}</h1>
{% for section in sections %}
<h2>{{ section.title }}</h2>
{% for line in section.lines %}<p{% if section.warning %} class="warning"{% endif %}>{{ line }}</p>
{% endfor %}
{% if section.rows %}<table><tr>{% for name in section.header %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in section.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>{% endif %}
{% for picture, words in section.pictures %}<figure>
<img alt="{{ words }}" src="data:image/png;base64,{{ picture }}"></figure>
{% endfor %}
{% endfor %}
</html>
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands under it: sentences, a table, pictures with what they show."""

    title: str
    lines: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    figures: Sequence[tuple[Figure, str]] = ()
    warning: bool = False

    @property
    def pictures(self) -> list[tuple[str, str]]:
        """The figures as text."""
        return [(base64.b64encode(as_png(figure)).decode(), words) for figure, words in self.figures]


def write_page(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write the page; it needs nothing from anywhere else."""
    page = jinja2.Environment(autoescape=True).from_string(TEMPLATE).render(title=title, sections=sections)
    write_whole(path, page.encode())


def as_png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110, bbox_inches="tight")
    return data.getvalue()
