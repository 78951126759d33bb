"""Configs of every provider with a canary in each of its secrets, and with canaries where none belongs."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from shared.provider import Identity, find_provider, list_types, load_provider, split_config
from shared.runtime.errors import InvalidConfig
from tests.canaries.cage import Cage, list_candidates
from tests.contract.configs import read_config
from tests.fakes.certificates import certify_key

Config = dict[str, Any]
Path = tuple[str, ...]

PLAIN = {"https": "http", "wss": "ws", "mqtts": "mqtt", "ssl": "tcp", "tls": "tcp"}
_ADDRESS = re.compile(r"(?:(\w+)://)?(?:[\w-]+\.)*example\.(?:com|net|org)(?::\d+)?")


@dataclass(frozen=True)
class Planted:
    """A valid config full of canaries."""

    integration_type: str
    config: Config


def plant_all(cage: Cage) -> Iterator[Planted]:
    """For each provider its sample with other secrets, and a config for each secret the sample leaves out."""
    for integration_type in list_types():
        sample = _plant_sample(cage, integration_type)
        yield sample
        for name in _list_absent(sample):
            yield _plant_absent(cage, sample, name)


def aim_at(planted: Planted, *, http_port: int, other_port: int, plain: bool) -> Planted:
    """The same, for these loopback ports instead of the sample's hosts; `plain` without TLS."""
    config = _redirect(planted.config, http_port, other_port, plain=plain)
    if isinstance(config.get("port"), int):
        config["port"] = other_port
    return Planted(planted.integration_type, _drop_refused(planted.integration_type, config))


def list_invalid(cage: Cage, planted: Planted) -> Iterator[Config]:
    """The config with a canary in a wrong shape or a wrong place, one field after another, where that is refused."""
    for name in find_provider(planted.integration_type).model_fields:
        for wrong in _list_wrong(cage, planted.config.get(name)):
            config = planted.config | {name: wrong}
            if not is_valid(planted.integration_type, config):
                yield config
    yield planted.config | {"surprise": cage.make()}
    yield {name: [cage.make()] for name in planted.config}


def is_valid(integration_type: str, config: Config) -> bool:
    """Whether the provider accepts it."""
    return not _list_refused(integration_type, config)


def find_secrets(integration_type: str, config: Config) -> dict[Path, str]:
    """Every secret in a config, by its path."""
    return dict(_walk(split_config(load_provider(config, Identity("o", "i", integration_type)))[1], ()))


def _walk(secrets: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    for name, value in secrets.items():
        if isinstance(value, Mapping):
            yield from _walk(value, (*path, name))
        else:
            yield (*path, name), value


def _plant_sample(cage: Cage, integration_type: str) -> Planted:
    config = read_config(integration_type)
    for path, value in find_secrets(integration_type, config).items():
        candidates = (_certify(cage, _replace(config, path, made)) for made in list_candidates(cage, value))
        config = next(made for made in candidates if is_valid(integration_type, made))
    return Planted(integration_type, config)


def _certify(cage: Cage, config: Config) -> Config:
    """The certificate beside a private key has to be that key's own."""
    if "client_certificate" not in config:
        return config
    return config | {"client_certificate": cage.forget(certify_key(config["client_key"]))}


def _list_absent(sample: Planted) -> list[str]:
    fields = find_provider(sample.integration_type).model_fields
    set_here = {path[0] for path in find_secrets(sample.integration_type, sample.config)}
    return [
        name
        for name, field in fields.items()
        if "SecretStr" in str(field.annotation) and name not in set_here
    ]


def _plant_absent(cage: Cage, sample: Planted, name: str) -> Planted:
    """With another secret that the sample leaves out, perhaps because it excludes one or needs a partner."""
    fields = find_provider(sample.integration_type).model_fields
    secrets = {path[0] for path in find_secrets(sample.integration_type, sample.config)}
    drops = [set(), *({other} for other in secrets), secrets, *({other} for other in sample.config)]
    partners = [{}, *({other: "partner"} for other in fields if other not in sample.config and other != name)]
    candidates = [*list_candidates(cage), f"https://hooks.example.com/{cage.make()}?key={cage.make()}"]
    for made, drop, partner in product(candidates, drops, partners):
        kept = {key: value for key, value in sample.config.items() if key not in drop}
        config = kept | partner | {name: made}
        if is_valid(sample.integration_type, config):
            return Planted(sample.integration_type, config)
    raise AssertionError(
        f"Found no valid {sample.integration_type} config with {name}: put it into the sample."
    )


def _replace(config: Config, path: Path, value: str) -> Config:
    changed = copy.deepcopy(config)
    inside = changed
    for name in path[:-1]:
        inside = inside[name]
    inside[path[-1]] = value
    return changed


def _redirect(value: Any, http_port: int, other_port: int, *, plain: bool) -> Any:
    def address(found: re.Match[str]) -> str:
        scheme = PLAIN.get(found[1], found[1]) if plain else found[1]
        port = http_port if str(found[1]).startswith("http") else other_port
        return f"{scheme}://127.0.0.1:{port}" if scheme else f"127.0.0.1:{port}"

    if isinstance(value, str):
        return _ADDRESS.sub(address, value)
    if isinstance(value, list):
        return [_redirect(item, http_port, other_port, plain=plain) for item in value]
    if isinstance(value, dict):
        return {name: _redirect(item, http_port, other_port, plain=plain) for name, item in value.items()}
    return value


def _drop_refused(integration_type: str, config: Config) -> Config:
    """Without the fields that are refused now: a client certificate where there is no TLS."""
    while not is_valid(integration_type, config):
        refused = {name.split(".")[0] for name in _list_refused(integration_type, config)}
        kept = {name: value for name, value in config.items() if name not in refused}
        assert len(kept) < len(config), f"{integration_type} can't be aimed at loopback: {refused}"
        config = kept
    return config


def _list_refused(integration_type: str, config: Config) -> list[str]:
    try:
        load_provider(config, Identity("o", "i", integration_type))
    except InvalidConfig as invalid:
        return [error.field for error in invalid.errors]
    return []


def _list_wrong(cage: Cage, value: Any) -> Iterator[Any]:
    yield from ([cage.make()], {"name": cage.make()}, {"name": {"deeper": [cage.make()]}})
    yield {f"Authorization: Bearer {cage.make()}": "x"}
    yield from (
        cage.make(),
        f"{cage.make()}\n\x00",
        f"https://user:{cage.make()}@host.example.com/{cage.make()}#x",
    )
    yield from (
        f"whsec_{cage.make()}!",
        f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{cage.make()}",
        f"{{{{ {cage.make()}",
    )
    if isinstance(value, str):
        yield f"{value}\r\nX-Injected: {cage.make()}"
