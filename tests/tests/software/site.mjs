// The web site of these tests: node site.mjs FILES REPOSITORIES. Prints its port. Notes every request; GET /seen tells
// of those since the last time, and forgets them.
import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';

const [files, repositories] = process.argv.slice(2);
let seen = [];
let tries = {};
let heldBack = [];

const sum = (bytes) => createHash('sha256').update(bytes).digest('hex').slice(0, 16);
const pattern = (length) => Buffer.alloc(length, 'All that is gold does not glitter. ');
const text = 'The same words over and over. '.repeat(200);
const long = { etag: '"e1"', 'last-modified': 'Mon, 02 Mar 2026 10:00:00 GMT', 'accept-ranges': 'bytes' };
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml',
  '.whl': 'application/octet-stream' };

/// The boundary of a form is another one each time.
function general(note, body) {
  const boundary = /boundary=(\S+)/.exec(note.headers['content-type'] ?? '')?.[1];
  if (!boundary) return sum(body);
  note.headers['content-type'] = note.headers['content-type'].replace(boundary, 'BOUNDARY');
  note.headers['content-length'] &&= 'OF A FORM';
  return sum(body.toString('latin1').replaceAll(boundary, 'BOUNDARY'));
}

export function note(request) {
  const headers = {};
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    const name = request.rawHeaders[at].toLowerCase();
    headers[name] = name in headers ? `${headers[name]} | ${request.rawHeaders[at + 1]}` : request.rawHeaders[at + 1];
  }
  const noted = { line: `${request.method} ${request.url}`, headers, body: 'not whole' };
  seen.push(noted);
  return noted;
}

async function bodyOf(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces);
}

function ranged(request, response, body) {
  const { headers } = request;
  const since = Date.parse(headers['if-modified-since'] ?? '');
  if (headers['if-none-match'] === long.etag || since >= Date.parse(long['last-modified'])) {
    return response.writeHead(304, long).end();
  }
  const range = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? '');
  if (!range) return response.writeHead(200, { ...long, 'content-length': body.length }).end(body);
  const first = range[1] ? Number(range[1]) : body.length - Number(range[2]);
  const last = range[1] && range[2] ? Math.min(Number(range[2]), body.length - 1) : body.length - 1;
  if (first > last) return response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end('no such part');
  response.writeHead(206, { ...long, 'content-range': `bytes ${first}-${last}/${body.length}` });
  response.end(body.subarray(first, last + 1));
}

async function events(response, count) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  for (let at = 0; at < count; at += 1) {
    await new Promise((done) => response.write(`id: ${at}\ndata: event ${at}\n\n`, done));
  }
  response.end();
}

function file(response, path) {
  if (path.includes('..') || !existsSync(path)) return response.writeHead(404).end('there is no such file');
  const target = statSync(path).isDirectory() ? join(path, 'index.html') : path;
  response.writeHead(200, { 'content-type': types[extname(target)] ?? 'text/plain', 'content-length': statSync(target).size });
  createReadStream(target).pipe(response);
}

/// RFC 3875, as much of it as git needs.
function git(request, response, url, body) {
  const { headers } = request;
  const env = {
    PATH: process.env.PATH, GIT_PROJECT_ROOT: repositories, GIT_HTTP_EXPORT_ALL: '1', GATEWAY_INTERFACE: 'CGI/1.1',
    REQUEST_METHOD: request.method, PATH_INFO: url.pathname.slice('/git'.length), QUERY_STRING: url.search.slice(1),
    CONTENT_TYPE: headers['content-type'] ?? '', CONTENT_LENGTH: String(body.length), REMOTE_USER: 'ada',
    HTTP_CONTENT_ENCODING: headers['content-encoding'] ?? '', GIT_PROTOCOL: headers['git-protocol'] ?? '',
  };
  const backend = spawn('git', ['http-backend'], { env, stdio: ['pipe', 'pipe', 'ignore'] });
  const pieces = [];
  backend.stdout.on('data', (piece) => pieces.push(piece));
  backend.on('close', () => {
    const answer = Buffer.concat(pieces);
    const end = answer.indexOf('\r\n\r\n');
    const lines = answer.subarray(0, end).toString().split('\r\n').map((line) => line.split(/: (.*)/s));
    const fields = Object.fromEntries(lines.map(([name, value]) => [name.toLowerCase(), value]));
    const status = parseInt(fields.status ?? '200', 10);
    delete fields.status;
    response.writeHead(status, fields).end(answer.subarray(end + 4));
  });
  backend.stdin.on('error', () => {}).end(body); // It may have ended before it has read.
}

