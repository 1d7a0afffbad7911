"""The one error of this package: something the person at the keyboard can act on."""


class StackError(Exception):
    """One clear line: what is wrong and the way out. Printed without a traceback."""
