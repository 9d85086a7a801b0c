"""Tests of the Python driver: `python3 -m unittest discover -s sandbox-images/drivers/python/tests -t sandbox-images/drivers/python`.

CLOISTER_TEST_PYTHON names the interpreter that runs the driver (default: /usr/bin/python3, else this one). Tests of
pandas and matplotlib are skipped if that interpreter lacks them; with REQUIRE=all they fail instead.
"""
