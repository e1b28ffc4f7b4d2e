// The web site with WebSockets: node sockets.mjs FILES REPOSITORIES. /socket says what it hears; /socket/close/CODE
// closes with a code and a reason; /socket/flood says ten thousand things at once; /socket/no says that there is none.
import { createRequire } from 'node:module';
import { note, server } from './site.mjs';

const { WebSocketServer } = createRequire(import.meta.url)('ws');
const sockets = new WebSocketServer({
  noServer: true, perMessageDeflate: true, maxPayload: 8 << 20, handleProtocols: (asked) => (asked.has('gold') ? 'gold' : false),
});

function serve(socket, path) {
  const [what, code] = path.split('/').slice(2);
  if (what === 'close') return socket.close(Number(code), `as told: ${code}`);
  if (what === 'flood') {
    for (let number = 0; number < 10000; number += 1) socket.send(`${number}`);
    return socket.close(1000, 'that was all');
  }
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
}

server.on('upgrade', (request, stream, early) => {
  note(request).headers['sec-websocket-key'] = 'ANOTHER EACH TIME';
  if (request.url === '/socket/no') return stream.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
  sockets.handleUpgrade(request, stream, early, (socket) => serve(socket, request.url));
});
