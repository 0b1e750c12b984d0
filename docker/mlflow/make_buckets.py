# ruff: noqa: INP001 - a program of an image, not a package
"""Makes the buckets that are missing, and proves that their server keeps conditional writes.

python make_buckets.py BUCKET...

The server and its keys are in the environment: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...
"""

from __future__ import annotations

import sys
from contextlib import suppress

import boto3
from botocore.exceptions import ClientError

__all__ = ["make_buckets"]

_PROBE = ".backbeat-conditional-write"


def make_buckets(names: list[str]) -> None:
    """Make the buckets, and write one name twice on condition that it is new.

    Raises:
        SystemExit: The server took the second write: it does not know conditional writes, and the
            store would refuse it.
    """
    client = boto3.client("s3")
    for name in names:
        with suppress(
            client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists
        ):
            client.create_bucket(Bucket=name)
        client.put_object(Bucket=name, Key=_PROBE, Body=b"")
        try:
            client.put_object(Bucket=name, Key=_PROBE, Body=b"", IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"PreconditionFailed", "412"}:
                raise
        else:
            raise SystemExit(f"{name}: the server overwrote an object that was to be new")
        client.delete_object(Bucket=name, Key=_PROBE)
        print(f"{name} is there, and takes conditional writes")  # noqa: T201 - a command's answer


if __name__ == "__main__":
    make_buckets(sys.argv[1:])
