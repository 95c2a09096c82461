// Sends events with the JavaScript SDK of CloudEvents, as its pages show, and
// prints what a sender makes of the answers. Input and output are those of client.py.
"use strict";
const { CloudEvent, HTTP } = require("cloudevents");

function eventOf(e) {
  const attributes = { id: e.id, source: e.source, type: e.type, subject: e.subject, time: e.time,
    datacontenttype: e.datacontenttype ?? "application/json", ...(e.extensions ?? {}) };
  if ("bytes" in e) {
    attributes.data = new Uint8Array(Buffer.from(e.bytes, "base64"));
  } else if ("data" in e) {
    attributes.data = e.data;
  }
  for (const name of Object.keys(attributes)) {
    if (attributes[name] === undefined) {
      delete attributes[name];
    }
  }
  return new CloudEvent(attributes);
}

// messageOf is what the SDK makes of an event. Where no time is said it gives
// the time of now, which is taken out again.
function messageOf(mode, e) {
  const message = mode === "binary" ? HTTP.binary(eventOf(e)) : HTTP.structured(eventOf(e));
  if ("time" in e) {
    return message;
  }
  if (mode === "binary") {
    delete message.headers["ce-time"];
  } else {
    const { time, ...body } = JSON.parse(message.body);
    message.body = JSON.stringify(body);
  }
  return message;
}

async function send(job, call) {
  let message;
  if (call.mode === "batch") { // the SDK reads batches, and writes events
    message = { headers: { "content-type": "application/cloudevents-batch+json" },
      body: "[" + call.events.map((e) => messageOf("structured", e).body).join(",") + "]" };
  } else {
    message = messageOf(call.mode, call.events[0]);
  }
  const answer = await fetch(job.url, { method: "POST", body: message.body,
    headers: { ...message.headers, authorization: "Bearer " + job.token } });
  return { value: { delivered: answer.ok, status: answer.status, body: await answer.text() } };
}

async function main() {
  let text = "";
  for await (const part of process.stdin) {
    text += part;
  }
  const job = JSON.parse(text);
  const results = [];
  for (const call of job.calls) {
    try {
      results.push(await send(job, call));
    } catch (e) {
      results.push({ error: String(e) + (e.cause ? ": " + e.cause : "") });
    }
  }
  process.stdout.write(JSON.stringify(results));
}

main();
