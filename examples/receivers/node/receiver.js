// A receiver of webhooks: verifies, keeps each delivery once, answers at once, applies in order.
//
//     WEBHOOK_SECRET=whsec_… PORT=8080 INBOX=./inbox node receiver.js
//
// Needs nothing but Node.js 18. With Express use `express.raw({ type: '*/*', limit: '1mb' })` for
// this route: `express.json()` drops the bytes that are signed, and takes 100 kB at most.
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const secret = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ''), 'base64');
const inbox = process.env.INBOX ?? 'inbox';
const [deliveries, done, orders] = ['deliveries', 'done', 'orders'].map((it) => path.join(inbox, it));
const toleranceSeconds = 300;
const largestBody = 1024 * 1024;

/** Tells whether a request is signed with the secret, and not older than five minutes. */
function verified(headers, body) {
  const id = headers['webhook-id'] ?? '';
  const timestamp = headers['webhook-timestamp'] ?? '';
  if (!/^[\w-]{1,100}$/.test(id) || !/^\d{1,12}$/.test(timestamp)) return false;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > toleranceSeconds) return false;
  const mac = crypto.createHmac('sha256', secret).update(`${id}.${timestamp}.`).update(body);
  const expected = Buffer.from(`v1,${mac.digest('base64')}`);
  // Several, while a secret is being replaced.
  return (headers['webhook-signature'] ?? '').split(' ').some((given) => {
    const bytes = Buffer.from(given);
    return bytes.length === expected.length && crypto.timingSafeEqual(bytes, expected);
  });
}

/** Writes a delivery to the disk under its id; returns whether it is new. */
function keep(id, body) {
  const temporary = path.join(inbox, crypto.randomUUID());
  const file = fs.openSync(temporary, 'wx');
  try {
    fs.writeFileSync(file, body);
    fs.fsyncSync(file);
    // It is there whole or not at all, and only once.
    fs.linkSync(temporary, path.join(deliveries, id));
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  } finally {
    fs.closeSync(file);
    fs.unlinkSync(temporary);
  }
}

/** Reads the body of a request; returns undefined if it is too large. */
async function read(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > largestBody) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Verifies and keeps a request; returns the status of the answer. The work is done behind it. */
async function receive(request) {
  if (request.method !== 'POST') return 405;
  const body = await read(request);
  if (body === undefined) return 413;
  if (!verified(request.headers, body)) {
    console.log('refused');
    return 401;
  }
  const id = request.headers['webhook-id'];
  console.log(keep(id, body) ? 'accepted' : 'duplicate', id);
  setImmediate(work);
  return 204;
}

/** Applies what was kept. */
function work() {
  const ready = new Set(fs.readdirSync(done));
  const waiting = fs.readdirSync(deliveries).filter((id) => !ready.has(id));
  const bodies = waiting.map((id) => [id, JSON.parse(fs.readFileSync(path.join(deliveries, id)))]);
  bodies.sort(([, one], [, other]) => (one.sequence ?? 0) - (other.sequence ?? 0));
  for (const [id, body] of bodies) {
    apply(body);
    fs.writeFileSync(path.join(done, id), '');
  }
}

/** Applies a change of an order, unless a later one was applied before. */
function apply({ event, sequence, data }) {
  const order = data?.order;
  if (!order) {
    console.log('put aside', event);
    return;
  }
  const state = path.join(orders, `${event.replace('/', '_')}-${order.id}`);
  const last = fs.existsSync(state) ? Number(fs.readFileSync(state, 'utf8')) : 0;
  if (sequence && sequence <= last) {
    console.log('stale', order.id, sequence);
    return;
  }
  // Your own work is here. It may be done again after a crash.
  console.log('applied', order.id, sequence ?? 0);
  fs.writeFileSync(state, String(Math.max(sequence ?? 0, last)));
}

for (const folder of [deliveries, done, orders]) fs.mkdirSync(folder, { recursive: true });
work();
http
  .createServer((request, response) => {
    receive(request)
      .catch((error) => {
        console.error(error);
        return 500;
      })
      .then((status) => {
        // What was not read would be taken for the next request.
        if (status === 413) response.setHeader('Connection', 'close');
        response.writeHead(status).end();
      });
  })
  .listen(Number(process.env.PORT ?? 8080), '127.0.0.1');
