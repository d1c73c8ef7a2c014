"""Run by overload.py under an interpreter that has boto3: puts carts in through one unmodified SDK
until it has met enough refusals and acceptances. Prints one JSON object:
{"accepted": [customer], "refused": [customer], "entries", "throttled", "retried",
"odd": [words]}."""
import json
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, mode, prefix = sys.argv[1:4]
enough, calls_max, seconds = int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6])
CARTS = 3  # a call: a profile and a cart of each of so many customers
told = {"accepted": [], "refused": [], "entries": 0, "throttled": 0, "retried": 0, "odd": []}


def look(response_dict, parsed_response, **_):
    """Every answer that the SDK gets, those that it retries too."""
    if response_dict["status_code"] == 200:
        return
    code = parsed_response.get("Error", {}).get("Code")
    if (response_dict["status_code"], code) == (400, "ThrottlingException"):
        told["throttled"] += 1
    else:
        told["odd"].append(f"{response_dict['status_code']} {code}")


def entries(customers):
    for customer in customers:
        yield {"Source": "ecommerce.customer", "DetailType": "CustomerUpdated",
               "Detail": json.dumps({"customerId": customer, "name": "Ada",
                                     "phone": "+14155550100"})}
        yield {"Source": "ecommerce.cart", "DetailType": "CartAbandoned",
               "Detail": json.dumps({"customerId": customer, "cartId": "k-" + customer,
                                     "cartValue": 80, "category": "exact",
                                     "items": [{"id": "i", "name": "n", "price": 80}]})}


client = boto3.client("events", endpoint_url=endpoint, region_name="us-east-1",
                      aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="wJalrXUtnFEMI",
                      config=Config(retries={"max_attempts": 6, "mode": mode}))
client.meta.events.register("response-received.*.*", look)
end = time.monotonic() + seconds
for call in range(calls_max):
    time.sleep(0.02)  # or all of them are over before the pressure begins
    if time.monotonic() > end and told["retried"] >= enough and len(told["accepted"]) >= enough:
        break
    customers = [f"{prefix}-{call}-{i}" for i in range(CARTS)]
    try:
        answer = client.put_events(Entries=list(entries(customers)))
    except ClientError as error:
        # Given up: each of its tries was refused as a whole.
        if error.response["Error"]["Code"] != "ThrottlingException":
            told["odd"].append(str(error))
        told["refused"] += customers
        continue
    told["retried"] += answer["ResponseMetadata"]["RetryAttempts"]
    told["entries"] += len(answer["Entries"])
    if answer["FailedEntryCount"] != 0 or not all(e.get("EventId") for e in answer["Entries"]):
        told["odd"].append(str(answer["Entries"]))
    told["accepted"] += customers
print(json.dumps(told))
