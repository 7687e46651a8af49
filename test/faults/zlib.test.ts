import { syncBuiltinESMExports } from 'node:module'
import t, { type Test } from 'tap'
import zlib from 'node:zlib'
import { startApp } from '../support/app.js'
import { DeflateClient } from '../support/deflate-client.js'
import { binary, RawClient, text } from '../support/raw-client.js'

// zlib fails for want of memory, which cannot be had here otherwise.

const OPTIONS = { perMessageDeflate: { threshold: 0 } }

function outOfMemory (): Error {
  return Object.assign(new Error('insufficient memory'), { code: 'Z_MEM_ERROR', errno: -4 })
}

/** From now on and until the test ends: everything of zlib that makes a context. */
function exhaust (t: Test): void {
  const fail = (): never => { throw outOfMemory() }
  const failLater = (...args: unknown[]): void => { setImmediate(args.at(-1) as (error: Error) => void, outOfMemory()) }
  const failing = { deflateRaw: failLater, inflateRaw: failLater, deflateRawSync: fail, inflateRawSync: fail, createDeflateRaw: fail, createInflateRaw: fail }
  const before = Object.getOwnPropertyDescriptors(zlib)
  for (const [name, value] of Object.entries(failing)) Object.defineProperty(zlib, name, { value })
  syncBuiltinESMExports()
  t.teardown(() => {
    Object.defineProperties(zlib, before)
    syncBuiltinESMExports()
  })
}

t.test('C8: zlib has no memory: what is sent goes out as it is, what comes compressed ends its connection, and nobody else\'s', async t => {
  const { app, port } = await startApp(t, app => {
    app.get('/', { websocket: true }, connection => {
      connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
    })
  }, OPTIONS)
  const plain = await RawClient.open(port)
  const offer = { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' }
  const sender = await RawClient.open(port, '/', offer)
  // Their payloads are made while zlib still works.
  const encoder = await DeflateClient.open(t, port)
  const short = await encoder.encode('a message that is compressed, that is compressed')
  const long = await encoder.encode(Buffer.from(Array.from({ length: 60_000 }, (_, i) => (i * i) >>> 5)))
  const victims = [await RawClient.open(port, '/', offer), await RawClient.open(port, '/', offer)] as const
  t.teardown(() => { for (const client of [plain, sender, ...victims]) client.destroy() })
  exhaust(t)

  for (const size of [100, 50_000]) {
    sender.write(binary(Buffer.alloc(size, 'x')))
    const { rsv, payload } = await sender.frame()
    t.strictSame({ rsv, length: payload.length }, { rsv: 0, length: size })
  }
  for (const [victim, bytes] of [[victims[0], short], [victims[1], long]] as const) {
    victim.write(bytes)
    t.equal((await victim.closeFrame()).code, 1007)
    t.ok(await victim.ended)
  }
  plain.write(text('unharmed'))
  t.equal((await plain.frame()).payload.toString(), 'unharmed')
  sender.write(text('and this'))
  t.equal((await sender.frame()).payload.toString(), 'and this')
  for (const victim of victims) victim.end()
  app.websocketServer.broadcast('to all '.repeat(10))
  t.equal((await plain.frame()).payload.toString(), 'to all '.repeat(10))
  t.equal((await sender.frame()).payload.toString(), 'to all '.repeat(10))
})
