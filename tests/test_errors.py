"""What a terminal is given."""

import pytest

from consingan.errors import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b\u00e4\u6a39", "a b\u00e4\u6a39"),
        ("\x1b[2J", "\\x1b[2J"),
        ("one\ntwo\tthree\r", "one\\ntwo\\tthree\\r"),
        ("\udcff", "\\udcff"),
        ("\x9b\u2028\u202e", "\\x9b\\u2028\\u202e"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text, shown):
    assert printable(text) == shown


def test_what_the_terminal_lacks_is_written_out_and_line_ends_may_stay():
    assert printable("k\u00e4se\n\x07", "ascii", keep="\n") == "k\\xe4se\n\\x07"
