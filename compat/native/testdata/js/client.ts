// Sends events and asks for usage with a client that is typed by what
// openapi-typescript made of openapi.json. There is no cast in it.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Event = components["schemas"]["Event"];

async function read(): Promise<{ url: string; key: string }> {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  return JSON.parse(text);
}

const job = await read();
const client = createClient<paths>({ baseUrl: job.url, headers: { Authorization: `Bearer ${job.key}` } });

function event(id: string, region: string, bytes: number): Event {
  return {
    specversion: "1.0", id, source: "typescript", type: "edge.request", subject: "acme", time: "2026-10-06T07:00:00Z",
    traceparent: "00-1", data: { region, bytes, nested: { deep: [1, 2] } },
  };
}

const span = { from: "2026-10-06T07:00:00Z", to: "2026-10-06T08:00:00Z" };
const one = await client.POST("/api/v1/events", { body: event("t-1", "eu", 1) });
const many = await client.POST("/api/v1/events", { body: [event("t-2", "eu", 20), event("t-3", "us", 300), event("t-1", "eu", 1)] });
const meter = await client.POST("/api/v1/meters", { body: { key: "typescript", event_type: "edge.request", aggregation: "SUM", value: "bytes" } });
const usage = await client.GET("/api/v1/meters/{key}/usage", {
  params: { path: { key: "bytes" }, query: { ...span, window: "hour", tz: "Europe/Oslo", group_by: ["region"], filter: ["region=eu", "customer=acme"] } },
});
const products = await client.GET("/api/v1/usage", { params: { query: { ...span, customer: ["acme", "zeta"] } } });
const lookup = await client.GET("/api/v1/events/lookup", { params: { query: { source: "typescript", id: "t-1" } } });
const refused = await client.GET("/api/v1/meters/{key}/usage", { params: { path: { key: "nothing" }, query: span } });

// What is read of the answers is checked by the compiler too.
const total: string | null | undefined = usage.data?.total;
const values: string[] = (products.data?.rows ?? []).map((r) => r.value);
console.log(JSON.stringify({
  one: one.data, many: many.data, preview: meter.data?.preview, usage: { ...usage.data, total }, products: { ...products.data, values },
  lookup: lookup.data, refused: refused.error,
}));
