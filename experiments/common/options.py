"""``key=value`` settings of the commands that are not trainers: a dataclass says which there are and of what type."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from experiments.common.errors import UserError

Options = TypeVar("Options")


def parse_options(
    schema: type[Options],
    arguments: Sequence[str] | None = None,
    *,
    choices: Mapping[str, Iterable[Any]] | None = None,
    description: str | None = None,
) -> Options:
    """``key=value`` arguments (default: the process's own) as an instance of the dataclass ``schema``.

    A field whose default is OmegaConf's ``MISSING`` must be given; a field that is itself a dataclass has keys with
    a dot. Text is taken as it stands (a digest may look like a number), a list is written ``[a,b]`` or ``a,b``.
    ``choices``: what a setting, or each entry of a list, may be. With ``-h`` or ``--help`` among the arguments,
    ``description`` (the command's docstring) is printed and the process ends.
    Raises :class:`UserError` for an unknown key, a value that does not fit its type or its choices, an empty text,
    and a setting that is missing.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if description is not None and {"-h", "--help"} & set(arguments):
        print(description)
        raise SystemExit(0)
    types = dict(_settings(schema))
    known = list(types)
    listed = f"the settings are {', '.join(known)}" if known else "there are no settings"
    config = OmegaConf.structured(schema)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise UserError(f"argument {argument!r} is not key=value; {listed}.")
        reason = None if key in known else f"{key} is unknown"
        try:
            if reason is None:
                given = OmegaConf.create(_in_brackets(value)) if _is_list(types[key]) else value
                OmegaConf.update(config, key, given, force_add=False)
        except (OmegaConfBaseException, YAMLError) as error:
            reason = str(error).splitlines()[0]
        if reason is not None:
            raise UserError(f"{argument!r} cannot be used ({reason}); {listed}.")
    allowed = {key: [str(choice) for choice in values] for key, values in (choices or {}).items()}
    for key in known:
        if OmegaConf.is_missing(config, key):
            one_of = f"VALUE with one of {', '.join(allowed[key])}" if key in allowed else "VALUE"
            raise UserError(f"{key} is missing; give {key}={one_of}.")
    for key, names in allowed.items():
        value = OmegaConf.select(config, key)
        wrong = [entry for entry in (value if OmegaConf.is_list(value) else [value]) if str(entry) not in names]
        if value is not None and wrong:
            raise UserError(f"{key}={wrong[0]} cannot be used; choose from {', '.join(names)}.")
    for key in known:
        if OmegaConf.select(config, key) == "":
            raise UserError(f"{key} is ''; give {key}=VALUE, or leave it out.")
    options = OmegaConf.to_object(config)
    assert isinstance(options, schema)
    return options


def _settings(schema: type[Any]) -> Iterator[tuple[str, Any]]:
    """The keys of a dataclass with their types, those of a dataclass within it with a dot: ``report.later``."""
    types = get_type_hints(schema)
    for entry in fields(schema):
        if is_dataclass(types[entry.name]):
            yield from ((f"{entry.name}.{name}", kind) for name, kind in _settings(types[entry.name]))
        else:
            yield entry.name, types[entry.name]


def _in_brackets(value: str) -> str:
    return value if value.startswith("[") else f"[{value}]"


def _is_list(kind: Any) -> bool:
    return list in (get_origin(kind), *map(get_origin, get_args(kind)))
