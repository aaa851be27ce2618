"""What Schemathesis does not know of Millrace by its document. Each request comes from a loopback
address of its own, because one address may send no more than 100 in a quarter of an hour. And what a
valid Read-After names is there, because the answer waits two seconds for anything else."""

import secrets

import schemathesis
from hypothesis import strategies
from urllib3.util import connection

# The test makes sure of this product.
schemathesis.openapi.format(
    "read-after", strategies.sampled_from(["stock/rye-flour-1kg@1", "stock/rye-flour-1kg@0"])
)

connect = connection.create_connection


def connect_from_any_address(address, *arguments, **options):
    # Not from `random`, whose state Hypothesis sets anew for each case
    b, c, d = secrets.randbelow(253) + 2, secrets.randbelow(256), secrets.randbelow(253) + 2
    options["source_address"] = (f"127.{b}.{c}.{d}", 0)
    return connect(address, *arguments, **options)


connection.create_connection = connect_from_any_address
