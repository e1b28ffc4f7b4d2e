// Puts Node's ws through its paces: node with_ws.mjs URL.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

const WebSocket = createRequire(import.meta.url)('ws');
const base = process.argv[2].replace('http', 'ws');

/// Opens a socket, does something with it, and tells how it was closed.
const use = (what, path, play, options = {}) => new Promise((done) => {
  const socket = new WebSocket(base + path, options.protocols ?? [], { maxPayload: 8 << 20, ...options });
  socket.on('open', () => { console.log(what, 'open', socket.protocol, socket.extensions); play(socket); });
  // Whether the connection would take another request is between each server and its client.
  socket.on('unexpected-response', (request, response) => {
    done(console.log(what, response.statusCode));
    request.destroy();
  });
  socket.on('error', (error) => done(console.log(what, error.message)));
  socket.on('close', (code, reason) => done(console.log(what, 'closed', code, reason.toString())));
});

const echo = (message) => (socket) => {
  socket.on('message', (data, isBinary) => {
    console.log(data.length, isBinary, createHash('sha256').update(data).digest('hex'));
    socket.close(1000, 'thanks');
  });
  socket.send(message);
};

const nothing = () => {};
await use('text', '/socket', echo('Grüße'));
await use('binary', '/socket', echo(Buffer.from([0, 1, 254, 255])));
await use('empty', '/socket', echo(''));
await use('1 MiB', '/socket', echo(Buffer.alloc(1 << 20, 'gold ')));
await use('compressed', '/socket', echo('gold '.repeat(100000)), { perMessageDeflate: true });
await use('uncompressed', '/socket', echo('gold '), { perMessageDeflate: false });
await use('a protocol', '/socket', echo('gold'), { protocols: ['silver', 'gold'] });
await use('its own name', '/socket', echo('gold'), { origin: 'http://elsewhere', headers: { cookie: 'a=1' } });
for (const code of [1000, 1001, 1011, 3000, 4999]) await use(`${code}`, `/socket/close/${code}`, nothing);
await use('no', '/socket/no', nothing);
await use('a ping', '/socket', (socket) => {
  socket.on('pong', (data) => { console.log('pong', data.toString()); socket.terminate(); });
  socket.ping('are you there');
});

let next = 0;
await use('ten thousand from there', '/socket/flood', (socket) => {
  socket.on('message', (data) => { if (Number(data) === next) next += 1; });
});
console.log('in order', next);

next = 0;
await use('ten thousand to and fro', '/socket', (socket) => {
  socket.on('message', (data) => {
    if (Number(data) === next) next += 1;
    if (Number(data) === 9999) socket.close(1000);
  });
  for (let number = 0; number < 10000; number += 1) socket.send(`${number}`);
});
console.log('in order', next);
console.log('that is all');
