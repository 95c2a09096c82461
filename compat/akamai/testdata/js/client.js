// Signs requests with the vendor's EdgeGrid for Node and prints what came back.
// Input and output are those of client.py. The client speaks HTTPS only; the
// authority that it trusts comes from NODE_EXTRA_CA_CERTS.
const fs = require("fs");
const path = require("path");
const EdgeGrid = require("akamai-edgegrid");
const signing = path.join(__dirname, "node_modules/akamai-edgegrid/src/auth.js"); // not exported, and the one way to set the time
const auth = require(signing);

const job = JSON.parse(fs.readFileSync(0, "utf8"));

function answer(response) {
  return {
    status: response.status,
    type: response.headers["content-type"] || "",
    location: response.headers["location"] || "",
    redirects: 0,
    body: typeof response.data === "string" ? response.data : JSON.stringify(response.data),
  };
}

function send(client) {
  return new Promise((resolve) => {
    client.send((error, response) => {
      if (error && !error.response) {
        resolve({ status: 0, type: "", location: "", redirects: 0, body: String(error) });
        return;
      }
      resolve(answer(error ? error.response : response));
    });
  });
}

// slow is a timestamp of the past, in the client's form.
function slow(seconds) {
  const then = new Date(Date.now() - seconds * 1000).toISOString();
  return then.slice(0, 19).replace(/-/g, "") + "+0000";
}

async function make(call) {
  const c = job.credentials[call.as || Object.keys(job.credentials)[0]];
  const client = new EdgeGrid(c.client_token, c.client_secret, c.access_token, job.host);
  const qs = { ...(call.query || {}) };
  if (call.account_key) {
    qs.accountSwitchKey = call.account_key;
  }
  const request = { path: call.path, method: call.method || "GET" };
  if (Object.keys(qs).length > 0) {
    request.qs = qs;
  }
  client.auth(request);
  if (call.age) {
    auth.generateAuth(client.request, c.client_token, c.client_secret, c.access_token, job.host, 0, "nonce", slow(call.age));
  }
  if (call.authorization) {
    client.request.headers.Authorization = call.authorization;
  } else if (!call.as) {
    delete client.request.headers.Authorization;
  }
  const result = await send(client);
  if (call.twice) {
    const again = await send(client);
    result.again = again.status;
    result.body = again.body;
  }
  return result;
}

(async () => {
  const results = [];
  for (const call of job.calls) {
    results.push(await make(call));
  }
  process.stdout.write(JSON.stringify(results));
})();
