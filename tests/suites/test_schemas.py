"""JSON schemas accept every file that dabench takes, and refuse what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dabench.errors import UnknownNameError
from dabench.files.yaml import read_yaml
from dabench.suites.schemas import SCHEMAS, schema

jsonschema = pytest.importorskip("jsonschema", reason="checks schemas; Ray brings it")
ROOT = Path(__file__).parents[2]
CARDS = sorted(ROOT.glob("plugins/*/cards/*.yaml"))
SUITES = sorted([*ROOT.glob("benchmarks/suites/*.yaml"), *ROOT.glob("plugins/dabench_papers/*/*.yaml")])


@pytest.fixture(scope="module")
def validators(registry):
    made = {name: schema(name, registry) for name in SCHEMAS}
    for one in made.values():
        jsonschema.Draft202012Validator.check_schema(one)
    return {name: jsonschema.Draft202012Validator(one) for name, one in made.items()}


def problems(validator, values):
    """Where a file breaks the schema; keys that are numbers are words in JSON, as editors see them."""
    found = validator.iter_errors(json.loads(json.dumps(values)))
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


@pytest.mark.parametrize(("kind", "path"), [*(("card", p) for p in CARDS), *(("suite", p) for p in SUITES)], ids=str)
def test_every_file_of_ours_fits(validators, kind, path):
    assert problems(validators[kind], read_yaml(path)) == []


CONFIG = {"method": "prefer-das", "task": "vnc2lucchi", "preset": "small", "budget": {"points": 0.15}, "po": "slpo"}


def test_a_configuration_fits_with_its_methods_settings_and_options(validators):
    options = {"mean-teacher": {"decay": 0.995}, "preference_optimizer:slpo": {"beta": 0.5}}
    assert problems(validators["config"], {**CONFIG, "options": options}) == []


@pytest.mark.parametrize(
    ("kind", "values", "where"),
    [
        ("config", {"method": "source-only"}, "$: 'task'"),
        ("config", {**CONFIG, "seed": -1}, "$.seed"),
        ("config", {**CONFIG, "budget": {"point": 0.15}}, "$.budget"),
        ("config", {**CONFIG, "options": {"source-only": {"learning_rate": 1}}}, "$.options['source-only']"),
        ("suite", {"name": "a", "rows": {"one": {"method": "source-only", "seed": "x"}}}, "$.rows.one.seed"),
        ("suite", {"name": "a", "axis": {}}, "$: "),
        (
            "card",
            {"name": "mine", "description": "", "splits": {"train": {"image": "a.tif"}}, "voxel": [1, 1, 1]},
            "$.s",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_dabench_refuses_is_refused_where_it_stands(validators, kind, values, where):
    assert any(one.startswith(where) for one in problems(validators[kind], values))


def test_methods_that_are_installed_are_suggested(validators, registry):
    assert validators["config"].schema["properties"]["method"]["examples"] == sorted(registry.names("method"))


def test_another_kind_of_file_has_no_schema(registry):
    with pytest.raises(UnknownNameError, match="card"):
        schema("cards", registry)
