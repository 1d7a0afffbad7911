"""Settings from the environment, of the platform and of sources."""

from dataclasses import dataclass

import pytest

from cilake.settings import SettingsError, read_into


@dataclass(frozen=True)
class Own:
    url: str = ""
    limit: int = 5
    ratio: float = 0.5
    verify: bool = True


def test_each_is_of_the_type_of_its_default():
    given = {"X_URL": "u", "X_LIMIT": "7", "X_RATIO": "0.25", "X_VERIFY": "False", "Y_URL": "other"}
    assert read_into(Own, "X_", given) == Own("u", 7, 0.25, verify=False)
    assert read_into(Own, "X_", {"X_LIMIT": "", "X_VERIFY": ""}) == Own(), "an empty variable says nothing"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("X_LIMIT", "five", "X_LIMIT='five' is not a number"),
        ("X_RATIO", "a half", "X_RATIO='a half' is not a number"),
        ("X_VERIFY", "0", "X_VERIFY='0' is not true or false"),
        ("X_URL", "a\nb", "X_URL='a\\nb' is no printable text"),
    ],
)
def test_what_is_of_another_type_is_refused_by_name(name, text, said):
    with pytest.raises(SettingsError) as refused:
        read_into(Own, "X_", {name: text})
    assert str(refused.value) == said
