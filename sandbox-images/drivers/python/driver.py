"""Start the Python driver: `/usr/bin/python3 -I /opt/cloister/python/driver.py`.

`-I` leaves this folder off sys.path. It is put there only while the driver's own package is loaded and taken away
again, so that a module in the workspace cannot stand in for ours and ours is not importable by a guess.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, _HERE)
try:
    from _cloister import serve
finally:
    sys.path.remove(_HERE)

if __name__ == "__main__":
    serve.main_from_environment()
