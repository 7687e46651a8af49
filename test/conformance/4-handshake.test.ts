import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { startApp } from '../support/app.js'
import { ACCEPT, KEY, RawClient, text, upgradeRequest, type RawResponse } from '../support/raw-client.js'
import { expectBytes, serverFrame } from './support.js'

/*
 * The opening handshake as it is over HTTP/1.1, to the byte. The rules alone are in test/protocol/handshake.test.ts,
 * what Fastify does with the request before them in test/routes/ and test/upgrade/.
 */

async function listen (t: Test): Promise<{ connect: () => Promise<RawClient>, port: number }> {
  const { port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
    })
    app.get('/url', { websocket: true }, connection => connection.send(connection.url))
    app.get('/no-subprotocol', { websocket: { protocols: [] } }, () => {})
    app.get('/chosen', { websocket: { protocols: ['v2', 'v1'] } }, connection => connection.send(connection.protocol))
  })
  const connect = async (): Promise<RawClient> => {
    const client = await RawClient.connect(port)
    t.teardown(() => client.destroy())
    return client
  }
  return { port, connect }
}

type Ask = (request: string) => Promise<RawResponse>

/** Sends one request on a connection of its own. The body of a 101 is not waited for. */
async function createAsk (t: Test): Promise<Ask> {
  const { connect } = await listen(t)
  return async request => {
    const client = await connect()
    client.write(request)
    const head = await client.head()
    if (head.status === 101) {
      // It is one only if frames are understood.
      client.write(text('after the handshake'))
      await expectBytes(t, client, serverFrame(0x1, 'after the handshake'), 'and speaks WebSocket')
      client.destroy()
      return { ...head, body: '' }
    }
    const body = (await client.bytes(Number(head.headers['content-length']))).toString()
    t.equal(await client.ended, true, 'a refusal ends the connection')
    client.destroy()
    return { ...head, body }
  }
}

t.test('§4.2.2: the answer is what the RFC says, to the byte', async t => {
  const { connect } = await listen(t)
  const client = await connect()
  client.write(upgradeRequest())
  const { head, headers } = await client.head()
  t.equal(client.received.length, 0, 'nothing behind the empty line')
  const lines = head.split('\r\n')
  t.equal(lines[0], 'HTTP/1.1 101 Switching Protocols')
  t.notMatch(head, /[^\r]\n|\r[^\n]/, 'every line ends with CRLF, and with nothing else')
  for (const line of lines.slice(1)) t.match(line, /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, line)
  t.same(lines.slice(1).map(line => line.split(':')[0]!.toLowerCase()).sort(), ['connection', 'date', 'sec-websocket-accept', 'upgrade'], 'each once, and no body is announced')
  t.equal(headers.upgrade?.toLowerCase(), 'websocket')
  t.equal(headers.connection?.toLowerCase(), 'upgrade')
  t.equal(headers['sec-websocket-accept'], ACCEPT, 'the example of §1.3')
})

