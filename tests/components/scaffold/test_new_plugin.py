"""``dabench new-plugin``: what it writes, what it prints, what it refuses."""

from __future__ import annotations

import shlex

import pytest
import typer.main
from typer.testing import CliRunner

from dabench.cli.main import app
from dabench.components.scaffold import render, write
from dabench.errors import ConfigError


def call(*arguments):
    return CliRunner().invoke(app, ["new-plugin", *map(str, arguments)])


def test_ends_with_the_next_three_commands(tmp_path):
    done = call("my-scheme", "--kind", "self-training", "--directory", tmp_path)
    assert done.exit_code == 0, done.output
    folder = tmp_path / "my-scheme"
    assert (folder / "my_scheme" / "__init__.py").is_file()
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[-3:-1] == [f"pip install --editable {folder}", "dabench plugins check my-scheme"]
    assert lines[-1].startswith("dabench run --method prompt-das --set prompt-das.self_training=my-scheme ")


@pytest.mark.parametrize("kind", ["backbone", "preference-optimizers", "weak_label"])
def test_kinds_go_by_any_of_their_names(tmp_path, kind):
    assert call("my-own", "--kind", kind, "--directory", tmp_path).exit_code == 0


def test_commands_that_are_shown_exist(plugins):
    """Their words and options; whether they work is shown by the page, and by hand."""
    for plugin in plugins.values():
        group = typer.main.get_command(app)
        words = shlex.split(plugin.use)[1:]
        while words and words[0] in getattr(group, "commands", {}):
            group = group.commands[words.pop(0)]
        options = {option for parameter in group.params for option in parameter.opts}
        assert group.name not in (None, "dabench"), plugin.use
        assert {word for word in words if word.startswith("--")} <= options, plugin.use


def test_an_existing_folder_is_left_alone(tmp_path):
    plugin = render("my-method", "method")
    folder = write(plugin, tmp_path)
    code = folder / "my_method" / "__init__.py"
    code.write_text("my work")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists already; its files are written over by --force"):
        write(plugin, tmp_path)
    assert code.read_text() == "my work"
    write(plugin, tmp_path, force=True)
    assert code.read_text() == plugin.files["my_method/__init__.py"]
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "my-method").write_text("")
    with pytest.raises(ConfigError, match="it is a file"):
        write(render("my-method", "method"), tmp_path, force=True)


def test_a_taken_name_writes_nothing(tmp_path):
    done = call("mean-teacher", "--kind", "self-training", "--directory", tmp_path)
    assert isinstance(done.exception, ConfigError)
    assert "registered by dabench (plugin mean-teacher)" in str(done.exception)
    assert list(tmp_path.iterdir()) == []