const answers = {
  echo: (request, response, rest, body) => {
    const type = request.headers['content-type'] ?? 'text/plain';
    response.writeHead(200, { 'content-type': type, 'content-length': body.length }).end(body);
  },
  sink: (request, response, rest, body, noted) => response.end(noted.body),
  bytes: (request, response, [length]) => ranged(request, response, pattern(Number(length))),
  status: (request, response, [status]) => {
    response.writeHead(Number(status)).end([204, 304].includes(Number(status)) ? undefined : `status ${status}`);
  },
  redirect: (request, response, [status, left]) => {
    const place = Number(left) > 0 ? `/redirect/${status}/${Number(left) - 1}` : `http://${request.headers.host}/echo`;
    response.writeHead(Number(status), { location: place }).end('elsewhere');
  },
  cookies: (request, response, [what]) => {
    if (what !== 'set') return response.end(`cookies: ${request.headers.cookie}`);
    response.writeHead(302, { 'set-cookie': ['a=1; Path=/', 'b=two; HttpOnly; Path=/'], location: '/cookies' });
    response.end('eat them');
  },
  basic: (request, response) => {
    if (request.headers.authorization === `Basic ${btoa('ada:lovelace')}`) return response.end('welcome');
    response.writeHead(401, { 'www-authenticate': 'Basic realm="site"' }).end('who are you?');
  },
  gzip: (request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(text)),
  deflate: (request, response) => response.writeHead(200, { 'content-encoding': 'deflate' }).end(deflateSync(text)),
  br: (request, response) => response.writeHead(200, { 'content-encoding': 'br' }).end(brotliCompressSync(text)),
  events: (request, response, [count]) => events(response, Number(count)),
  trailers: (request, response) => {
    response.writeHead(200, { trailer: 'x-sum' });
    response.write('with a sum');
    response.addTrailers({ 'x-sum': '42' });
    response.end();
  },
  silent: () => {},
  cut: (request, response, [how]) => {
    // So much that the client has the beginning when the end does not come.
    response.writeHead(200, how === 'chunks' ? {} : { 'content-length': 40000000 });
    response.write(pattern(20000000), () => response.destroy());
  },
  attachment: (request, response) => {
    response.writeHead(200, { 'content-disposition': 'attachment; filename="gold.txt"' }).end(pattern(100));
  },
  retry: (request, response) => {
    tries[request.url] = (tries[request.url] ?? 0) + 1;
    if (tries[request.url] > 1) return response.end('at last');
    response.writeHead(503, { 'retry-after': '1' }).end('later');
  },
  file: (request, response, rest) => file(response, join(files, ...rest)),
  page: (request, response, rest) => file(response, join(import.meta.dirname, 'page', ...rest)),
  // The browser's page is loaded when its script has told what it saw.
  result: (request, response) => {
    response.writeHead(204).end();
    heldBack.splice(0).forEach((other) => other.writeHead(204).end());
  },
  hold: (request, response) => heldBack.push(response),
  git: (request, response, rest, body) => git(request, response, new URL(request.url, 'http://site'), body),
};

async function answer(request, response) {
  if (request.url === '/seen') {
    response.end(JSON.stringify(seen));
    [seen, tries, heldBack] = [[], {}, []];
    return;
  }
  const noted = note(request);
  const body = await bodyOf(request);
  noted.body = general(noted, body);
  const [what, ...rest] = new URL(request.url, 'http://site').pathname.slice(1).split('/');
  const known = answers[what];
  if (known) return known(request, response, rest, body, noted);
  response.writeHead(404).end('there is no such page');
}

export const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy());
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
