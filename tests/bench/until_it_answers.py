"""Ends once an address answers with a 200; imports little, for Python's own start counts in what is measured."""

import http.client
import sys
import time

host, _, path = sys.argv[1].removeprefix("http://").partition("/")
deadline = time.monotonic() + 120
while time.monotonic() < deadline:
    connection = http.client.HTTPConnection(host, timeout=3)
    try:
        connection.request("GET", f"/{path}")
        if connection.getresponse().status == 200:
            sys.exit(0)
    except (OSError, http.client.HTTPException):
        # Not yet: a published port takes connections before anybody listens behind it.
        time.sleep(0.05)
    finally:
        connection.close()
sys.exit(f"{sys.argv[1]} does not answer")