t.test('§4.2.2: Sec-WebSocket-Accept is computed from the key as it was sent', async t => {
  const ask = await createAsk(t)
  for (const key of ['AAAAAAAAAAAAAAAAAAAAAA==', '/////////////////////w==', 'x3JJHMbDL1EzLkh9GBhXDw==', 'AQIDBAUGBwgJCgsMDQ4PEA==']) {
    const { headers } = await ask(upgradeRequest('/', { 'Sec-WebSocket-Key': key }))
    t.equal(headers['sec-websocket-accept'], createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64'), key)
  }
})

t.test('A9, §4.2.1: what is a valid handshake, however it is written', async t => {
  const ask = await createAsk(t)
  const requests: [name: string, request: string][] = [
    ['as the RFC has it', upgradeRequest()],
    ['as Firefox sends it', upgradeRequest('/', { Connection: 'keep-alive, Upgrade' })],
    ['tokens in any letter case', upgradeRequest('/', { Upgrade: 'WebSocket', Connection: 'UPGRADE' })],
    ['fields in any letter case', upgradeRequest('/', { Upgrade: null, Connection: null, UPGRADE: 'websocket', connection: 'Upgrade' })],
    ['lists with other tokens and empty elements', upgradeRequest('/', { Upgrade: ', h2c , websocket', Connection: 'x,, Upgrade ,keep-alive' })],
    ['repeated fields', upgradeRequest('/', { Upgrade: 'h2c\r\nUpgrade: websocket', Connection: 'keep-alive\r\nConnection: Upgrade' })],
    ['no space behind the colons', upgradeRequest().replaceAll(': ', ':')],
    ['spaces and tabs around values', upgradeRequest('/', { 'Sec-WebSocket-Version': ' \t13 \t', 'Sec-WebSocket-Key': `\t${KEY} ` })],
    ['a body of no bytes', upgradeRequest('/', { 'Content-Length': '0' })],
    ['extensions that nobody here speaks', upgradeRequest('/', { 'Sec-WebSocket-Extensions': 'x-unknown; a="b"; c, permessage-deflate' })]
  ]
  for (const [name, request] of requests) {
    const { status, headers } = await ask(request)
    t.equal(status, 101, name)
    t.notOk('sec-websocket-extensions' in headers, 'no extension was agreed on')
    t.notOk('sec-websocket-protocol' in headers, 'and no subprotocol was asked for')
  }
})

t.test('A8, A10, §4.2.1: what is not a valid handshake is refused over HTTP, with a status that says why', async t => {
  const ask = await createAsk(t)
  const requests: [name: string, request: string, status: number][] = [
    ['no Host', upgradeRequest('/', { Host: null }), 400],
    ['HTTP/1.0', upgradeRequest('/', {}, 'GET / HTTP/1.0'), 400],
    ['POST', upgradeRequest('/', {}, 'POST / HTTP/1.1'), 405],
    ['PUT', upgradeRequest('/', {}, 'PUT / HTTP/1.1'), 405],
    ['no version', upgradeRequest('/', { 'Sec-WebSocket-Version': null }), 426],
    ['version 8', upgradeRequest('/', { 'Sec-WebSocket-Version': '8' }), 426],
    ['version 14', upgradeRequest('/', { 'Sec-WebSocket-Version': '14' }), 426],
    ['version 013', upgradeRequest('/', { 'Sec-WebSocket-Version': '013' }), 426],
    ['versions in a list', upgradeRequest('/', { 'Sec-WebSocket-Version': '13, 8' }), 426],
    ['version twice', upgradeRequest('/', { 'Sec-WebSocket-Version': '13\r\nSec-WebSocket-Version: 13' }), 400],
    ['no key', upgradeRequest('/', { 'Sec-WebSocket-Key': null }), 400],
    ['an empty key', upgradeRequest('/', { 'Sec-WebSocket-Key': '' }), 400],
    ['a key of 15 bytes', upgradeRequest('/', { 'Sec-WebSocket-Key': Buffer.alloc(15).toString('base64') }), 400],
    ['a key of 17 bytes', upgradeRequest('/', { 'Sec-WebSocket-Key': Buffer.alloc(17).toString('base64') }), 400],
    ['a key of 18 bytes', upgradeRequest('/', { 'Sec-WebSocket-Key': Buffer.alloc(18).toString('base64') }), 400],
    ['a key without padding', upgradeRequest('/', { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ' }), 400],
    ['a key in base64url', upgradeRequest('/', { 'Sec-WebSocket-Key': '____________________-w==' }), 400],
    ['a key that is no base64', upgradeRequest('/', { 'Sec-WebSocket-Key': 'dGhlIHNhbXBs!SBub25jZQ==' }), 400],
    ['a key twice', upgradeRequest('/', { 'Sec-WebSocket-Key': `${KEY}\r\nSec-WebSocket-Key: ${KEY}` }), 400],
    ['a body', upgradeRequest('/', { 'Content-Length': '8' }) + '12345678', 400],
    ['a chunked body', upgradeRequest('/', { 'Transfer-Encoding': 'chunked' }) + '0\r\n\r\n', 400],
    ['a subprotocol twice', upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'a, a' }), 400],
    ['a subprotocol that is no token', upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'a b' }), 400],
    ['an empty list of subprotocols', upgradeRequest('/', { 'Sec-WebSocket-Protocol': ',' }), 400],
    ['an extension that is no token', upgradeRequest('/', { 'Sec-WebSocket-Extensions': 'a;;b' }), 400],
    ['an extension whose quotes do not close', upgradeRequest('/', { 'Sec-WebSocket-Extensions': 'a; b="c' }), 400]
  ]
  for (const [name, request, status] of requests) {
    const response = await ask(request)
    t.equal(response.status, status, `${name}: ${response.body}`)
    t.match(response.headers.connection, /(?:^|, ?)close(?:$|,)/i, 'and says that it closes the connection')
    if (status === 426) t.equal(response.headers['sec-websocket-version'], '13', '§4.4: with the version that is spoken')
    if (status === 426) t.match(response.headers.upgrade, /^websocket$/i, 'RFC 9110 §15.5.22')
    if (status === 405) t.equal(response.headers.allow, 'GET', 'RFC 9110 §15.5.6')
  }
})

