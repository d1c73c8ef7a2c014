#!/usr/bin/env python3
"""Unmodified clients put events in: boto3, the AWS CLI, the AWS SDK for JavaScript, and the npm
package cloudevents. A client that cannot be had is skipped and counted so."""
import json
import os
import subprocess
import sys

import engine
import peers

HERE = os.path.dirname(os.path.abspath(__file__))
CREDENTIALS = """
credentials:
  - {type: sigv4, id: AKIDEXAMPLE, secretEnv: CW_TEST_SECRET, role: ingest}
"""
SECRET = "wJalrXUtnFEMI"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


def report(results, name, command):
    """Runs a client that prints {check: [good, detail]}."""
    done = subprocess.run(command, capture_output=True, timeout=180, check=False,
                          env={**os.environ, **KEYS})
    try:
        found = json.loads(done.stdout.decode().splitlines()[-1])
    except (ValueError, IndexError):
        results.check(False, name, done.stdout.decode() + done.stderr.decode())
        return
    for check, (good, detail) in found.items():
        results.check(good, f"{name}: {check}", detail)


def cli(results, python, url):
    """The AWS CLI, as a person would use it."""
    program = os.path.join(os.path.dirname(python), "aws")
    entries = [{"Source": "ecommerce.cart", "DetailType": "CartAbandoned",
                "Detail": json.dumps({"customerId": f"cli-{n}", "cartId": "k", "cartValue": 80,
                                      "items": [{"id": "i", "name": "n", "price": 80}]})}
               for n in range(3)]
    done = subprocess.run([program, "events", "put-events", "--endpoint-url", url, "--entries",
                           json.dumps(entries)], capture_output=True, timeout=120, check=False,
                          env={**os.environ, **KEYS})
    answer = json.loads(done.stdout or b"{}")
    results.check(done.returncode == 0 and answer.get("FailedEntryCount") == 0 and
                  len(answer.get("Entries", [])) == 3, "aws events put-events",
                  done.stdout + done.stderr)


def main():
    results = engine.Results()
    python, node = peers.python(), peers.node()
    skipped = []
    for signed in (False, True):
        options = {"config": CREDENTIALS, "environment": {"CW_TEST_SECRET": SECRET}} if signed \
            else {}
        with engine.Engine(**options) as cartwheel:
            mode = "wrong" if signed else "open"
            url = cartwheel.url()
            if python:
                report(results, f"boto3 {mode}",
                       [python, os.path.join(HERE, "aws_boto3.py"), url, mode])
                cli(results, python, url)
            if node:
                report(results, f"aws-sdk {mode}",
                       ["node", os.path.join(HERE, "aws_sdk.mjs"), url, node, mode])
            if node and not signed:
                report(results, "cloudevents",
                       ["node", os.path.join(HERE, "cloudevents.mjs"), url, node])
            if signed:
                status, _, body = cartwheel.request("POST", "/v1/events", "{}",
                                                    {"content-type": "application/json"})
                results.check(status == 401, "no credentials", f"{status} {body}")
            results.check(cartwheel.stop() == 0, "stops cleanly", "\n".join(cartwheel.words))
    for peer, there in (("boto3 and awscli", python), ("npm's packages", node)):
        if not there:
            skipped.append(peer)
    if skipped:
        print(f"SKIPPED: {', '.join(skipped)} could not be had")
    if not python and not node:
        engine.skip("no client could be had")
    results.finish()


if __name__ == "__main__":
    sys.exit(main())
