"""What needs a terminal says at once, and in a sentence, that there is none."""

_NO_INPUT = "{} is not available: this session has no terminal; pass data in the code or in a file"


def refuse_input(prompt="", /):
    """There is no terminal to read from."""
    raise EOFError(_NO_INPUT.format("input()"))


def refuse_getpass(prompt="Password: ", stream=None):
    """There is no terminal to read from."""
    raise EOFError(_NO_INPUT.format("getpass()"))


def refuse_breakpoint(*_, **__):
    """There is no terminal for a debugger."""
    raise RuntimeError("breakpoint() is not available: this session has no terminal for a debugger; "
                       "print values, or run the cell in parts")


def change_getpass(module):
    module.getpass = refuse_getpass
