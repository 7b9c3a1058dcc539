"""Data, style and script of a page: no text becomes markup, and the policy names exactly what the page brings along."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabench.files.html import END, content_policy, inline_json, own_head, start


@given(st.text())
def test_any_text_is_json_without_markup(text):
    found = inline_json([text])
    assert not {"<", ">", "&"} & {*found}
    assert json.loads(found) == [text]


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        inline_json(float("nan"))


def test_the_policy_names_the_style_and_the_script_and_allows_nothing_else():
    policy = content_policy("b {}", "run()")
    for text in ("b {}", "run()"):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_a_page_is_whole_and_its_title_is_text():
    page = start("<b>&", own_head("b {}", "run()")) + "<p>here</p>" + END
    assert page.startswith('<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">')
    assert "<title>&lt;b&gt;&amp;</title>" in page
    assert page.index("Content-Security-Policy") < page.index("<style>b {}</style>") < page.index("<p>here</p>")
    assert page.endswith("</body>\n</html>\n")
