"""Settings from the environment, of the platform and of sources."""

from dataclasses import dataclass

import pytest

from cilake.errors import PermanentError
from cilake.settings import SettingsError, bounded, read_into, read_settings


@dataclass(frozen=True)
class Own:
    url: str = ""
    limit: int = 5
    ratio: float = 0.5
    verify: bool = True
    count: int = bounded(3, 1, 9)
    share: float = bounded(0.5, 0, 1)


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
        ("X_COUNT", "0", "X_COUNT='0' is not a number from 1 to 9"),
        ("X_COUNT", "10", "X_COUNT='10' is not a number from 1 to 9"),
        ("X_COUNT", "many", "X_COUNT='many' is not a number from 1 to 9"),
        ("X_SHARE", "nan", "X_SHARE='nan' is not a number from 0 to 1"),
        ("X_SHARE", "-1", "X_SHARE='-1' is not a number from 0 to 1"),
        ("X_SHARE", "inf", "X_SHARE='inf' is not a number from 0 to 1"),
        ("X_URL", "a\nb", "X_URL='a\\nb' is no printable text"),
    ],
)
def test_what_is_of_another_type_is_refused_by_name(name, text, said):
    with pytest.raises(SettingsError) as refused:
        read_into(Own, "X_", {name: text})
    assert str(refused.value) == said


def test_a_number_at_a_bound_is_within():
    given = {"X_COUNT": "9", "X_SHARE": "0"}
    found = read_into(Own, "X_", given)
    assert (found.count, found.share) == (9, 0.0)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("CILAKE_LANDING_CONCURRENCY", ("0", "-3", "1000000")),
        ("CILAKE_LANDING_SECONDS", ("0", "-1", "1" * 30)),
        ("CILAKE_MAX_LOST_RATIO", ("nan", "-1", "1.5")),
        ("CILAKE_SNAPSHOT_DAYS", ("0", "1000000", "99999999999")),
    ],
)
def test_numbers_that_nothing_could_work_with_are_refused_once(name, texts):
    for text in texts:
        with pytest.raises(PermanentError, match=f"^{name}='{text}' is not a number from [0-9]+ to [0-9]+$"):
            read_settings({name: text})
