// Run by aws.py with node: the npm package `cloudevents` delivers in its three modes.
import { createRequire } from "node:module";
const require = createRequire(process.argv[3] + "/");
const { CloudEvent, HTTP, emitterFor, httpTransport, Mode } = require("cloudevents");

const url = process.argv[2] + "/v1/events";
const found = {};
const check = (name, good, detail) => { found[name] = [Boolean(good), JSON.stringify(detail ?? "").slice(0, 500)]; };
const event = (n) => new CloudEvent({
  id: `ce-${n}`, source: "ecommerce.cart", type: "CartAbandoned", time: new Date().toISOString(),
  data: { customerId: `ce-${n}`, cartId: `k-${n}`, cartValue: 150, items: [{ id: "i", name: "Zoë's 100% \"cart\"", price: 150 }] } });
const post = async (message) => {
  const answer = await fetch(url, { method: "POST", headers: message.headers, body: message.body });
  return [answer.status, await answer.text()];
};
let [status, text] = await post(HTTP.binary(event(1)));
check("binary", status === 200 && JSON.parse(text).accepted === 1, [status, text]);
[status, text] = await post(HTTP.binary(event(1)));
check("the same again is a duplicate", status === 200 && JSON.parse(text).duplicate === 1, [status, text]);
[status, text] = await post(HTTP.structured(event(2)));
check("structured", status === 200 && JSON.parse(text).accepted === 1, [status, text]);
[status, text] = await post({ headers: { "content-type": "application/cloudevents-batch+json" },
  body: JSON.stringify([event(3), event(4), event(3)]) });
check("batch", status === 200 && JSON.parse(text).accepted === 2 && JSON.parse(text).duplicate === 1, [status, text]);
const emit = emitterFor(httpTransport(url), { mode: Mode.BINARY });
const emitted = await emit(event(5));
check("its own emitter", JSON.parse(emitted.body).accepted === 1, emitted.body);
const handshake = await fetch(url, { method: "OPTIONS", headers: { "WebHook-Request-Origin": "shop.example" } });
check("handshake", [200, 204].includes(handshake.status) && handshake.headers.get("webhook-allowed-origin"), [...handshake.headers]);
console.log(JSON.stringify(found));
