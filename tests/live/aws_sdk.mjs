// Run by aws.py with node: what the AWS SDK for JavaScript sees. Prints {check: [good, detail]}.
import { createRequire } from "node:module";
const require = createRequire(process.argv[3] + "/");
const { EventBridgeClient, PutEventsCommand } = require("@aws-sdk/client-eventbridge");

const endpoint = process.argv[2];
const found = {};
const check = (name, good, detail) => { found[name] = [Boolean(good), JSON.stringify(detail ?? "").slice(0, 500)]; };
const client = (secretAccessKey) => new EventBridgeClient({
  endpoint, region: "us-east-1", maxAttempts: 2,
  credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey },
});
const entry = (n, more) => ({
  Source: "ecommerce.cart", DetailType: "CartAbandoned", Time: new Date(),
  Detail: JSON.stringify({ customerId: `j-${n}`, cartId: `k-${n}`, cartValue: 150,
    items: [{ id: "i", name: "Ünïcode 🛒", price: 150 }] }), ...more });

const events = client("wJalrXUtnFEMI");
let answer = await events.send(new PutEventsCommand({ Entries: [...Array(10).keys()].map((n) => entry(n)) }));
check("ten entries", answer.FailedEntryCount === 0 && new Set(answer.Entries.map((e) => e.EventId)).size === 10, answer.Entries);
answer = await events.send(new PutEventsCommand({ Entries: [entry(20, { Detail: "[1]" }), entry(21)] }));
check("malformed detail", answer.FailedEntryCount === 1 && answer.Entries[0].ErrorCode === "MalformedDetail" && answer.Entries[1].EventId, answer.Entries);
try {
  await events.send(new PutEventsCommand({ Entries: [...Array(11).keys()].map((n) => entry(n)) }));
  check("eleven entries", false);
} catch (error) {
  check("eleven entries", error.name === "ValidationException", error.name + error.message);
}
if (process.argv[4] === "wrong") {
  try {
    await client("another").send(new PutEventsCommand({ Entries: [entry(1)] }));
    check("wrong signature", false);
  } catch (error) {
    check("wrong signature", error.name === "InvalidSignatureException", error.name + error.message);
  }
}
console.log(JSON.stringify(found));
