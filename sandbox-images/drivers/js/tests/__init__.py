"""Tests of the JavaScript drivers: `python3 -m unittest discover -s sandbox-images/drivers/js/tests -t sandbox-images/drivers/js`.

CLOISTER_TEST_NODE and CLOISTER_TEST_DENO name the binaries (default: those on the path). `npm ci` must have
been run in sandbox-images/drivers/js. What is missing is skipped; with REQUIRE=all it fails.
"""
