"""What the document does not tell Schemathesis. Each request has a loopback address of its own, because
one address may send only 100 requests in 15 minutes. A valid Read-After names a product that exists,
because the answer waits two seconds for any other."""

import secrets

import schemathesis
from hypothesis import strategies
from urllib3.util import connection

# The test creates this product.
schemathesis.openapi.format(
    "read-after", strategies.sampled_from(["stock/rye-flour-1kg@1", "stock/rye-flour-1kg@0"])
)

connect = connection.create_connection


def connect_from_any_address(address, *arguments, **options):
    # Not from `random`, whose state Hypothesis resets for each case
    b, c, d = secrets.randbelow(253) + 2, secrets.randbelow(256), secrets.randbelow(253) + 2
    options["source_address"] = (f"127.{b}.{c}.{d}", 0)
    return connect(address, *arguments, **options)


connection.create_connection = connect_from_any_address
