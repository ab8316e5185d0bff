"""The page stands alone, shows other people's text as text, and can be read in light and dark."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from evenkeel.core.incident import Incident
from evenkeel.report.as_html import render

VOID = {"meta", "br"}
EVIL = "<script>alert('x')</script>&amp;"


class Page(HTMLParser):
    """Collects text and tags, and insists that every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    def count(self, tag: str, css_class: str) -> int:
        """How many elements of that tag and class there are."""
        return sum(name == tag and css_class in (attrs.get("class") or "").split() for name, attrs in self.tags)


def test_the_page_tells_everything(incident: Incident) -> None:
    """Facts of every section."""
    page = Page(render(incident))
    for fact in (
        "step 12: the loss is NaN",
        "train.py:7 in kl_divergence, module encoder.head, forward pass",
        "log returned 2 -inf among 1,280 elements",
        "3 and 7 of the 64 in the batch",
        "aten.log.default",
        "[3, 17]: log(0) = -inf",
        "the inputs of the softmax lie 112 apart",
        "evenkeel explain EK201",
        "The batch reaches 812",
        "verified: with log_softmax at line 7 this step is finite: loss 5.64",
        "samples 3 and 7 left out",
        "infinity born",
        "torch 2.13.0",
        "train.py --epochs 3",
    ):
        assert fact in page.text, fact
    assert page.count("span", "marked") == 1


def test_nothing_is_loaded_or_run(incident: Incident) -> None:
    """One file without scripts, links or anything fetched from elsewhere."""
    html = render(incident)
    page = Page(html)
    assert {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "embed"} == set()
    names = {name for _, attrs in page.tags for name in attrs}
    assert names & {"src", "href"} == set()
    assert not [name for name in names if name.startswith("on")]
    assert not re.search(r"https?:|url\(|@import", html)


def test_other_peoples_text_is_shown_as_text(incident: Incident) -> None:
    """In every field that holds text, at once."""
    origin = incident.case.origin
    assert origin is not None
    operation = replace(origin.operation, op=EVIL, function=EVIL, module=EVIL)
    tensor = replace(operation.inputs[0], name=EVIL)
    evil = replace(
        incident,
        command=EVIL,
        causes=(replace(incident.causes[0], text=EVIL, evidence=(EVIL,)),),
        advice=(replace(incident.advice[0], text=EVIL, diff=f"-{EVIL}"),),
        environment=((EVIL, EVIL),),
        case=replace(
            incident.case,
            symptom=replace(incident.case.symptom, kind="buffer", name=EVIL),
            origin=replace(origin, operation=replace(operation, inputs=(tensor,)), term=EVIL, module=EVIL),
        ),
    )
    page = Page(render(evil))
    assert page.text.count(EVIL) > 10
    assert "script" not in {tag for tag, _ in page.tags}


def test_a_loss_that_is_not_finite_gets_no_height(incident: Incident) -> None:
    """It is a dashed line with its name, not a point of the curve."""
    page = Page(render(incident))
    assert page.count("g", "missing") == 1
    assert page.count("circle", "dot") == len(incident.case.losses) + len(incident.case.weight_peaks)
    points = [attrs["points"] or "" for tag, attrs in page.tags if tag == "polyline"]
    assert len(points) == 2
    assert len(points[0].split()) == len(incident.case.losses)
    assert "step 12: NaN" in page.text
    for label in ("31.2", "5.2", "step 0", "step 12"):
        assert label in page.text


def test_a_step_that_could_not_be_repeated_has_a_page(bare: Incident) -> None:
    """Next to nothing is known, and that is said."""
    page = Page(render(bare))
    assert "was not found" in page.text
    assert "not reproduced (the loop takes its data in its own way)" in page.text
    assert page.count("span", "marked") == 0


def colours(css: str) -> dict[str, str]:
    """The custom properties of a rule."""
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", css))


def luminance(colour: str) -> float:
    """Relative luminance as the accessibility guidelines define it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_background(incident: Incident, theme: str) -> None:
    """At least 4.5 to 1, in both themes."""
    light, dark = render(incident).split("@media (prefers-color-scheme: dark)")
    palette = colours(light if theme == "light" else dark)
    assert len(palette) == 10
    pairs = [(ink, back) for ink in ("ink", "soft", "bad", "good", "accent") for back in ("page", "card", "code")]
    pairs += [("ink", "bad-back"), ("soft", "bad-back")]
    for ink, back in pairs:
        lighter, darker = sorted((luminance(palette[ink]), luminance(palette[back])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (ink, back)


def test_the_diff_is_shown_by_line(incident: Incident) -> None:
    """What goes and what comes, as text."""
    diff = "--- a/t.py\n+++ b/t.py\n@@ -1 +1 @@\n-x = '<b>'\n+x = '<i>'\n"
    page = Page(render(replace(incident, advice=(replace(incident.advice[0], diff=diff),))))
    assert [page.count("span", kind) for kind in ("file", "where", "minus", "plus")] == [2, 1, 1, 1]
    assert "-x = '<b>'\n+x = '<i>'" in page.text
