"""Run by aws.py under an interpreter that has boto3: what an unmodified SDK sees. Prints one JSON
object: {check: [good, detail]}."""
import datetime
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, wrong = sys.argv[1], sys.argv[2] == "wrong"
found = {}


def check(name, good, detail=""):
    found[name] = [bool(good), str(detail)[:500]]


def client(key="AKIDEXAMPLE", secret="wJalrXUtnFEMI", **more):
    return boto3.client("events", endpoint_url=endpoint, region_name="us-east-1",
                        aws_access_key_id=key, aws_secret_access_key=secret,
                        config=Config(retries={"max_attempts": 2, "mode": "standard"}, **more))


def entry(number, **more):
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"Source": "ecommerce.cart", "DetailType": "CartAbandoned", "Time": now,
            "Detail": json.dumps({"customerId": f"c-{number}", "cartId": f"k-{number}",
                                  "cartValue": 150.0,
                                  "items": [{"id": "i", "name": "Ümläut \"x\"", "price": 150.0}]}),
            **more}


def refused(call):
    try:
        return "no error", call()
    except ClientError as error:
        return error.response["Error"]["Code"], error.response


if wrong:
    code, answer = refused(lambda: client(secret="not the secret").put_events(Entries=[entry(1)]))
    check("wrong signature", code == "InvalidSignatureException", f"{code} {answer}")
    check("wrong signature status", answer["ResponseMetadata"]["HTTPStatusCode"] in (400, 403), answer)
    code, answer = refused(lambda: client(key="AKIDNOBODY").put_events(Entries=[entry(1)]))
    check("unknown key", code == "UnrecognizedClientException", f"{code} {answer}")

events = client()
answer = events.put_events(Entries=[entry(n) for n in range(10)])
ids = [e.get("EventId") for e in answer["Entries"]]
check("ten entries", answer["FailedEntryCount"] == 0 and len(set(ids)) == 10 and all(ids), answer)

answer = events.put_events(Entries=[entry(20), entry(21, Detail="{not json"), entry(22)])
codes = [e.get("ErrorCode") for e in answer["Entries"]]
check("malformed detail", answer["FailedEntryCount"] == 1 and
      codes == [None, "MalformedDetail", None], answer)
check("malformed message", answer["Entries"][1].get("ErrorMessage") == "Detail is malformed.",
      answer)

without = entry(23)
del without["Source"]
answer = events.put_events(Entries=[without, entry(24)])
check("no source", answer["Entries"][0].get("ErrorCode") == "InvalidArgument" and
      "Source is a required argument" in answer["Entries"][0].get("ErrorMessage", "") and
      answer["Entries"][1].get("EventId"), answer)

bad = entry(25, Detail=json.dumps({"customerId": "c", "cartId": "k"}))
answer = events.put_events(Entries=[bad, entry(26)])
check("a detail that means nothing here", answer["FailedEntryCount"] == 1 and
      answer["Entries"][0].get("ErrorCode") and answer["Entries"][1].get("EventId"), answer)

code, answer = refused(lambda: events.put_events(Entries=[entry(n) for n in range(11)]))
check("eleven entries", code == "ValidationException" and
      "less than or equal to 10" in str(answer), f"{code} {answer}")

code, answer = refused(lambda: events.list_rules())
check("another operation", code in ("UnknownOperationException", "AccessDeniedException"),
      f"{code} {answer}")

large = json.dumps({"customerId": "c-l", "cartId": "k-l", "cartValue": 1.0, "note": "x" * 900_000,
                    "items": []})
answer = events.put_events(Entries=[entry(30, Detail=large)])
check("nearly a megabyte", answer["Entries"][0].get("EventId"), answer)

repeated = client()
for _ in range(50):  # keep-alive of one client
    repeated.put_events(Entries=[entry(40)])
check("keep-alive", True)
print(json.dumps(found))
