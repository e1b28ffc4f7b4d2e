// Talks to a WebSocket, writes what came of it into the page, and tells the server at last.
const list = document.getElementById('done');
const tell = (text) => list.append(Object.assign(document.createElement('li'), { textContent: text }));

const talk = (path, message, protocols) => new Promise((done) => {
  const socket = new WebSocket(`ws://${location.host}${path}`, protocols);
  let heard = 0;
  socket.onopen = () => message && socket.send(message);
  socket.onmessage = (event) => {
    heard += event.data.length;
    socket.close(3001, 'enough');
  };
  socket.onclose = (event) => {
    tell(`${path} ${socket.protocol} heard ${heard}, closed ${event.code} ${event.reason} ${event.wasClean}`);
    done();
  };
});

await talk('/socket', 'x'.repeat(1 << 20), 'gold');
await talk('/socket/close/4001');
await talk('/socket/no');
await fetch('/result', { method: 'POST', body: list.innerText });
