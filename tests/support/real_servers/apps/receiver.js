// A receiver whose answer is chosen by the path; the other programs in this folder do the same.
const fs = require('fs');
const https = require('https');
const express = require('express');

const app = express();
app.use((request, response, next) => {
  request.url = request.url.replace(/^.*\//, '/');
  const number = request.get('x-number');
  if (number) fs.appendFileSync(process.env.ARRIVALS, `${number}\n`);
  next();
});
app.post('/unread', (request, response) => response.status(200).send('OK'));
app.post('/hints', (request, response) => {
  response.writeContinue();
  response.writeProcessing();
  response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
  response.send('OK');
});
app.post('/json', express.json(), (request, response) => response.send('OK'));
app.use(express.raw({ type: '*/*', limit: '10mb' }));
app.post('/chunked', (request, response) => {
  for (const part of [1, 2, 3, 4, 5]) response.write(String(part).repeat(1000));
  response.end();
});
app.post('/large', (request, response) => response.type('text').send('x'.repeat(5000000)));
app.post('/redirect', (request, response) => response.redirect('/200'));
app.post('/size', (request, response) => response.type('text').send(String(request.body.length)));
app.post('/crash', () => {
  throw new Error('a fault of the receiver');
});
app.post('/:status', (request, response) => {
  response.status(Number(request.params.status));
  if (request.params.status === '204') response.end();
  else response.type('text').send('OK');
});

const files = {
  key: fs.readFileSync(process.env.KEY),
  cert: fs.readFileSync(process.env.CERTIFICATE),
  ca: fs.readFileSync(process.env.CLIENTS),
};
const demanding = { ...files, requestCert: true, rejectUnauthorized: true };
const listen = (server, port) => server.listen(Number(port), '127.0.0.1');
const idle = https.createServer(files, app);
idle.keepAliveTimeout = 200;
const few = https.createServer(files, app);
few.maxRequestsPerSocket = 5;
for (const version of ['1.2', '1.3']) {
  const versions = { minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` };
  const server = https.createServer({ ...demanding, ...versions }, app);
  listen(server, process.env[`demanding-${version}`]);
}
listen(idle, process.env.idle);
listen(few, process.env.few);
const main = https.createServer(files, app);
main.keepAliveTimeout = 60_000;
listen(main, process.env.main);
