"""The files of configs/, for tests."""

import importlib.util
import pathlib

CONFIGS = sorted((pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))


def load_config(path):
    """What `wing-train --config=path` would get."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def smoke_config(records, **changes):
    """The smoke config with changes, named as on the command line."""
    config = load_config(next(path for path in CONFIGS if path.stem == "smoke"))
    config.data.path = str(records)
    config.update_from_flattened_dict(changes)
    return config
