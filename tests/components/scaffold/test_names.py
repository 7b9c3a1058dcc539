"""Names: which can be a package, a module and a class; who has one already."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabench.components.hookspecs import Component, hookimpl
from dabench.components.registry import PluginStatus, Registry
from dabench.components.scaffold import check_free, render
from dabench.components.scaffold.names import camel_case, check_name, module_name
from dabench.errors import ConfigError, UnknownNameError


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("My_Method", "Did you mean 'my-method'"),
        ("my method", "Did you mean 'my-method'"),
        ("2stage", "Did you mean 'stage'"),
        ("-", "Example: my-method"),
        ("my-method@1", "Did you mean 'my-method-1'"),
        ("../escape", "Did you mean 'escape'"),
        ("class", "'class' belongs to Python"),
        ("json", "'json' belongs to Python"),
    ],
)
def test_impossible_names(name, words):
    with pytest.raises(ConfigError, match="cannot be a plugin's name") as caught:
        render(name, "method")
    assert words in str(caught.value)


@given(st.text(max_size=12))
def test_what_passes_is_a_module_and_a_class(name):
    try:
        check_name(name)
    except ConfigError:
        return
    assert module_name(name).isidentifier()
    assert camel_case(name).isidentifier()


@pytest.mark.parametrize(("name", "kind"), [("reader", "reader"), ("boxes", "weak_label"), ("adaptation", "method")])
def test_a_class_that_the_module_needs(name, kind):
    with pytest.raises(ConfigError, match=f"would name a class {camel_case(name)}"):
        render(name, kind)


def test_unknown_kind():
    with pytest.raises(UnknownNameError, match="unknown kind 'metod'") as caught:
        render("my-method", "metod")
    assert caught.value.near[0] == "method"


def test_a_protocol_has_a_version():
    assert render("my-score", "protocol").component == "my-score@1"


@pytest.fixture
def taken() -> Registry:
    """A registry in which a stranger's package has a method ``walnut`` behind the entry point ``nuts``."""

    class Plugin:
        @hookimpl
        def register_methods(self, register):
            register(Component("walnut", object, summary="", licence=""))

    registry = Registry()
    registry.add(Plugin(), PluginStatus("nuts", "dabench-nuts"))
    return registry


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("walnut", "method 'walnut' is already registered by dabench-nuts (plugin nuts)"),
        ("nuts", "dabench-nuts has a plugin 'nuts' already"),
        ("scikit-image", "a package 'scikit-image' is installed here"),
        ("skimage", "another module 'skimage'"),
    ],
)
def test_taken_names(taken, tmp_path, name, words):
    with pytest.raises(ConfigError) as caught:
        check_free(name, name, tmp_path / name, taken)
    assert words in str(caught.value)
    assert f"Choose another name, for example {name}-2" in str(caught.value)


def test_a_free_name(taken, tmp_path):
    check_free("hazelnut", "hazelnut", tmp_path / "hazelnut", taken)


def test_its_own_name_may_be_written_again(tmp_path):
    """With ``force``, and only in the folder that has it."""

    class Plugin:
        @hookimpl
        def register_methods(self, register):
            register(Component("walnut", object, summary="", licence=""))

    registry = Registry()
    registry.add(Plugin(), PluginStatus("walnut", "walnut"))
    (tmp_path / "walnut").mkdir()
    check_free("walnut", "walnut", tmp_path / "walnut", registry, force=True)
    for folder, force in ((tmp_path / "walnut", False), (tmp_path / "elsewhere", True)):
        with pytest.raises(ConfigError, match="already registered by walnut"):
            check_free("walnut", "walnut", folder, registry, force=force)
