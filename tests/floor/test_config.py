"""Every configuration mistake is one line that names the place, the key and what would be valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from phone2sim.config import Config, parse_config, read_json, write_json
from phone2sim.errors import InputError, MissingDependencyError, Phone2SimError, did_you_mean


class Lamp(Config):
    watts: float = 40.0
    colour: str = "warm"


class Room(Config):
    lamp: Lamp = Lamp()
    chairs: int = 4


def test_unknown_key_names_the_valid_ones() -> None:
    with pytest.raises(InputError) as e:
        parse_config(Lamp, {"wats": 3}, where="room.yaml")
    assert str(e.value) == "room.yaml: unknown key 'wats'; have colour, watts. Did you mean watts?"


def test_wrong_value_names_its_path() -> None:
    with pytest.raises(InputError) as e:
        parse_config(Room, {"lamp": {"watts": "bright"}}, where="room.yaml")
    assert str(e.value).startswith("room.yaml: lamp.watts: Input should be a valid number")
    assert "\n" not in str(e.value)


def test_not_even_a_document() -> None:
    with pytest.raises(InputError) as e:
        parse_config(Room, [1], where="room.yaml")
    assert str(e.value).startswith("room.yaml: document: ")


def test_configs_are_frozen_and_copied() -> None:
    lamp = Lamp()
    with pytest.raises(Exception, match="frozen"):
        lamp.watts = 1  # type: ignore[misc]
    assert lamp.model_copy(update={"watts": 60.0}).watts == 60


def test_json_round_trip_and_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "a.json"
    write_json(path, {"b": [1, 2.5], "a": None})
    assert read_json(path) == {"b": [1, 2.5], "a": None}
    with pytest.raises(InputError, match=r"none.json does not exist\."):
        read_json(tmp_path / "none.json")
    path.write_text("{")
    with pytest.raises(InputError, match="is not valid JSON"):
        read_json(path)


@pytest.mark.parametrize(
    ("name", "valid", "text"),
    [
        ("mugg", ["mug", "bowl"], "have bowl, mug. Did you mean mug?"),
        ("zzz", ["mug", "bowl"], "have bowl, mug."),
        ("mug", [], "there are none."),
    ],
)
def test_did_you_mean(name: str, valid: list[str], text: str) -> None:
    assert did_you_mean(name, valid) == text


def test_errors_carry_their_exit_code() -> None:
    def codes(cls: type[Phone2SimError]) -> set[int]:
        return {cls.exit_code}.union(*(codes(c) for c in cls.__subclasses__()))

    assert codes(Phone2SimError) == {1, 2, 3}
    assert MissingDependencyError("No gsplat.", hint="pip install x").exit_code == 3
    assert issubclass(MissingDependencyError, ImportError)


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    write_json(tmp_path / "a.json", {"old": 1})

    def full(path, text):
        path.write_bytes(text[:5].encode())
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError):
        write_json(tmp_path / "a.json", {"new": 2})
    assert read_json(tmp_path / "a.json") == {"old": 1} and [p.name for p in tmp_path.iterdir()] == ["a.json"]
