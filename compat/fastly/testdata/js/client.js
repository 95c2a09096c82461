// Calls the vendor's JavaScript client and prints what it makes of the answers.
// Input and output are those of client.py. The client takes no base URL: each
// call goes to the one it was generated with, which a superagent plugin rewrites.
const fs = require("fs");
const Fastly = require("fastly");

const job = JSON.parse(fs.readFileSync(0, "utf8"));
Fastly.ApiClient.instance.authenticate(job.token);
Fastly.ApiClient.instance.plugins = [
  (request) => {
    request.url = request.url.replace("https://api.fastly.com", job.host);
  },
];
const api = new Fastly.BillingUsageMetricsApi();

async function pages(operation, options) {
  const found = [];
  for (let cursor = options.cursor; found.length === 0 || cursor; cursor = found[found.length - 1].data.meta.next_cursor) {
    found.push(await api[operation]({ ...options, cursor }));
  }
  return found;
}

async function call(operation, options, follow) {
  try {
    return { value: follow ? await pages(operation, options) : await api[operation](options) };
  } catch (e) {
    const body = e.response && e.response.body;
    return { error: e.name || "Error", status: e.status || 0, body: JSON.stringify(body || String(e.message)) };
  }
}

(async () => {
  const results = [];
  for (const c of job.calls) {
    results.push(await call(c.operation, c.arguments, c.follow));
  }
  process.stdout.write(JSON.stringify(results));
})();
