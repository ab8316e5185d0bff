"""Imports that a patch needs come where the imports of the file are, once, and only where they are missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evenkeel.core.edit import Edit, Span
from evenkeel.patch import Refusal, patched
from evenkeel.patch.apply import Patched

Spans = Callable[..., Span]
LINE = "y = target(x)\n"
OPS = "from evenkeel import ops"


def after(text: str, spans: Spans, *imports: str) -> str:
    """The text with `target(x)` replaced by something that needs the imports."""
    done = patched(text, [Edit(span=spans(text, "target(x)"), template="new(x)", imports=imports)])
    assert isinstance(done, Patched), done
    return done.text.replace("new(x)", "target(x)")


PLACES = {
    "after the plain imports": (
        f"import os\n\nimport torch\nfrom torch import nn\n\n{LINE}",
        f"import os\n\nimport torch\nfrom evenkeel import ops\nfrom torch import nn\n\n{LINE}",
    ),
    "after those with another name": (
        f"import torch.nn.functional as F  # as ever\n\n\n{LINE}",
        f"import torch.nn.functional as F  # as ever\nfrom evenkeel import ops\n\n\n{LINE}",
    ),
    "before the first from": (
        f'"""Doc."""\n\n# ours\nfrom torch import nn\n{LINE}',
        f'"""Doc."""\n\n# ours\nfrom evenkeel import ops\nfrom torch import nn\n{LINE}',
    ),
    "below future imports": (
        f'"""Doc."""\n\nfrom __future__ import annotations\n{LINE}',
        f'"""Doc."""\n\nfrom __future__ import annotations\n\nfrom evenkeel import ops\n\n{LINE}',
    ),
    "below the docstring": (f'"""Doc."""\n\n\n{LINE}', f'"""Doc."""\n\nfrom evenkeel import ops\n\n\n{LINE}'),
    "at the top": (
        f"#!/usr/bin/env python\n# é\n{LINE}",
        f"#!/usr/bin/env python\n# é\nfrom evenkeel import ops\n\n{LINE}",
    ),
    "line ends of Windows": (
        f"import torch\r\n\r\n{LINE}".replace("x)\n", "x)\r\n"),
        "import torch\r\nfrom evenkeel import ops\r\n\r\ny = target(x)\r\n",
    ),
    "an import further down is not at the top": (
        f"import torch\n{LINE}from evenkeel import ops\n",
        f"import torch\n{LINE}from evenkeel import ops\n",
    ),
    "not among those of a block": (
        f"import torch\nif c:\n    from evenkeel import ops\n{LINE}",
        f"import torch\nfrom evenkeel import ops\nif c:\n    from evenkeel import ops\n{LINE}",
    ),
}


@pytest.mark.parametrize(("text", "wanted"), PLACES.values(), ids=PLACES)
def test_places(text: str, wanted: str, spans: Spans) -> None:
    """Whatever the file begins with; everything else stays."""
    assert after(text, spans, OPS) == wanted


@pytest.mark.parametrize(
    "text",
    [
        f"from evenkeel import ops\n{LINE}",
        f"import math\nfrom evenkeel import skip, ops\n{LINE}",
        f"try:\n    from evenkeel import ops\nexcept ImportError:\n    raise\n{LINE}",
        "def f(x):\n    from evenkeel import ops\n    y = target(x)\n",
    ],
)
def test_what_is_there_is_not_imported_again(text: str, spans: Spans) -> None:
    """At the top of the file, or of the function."""
    assert after(text, spans, OPS) == text


def test_a_part_of_a_package_brings_the_package(spans: Spans) -> None:
    """`import torch.nn` makes the name `torch`; `import torch.nn as nn` does not."""
    assert after(f"import torch.nn\n{LINE}", spans, "import torch") == f"import torch.nn\n{LINE}"
    wanted = f"import torch.nn as nn\nimport torch\n{LINE}"
    assert after(f"import torch.nn as nn\n{LINE}", spans, "import torch") == wanted


def test_several_edits_share_an_import(spans: Spans) -> None:
    """It is added once."""
    text = "import torch\na = f(x)\nb = g(x)\n"
    edits = [Edit(span=spans(text, call), template="1", imports=(OPS,)) for call in ("f(x)", "g(x)")]
    done = patched(text, edits)
    assert isinstance(done, Patched)
    assert done.text == "import torch\nfrom evenkeel import ops\na = 1\nb = 1\n"


@pytest.mark.parametrize(
    "text",
    [
        f"from mine import ops\n{LINE}",
        f"import ops\n{LINE}",
        f"import mine as ops\n{LINE}",
        f"ops = 3\n{LINE}",
        f"for ops in z: pass\n{LINE}",
        f"class ops: pass\n{LINE}",
        f"from evenkeel import ops\nif c:\n    ops = None\n{LINE}",
        "def f(x, ops):\n    y = target(x)\n",
        "def f(x, *ops):\n    y = target(x)\n",
        "def f(x):\n    ops = 3\n    y = target(x)\n",
        "def f(ops):\n    def g(x):\n        y = target(x)\n",
    ],
)
def test_a_name_that_is_taken(text: str, spans: Spans) -> None:
    """The patch would call something else."""
    done = patched(text, [Edit(span=spans(text, "target(x)"), template="1", imports=(OPS,))])
    assert done == Refusal("the patch needs `from evenkeel import ops`, and ops is something else in this file")


@pytest.mark.parametrize(
    "text",
    [
        f"def f(ops):\n    pass\n{LINE}",
        f"x.ops = 3\n{LINE}",
        f"y = [ops for ops in z]\n{LINE}",
    ],
)
def test_a_name_that_is_taken_elsewhere(text: str, spans: Spans) -> None:
    """In another function, as an attribute, in a comprehension."""
    assert after(text, spans, OPS) == f"from evenkeel import ops\n\n{text}"
