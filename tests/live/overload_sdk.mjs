// Run by overload.py with node: the same as overload_boto3.py through the AWS SDK for JavaScript.
import { createRequire } from "node:module";
const require = createRequire(process.argv[3] + "/");
const { EventBridgeClient, PutEventsCommand } = require("@aws-sdk/client-eventbridge");

const [, , endpoint, , prefix, enough, callsMax, seconds] = process.argv;
const CARTS = 3;
const told = { accepted: [], refused: [], entries: 0, throttled: 0, retried: 0, odd: [] };
const client = new EventBridgeClient({
  endpoint, region: "us-east-1", maxAttempts: 6,
  credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI" },
});
const entries = (customers) => customers.flatMap((customerId) => [
  { Source: "ecommerce.customer", DetailType: "CustomerUpdated",
    Detail: JSON.stringify({ customerId, name: "Ada", phone: "+14155550100" }) },
  { Source: "ecommerce.cart", DetailType: "CartAbandoned",
    Detail: JSON.stringify({ customerId, cartId: "k-" + customerId, cartValue: 80,
      category: "exact", items: [{ id: "i", name: "n", price: 80 }] }) }]);

const end = Date.now() + Number(seconds) * 1000;
for (let call = 0; call < Number(callsMax); call++) {
  await new Promise((go) => setTimeout(go, 20)); // or all are over before the pressure begins
  const met = Math.min(told.retried, told.accepted.length);
  if (Date.now() > end && met >= Number(enough)) break;
  const customers = [...Array(CARTS).keys()].map((i) => `${prefix}-${call}-${i}`);
  try {
    const answer = await client.send(new PutEventsCommand({ Entries: entries(customers) }));
    told.retried += answer.$metadata.attempts - 1;
    told.throttled += answer.$metadata.attempts - 1;
    told.entries += answer.Entries.length;
    if (answer.FailedEntryCount !== 0 || !answer.Entries.every((e) => e.EventId)) {
      told.odd.push(JSON.stringify(answer.Entries));
    }
    told.accepted.push(...customers);
  } catch (error) {
    if (error.name !== "ThrottlingException") told.odd.push(`${error.name} ${error.message}`);
    told.throttled += error.$metadata?.attempts ?? 0;
    told.refused.push(...customers);
  }
}
console.log(JSON.stringify(told));
