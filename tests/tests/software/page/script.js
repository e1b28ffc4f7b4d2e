// Does what pages do, one after the other, writes what came of it into the page, and tells the server at last.
import { words } from './words.js';

const list = document.getElementById('done');
const tell = (text) => list.append(Object.assign(document.createElement('li'), { textContent: text }));

async function pictureIsThere() {
  const picture = document.getElementById('picture');
  await picture.decode();
  return `${picture.naturalWidth}x${picture.naturalHeight}` === '7x5' ? 'drawn' : 'not drawn';
}

const fetched = async () => ((await (await fetch('/bytes/3000000')).text()).length === 3000000 ? 'fetched' : 'less');

const sent = async () => {
  const answer = await fetch('/echo', { method: 'POST', body: JSON.stringify({ words }) });
  return (await answer.json()).words === words ? 'sent' : 'not what was sent';
};

const events = () => new Promise((done) => {
  let heard = 0;
  const source = new EventSource('/events/20');
  source.onmessage = () => { heard += 1; };
  // The end of the stream; a browser would come back for more.
  source.onerror = () => { source.close(); done(`heard ${heard} events`); };
});

const cookie = async () => {
  await fetch('/cookies/set');
  return `cookie ${document.cookie}`;
};

const aborted = () => fetch('/silent', { signal: AbortSignal.timeout(300) }).then(() => 'answered', () => 'aborted');

const cut = async () => {
  const answer = await fetch('/cut');
  return answer.text().then(() => 'whole', () => 'cut');
};

try {
  tell(getComputedStyle(document.body).color === 'rgb(1, 2, 3)' ? 'styled' : 'not styled');
  for (const step of [pictureIsThere, fetched, sent, events, cookie, aborted, cut]) tell(await step());
} catch (error) {
  tell(String(error));
}
await fetch('/result', { method: 'POST', body: list.innerText });