t.test('A15, §4.2.1: a request that does not ask for a WebSocket gets 426, and may ask for something else', async t => {
  const { connect } = await listen(t)
  const requests: [name: string, headers: Record<string, string | null>][] = [
    ['no Upgrade', { Upgrade: null, Connection: null }],
    ['Upgrade, but not in Connection', { Connection: 'keep-alive' }],
    ['an Upgrade to something else', { Upgrade: 'h2c' }],
    ['an Upgrade to something like it', { Upgrade: 'websocket/13, websockets' }]
  ]
  for (const [name, headers] of requests) {
    const client = await connect()
    client.write(upgradeRequest('/', headers))
    const response = await client.response()
    t.equal(response.status, 426, name)
    t.match(response.headers.upgrade, /^websocket$/i)
    t.equal(response.headers['sec-websocket-version'], '13')
    client.destroy()
  }
})

t.test('§4.2.2: of the subprotocols offered the server takes the one it likes best, or none', async t => {
  const { connect } = await listen(t)
  const offers: [offered: string | null, chosen: string | undefined][] = [
    ['v1', 'v1'],
    ['v1, v2', 'v2'],
    ['v3,v1 , v2', 'v2'],
    ['v1\r\nSec-WebSocket-Protocol: v2', 'v2'],
    ['V2, v1', 'v1'],
    ['v3', undefined],
    ['constructor, __proto__', undefined],
    [null, undefined]
  ]
  for (const [offered, chosen] of offers) {
    const client = await connect()
    client.write(upgradeRequest('/chosen', { 'Sec-WebSocket-Protocol': offered }))
    const { status, headers } = await client.head()
    t.same({ status, chosen: headers['sec-websocket-protocol'] }, { status: 101, chosen }, String(offered))
    await expectBytes(t, client, serverFrame(0x1, chosen ?? ''), 'the connection knows it')
    client.destroy()
  }
})

t.test('§4.2.2: where no subprotocols are declared, the client has its first choice; where it is none, none', async t => {
  const { connect } = await listen(t)
  for (const [path, offered, chosen] of [['/', 'v3, v1', 'v3'], ['/', 'v3\r\nSec-WebSocket-Protocol: v1', 'v3'], ['/', null, undefined], ['/no-subprotocol', 'v3, v1', undefined]] as const) {
    const client = await connect()
    client.write(upgradeRequest(path, { 'Sec-WebSocket-Protocol': offered }))
    const { status, headers } = await client.head()
    t.same({ status, chosen: headers['sec-websocket-protocol'] }, { status: 101, chosen }, `${path} ${String(offered)}`)
    client.destroy()
  }
})

t.test('§3: the connection has the URL that the client asked for', async t => {
  const { connect } = await listen(t)
  for (const [target, host] of [['/url', 'localhost'], ['/url?a=b&c=%20d', 'example.com:8080'], ['/%75rl', '[::1]:80']] as const) {
    const client = await connect()
    client.write(upgradeRequest(target, { Host: host }))
    t.equal((await client.head()).status, 101)
    await expectBytes(t, client, serverFrame(0x1, `ws://${host}${target}`), target)
    client.destroy()
  }
})

t.test('§4.1: a request in pieces, down to one byte at a time, with the first frame behind it', async t => {
  const { connect } = await listen(t)
  const bytes = Buffer.concat([Buffer.from(upgradeRequest()), text('first')])
  for (const size of [1, 7, 100, bytes.length]) {
    const client = await connect()
    await client.writeSliced(bytes, size)
    t.equal((await client.head()).headers['sec-websocket-accept'], ACCEPT)
    await expectBytes(t, client, serverFrame(0x1, 'first'), `in pieces of ${size}`)
    client.destroy()
  }
})
