"""One root for all errors, so that a caller can catch them with one word."""

from __future__ import annotations

from headstart import errors
from headstart.errors import HeadstartError, unknown


def test_all_errors_have_one_root_and_a_line_in_the_table() -> None:
    found = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, Exception)]
    assert len(found) == 6
    assert all(issubclass(error, HeadstartError) for error in found)
    assert all(error.__name__ in str(errors.__doc__) for error in found)


def test_an_unknown_name_without_a_near_one_still_lists_what_there_is() -> None:
    message = str(unknown("head", "xyz", ["svm", "ridge"]))
    assert message == "unknown head 'xyz'. Allowed: svm, ridge"
