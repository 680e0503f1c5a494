"""An S3 server (moto's) in a process of its own, that checks every signature."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # it has no types

from tongdai.adapters.s3 import S3Bucket

BUCKET = "recordings"
REGION = "ap-southeast-1"
_PATIENCE_S = 30.0
_SET_UP = 4
"""Requests before which nobody has to be known: those that make the bucket and the user."""


@dataclass(frozen=True)
class S3Server:
    """Its one bucket, and the keys of its one user."""

    bucket: S3Bucket

    def unfinished_uploads(self) -> int:
        client = boto3.client("s3", **_as(self.bucket))
        return len(client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []))


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_SET_UP)}
    with (folder / "s3.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_for(port, server)
            yield S3Server(_set_up(endpoint))
        finally:
            server.kill()
            server.wait()


def _set_up(endpoint: str) -> S3Bucket:
    anybody = _as(S3Bucket(BUCKET, REGION, "anybody", "anything", endpoint))
    where = {"LocationConstraint": REGION}
    boto3.client("s3", **anybody).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    people = boto3.client("iam", **anybody)
    people.create_user(UserName="tongdai")
    keys = people.create_access_key(UserName="tongdai")["AccessKey"]
    may = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    people.put_user_policy(UserName="tongdai", PolicyName="all", PolicyDocument=policy)
    return S3Bucket(BUCKET, REGION, keys["AccessKeyId"], keys["SecretAccessKey"], endpoint)


def _as(bucket: S3Bucket) -> dict[str, str]:
    return {
        "endpoint_url": bucket.endpoint,
        "region_name": bucket.region,
        "aws_access_key_id": bucket.access_key,
        "aws_secret_access_key": bucket.secret_key,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the S3 server did not start; see s3.log")
