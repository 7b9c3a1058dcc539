"""Data, style and script of a page: no text becomes markup, and the policy names exactly what the page brings along."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabench.files.html import content_policy, inline_json


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
