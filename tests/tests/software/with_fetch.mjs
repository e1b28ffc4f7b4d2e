// Puts Node's fetch through its paces, and its own http client where that shows more: node with_fetch.mjs URL.
import { createHash } from 'node:crypto';
import { request } from 'node:http';

const base = process.argv[2];
const sum = (bytes) => createHash('sha256').update(bytes).digest('hex');

async function show(what, path, options) {
  try {
    const answer = await fetch(base + path, options);
    const body = Buffer.from(await answer.arrayBuffer());
    console.log(what, answer.status, answer.statusText, answer.url, answer.redirected);
    for (const [name, value] of [...answer.headers].sort()) console.log(`${name}: ${value}`);
    console.log(body.length, sum(body));
  } catch (error) {
    console.log(what, error.name, error.cause?.code);
  }
}

function* pieces() {
  for (let number = 0; number < 50; number += 1) yield new TextEncoder().encode(`piece ${number}\n`);
}

await show('get', '/echo?q=a%20b&r=%C3%BC');
await show('json', '/echo', { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } });
await show('form', '/echo', { method: 'POST', body: new URLSearchParams({ a: '1', b: 'ü' }) });
await show('stream up', '/echo', { method: 'PUT', body: ReadableStream.from(pieces()), duplex: 'half' });
await show('head', '/bytes/1000', { method: 'HEAD' });
await show('nothing', '/status/204', { method: 'DELETE' });
await show('redirects', '/redirect/302/2', { method: 'POST', body: 'x' });
await show('kept method', '/redirect/308/2', { method: 'POST', body: 'x' });
await show('no redirect', '/redirect/302/1', { redirect: 'manual' });
await show('a redirect is an error', '/redirect/302/1', { redirect: 'error' });
await show('two cookies', '/cookies/set', { redirect: 'manual' });
for (const coding of ['gzip', 'deflate', 'br']) await show(coding, `/${coding}`);
await show('a range', '/bytes/1000', { headers: { range: 'bytes=10-19' } });
await show('not modified', '/bytes/1000', { headers: { 'if-none-match': '"e1"' } });
await show('large', '/bytes/5000000');
await show('not found', '/nowhere');
await show('cut', '/cut');
await show('given up', '/silent', { signal: AbortSignal.timeout(500) });

let events = '';
for await (const piece of (await fetch(`${base}/events/10`)).body) events += new TextDecoder().decode(piece);
console.log(events);

const numbers = [...Array(50).keys()];
const echoed = numbers.map((number) => fetch(`${base}/echo`, { method: 'POST', body: `${number} `.repeat(number) }));
const texts = await Promise.all((await Promise.all(echoed)).map((answer) => answer.text()));
console.log('50 at once', texts.every((text, number) => text === `${number} `.repeat(number)));

// What fetch does not show: an invitation to send the body, and trailers.
await new Promise((done, failed) => {
  const headers = { expect: '100-continue', te: 'trailers', 'content-length': 5 };
  const call = request(`${base}/trailers`, { method: 'POST', headers }, (answer) => {
    answer.resume().on('end', () => done(console.log('trailers', answer.trailers)));
  });
  call.on('continue', () => call.end('hello')).on('error', failed);
  call.flushHeaders();
});
console.log('that is all');
