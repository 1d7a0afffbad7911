"""Files of settings, as people and shells write them."""

import pytest

from cilake.variables import VariablesError, read_variables


def test_lines_as_shells_and_people_write_them():
    text = "# heading\n\nA=1\n export B = two words \nC='quoted'\nD=\"with = sign\"\nE=\nA=last\nF=it's\n"
    assert read_variables(text) == {
        "A": "last",
        "B": "two words",
        "C": "quoted",
        "D": "with = sign",
        "E": "",
        "F": "it's",
    }


def test_a_line_that_is_none_is_named_by_its_number():
    with pytest.raises(VariablesError, match="line 3: expected NAME=value"):
        read_variables("A=1\n# fine\nB\n")
