"""What a model, a data file or a stranger may put into any text of a run."""

from __future__ import annotations

MARK = "window.pwned"
CORPUS = [
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=2</script>",
    "<!--<script>",
    "]]><svg/onload=window.pwned=3>",
    "<img src=x onerror='window.pwned=4'>",
    "\"><body onload=window.pwned=5>",
    "' autofocus onfocus='window.pwned=6",
    "<a href=\"javascript:window.pwned=7\">click</a>",
    "{{ 7 * 7 }}{% for x in range(9) %}{{ x }}{% endfor %}",
    "</title><meta http-equiv=refresh content='0;url=https://example.com/'>",
    "</details></pre></table><iframe src=https://example.com/>",
    "\x00\x01\x1b[31mred\x1b]0;title\x07\x7f\x9b",
    "\ud800 alone \udfff",
    "\u202e reversed \u2066 \ufeff \u200b \u2028 \u2029",
    "&lt;script&gt;&#60;script&#62;",
    "=HYPERLINK(\"https://example.com\")",
    "../../../../etc/passwd\\..\\..",
    "x" * 1_000_000,
]  # fmt: skip
