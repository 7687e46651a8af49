import { once } from 'node:events'
import { binary, close, continuation, ping, type RawClient } from '../../support/raw-client.js'
import { expectDigest, limitedRoutes, settle } from '../../conformance/cases/10.4-limits.js'
import { fragments, memoryInUse, noise, seenRoute, type Cases, type Seen } from '../../conformance/support.js'

const MiB = 1024 * 1024
const GiB = 1024 * MiB
const LONG = 60_000

/** What a peer can make a connection keep, within the rules of RFC 6455. */
export const memory: Cases = (t, serve) => {
  t.test('C1, §10.4: lengths that are only announced take no memory', async t => {
    const open = await serve(t, app => limitedRoutes(app, [GiB]))
    const clients: RawClient[] = []
    for (let i = 0; i < 20; i++) clients.push(await open(`/${GiB}`))
    const before = process.memoryUsage().arrayBuffers
    for (const client of clients) {
      await settle(client)
      // The Ping and the start of the frame are one chunk: the Pong tells that both were decoded.
      client.write(Buffer.concat([ping(), binary('starts', { announce: 256 * MiB })]))
      await client.frame()
    }
    const taken = process.memoryUsage().arrayBuffers - before
    t.ok(taken < 16 * MiB, `${taken} bytes for 20 connections that announced 256 MiB each`)
  })

  t.test('C2, §10.4: long messages of which only a part comes take no more memory than that part', async t => {
    const open = await serve(t, app => limitedRoutes(app, [32 * MiB]))
    const clients: RawClient[] = []
    for (let i = 0; i < 30; i++) clients.push(await open(`/${32 * MiB}`))
    const other = await open(`/${32 * MiB}`)
    const part = binary(Buffer.alloc(2 * MiB), { announce: 32 * MiB })
    const before = process.memoryUsage.rss()
    for (const client of clients) {
      await settle(client)
      client.write(part)
    }
    // The server answers nothing within a frame. The turns of another client show that the server has had the time to read.
    for (let i = 0; i < 200 && clients.some(client => client.socket.writableLength > 0); i++) await settle(other)
    for (let i = 0; i < 50; i++) await settle(other)
    const taken = process.memoryUsage.rss() - before
    t.ok(taken < 400 * MiB, `${taken} bytes for 60 MiB of 960`)
  })

  t.test('C2, §10.4: tiny fragments cost no more than a small multiple of their payload', async t => {
    const open = await serve(t, app => limitedRoutes(app, [MiB]))
    const client = await open(`/${MiB}`)
    await settle(client)
    const count = 130_000
    const before = memoryInUse()
    // 0.9 MB on the wire. A list of pieces would be more than 10 MB.
    client.write(fragments(0x2, noise(count), 1).subarray(0, -7))
    await settle(client)
    const taken = memoryInUse() - before
    t.ok(taken < 4 * MiB, `${taken} bytes for ${count} fragments of one byte`)
    client.write(continuation(noise(count).subarray(-1)))
    await expectDigest(t, client, noise(count), 'and they are a message')
  })

  t.test('C2, §10.4: a fragment that comes in tiny chunks costs no more than it holds', async t => {
    const open = await serve(t, app => limitedRoutes(app, [MiB]))
    const clients: RawClient[] = []
    for (let i = 0; i < 10; i++) clients.push(await open(`/${MiB}`))
    const payload = noise(500)
    const bytes = binary(payload)
    const before = memoryInUse()
    await Promise.all(clients.map(client => client.writeSliced(bytes.subarray(0, -1), 1)))
    const taken = memoryInUse() - before
    // A chunk from a socket may pin 64 KiB: 500 of them for each connection would be hundreds of MiB.
    t.ok(taken < 4 * MiB, `${taken} bytes for ten times 499 chunks of one byte`)
    for (const client of clients) {
      client.write(bytes.subarray(-1))
      await expectDigest(t, client, payload, 'and it is a message')
    }
  })

  t.test('C2, §10.4: empty fragments without end cost nothing, and the message may still end', async t => {
    const open = await serve(t, app => limitedRoutes(app, [10]))
    const client = await open('/10')
    client.write(binary('begin', { fin: false }))
    await settle(client)
    const before = memoryInUse()
    const empty = Buffer.concat(Array.from({ length: 10_000 }, () => continuation('', { fin: false })))
    for (let i = 0; i < 20; i++) {
      client.write(empty)
      await settle(client)
    }
    const taken = memoryInUse() - before
    t.ok(taken < 2 * MiB, `${taken} bytes for 200 000 empty fragments`)
    client.write(continuation('end'))
    await expectDigest(t, client, Buffer.from('beginend'), 'ended')
  })

  t.test('C11: what a peer sends behind its Close frame is read and not kept', async t => {
    const seen: Seen[] = []
    const open = await serve(t, app => seenRoute(app, seen), { closeTimeout: LONG })
    const client = await open('/seen')
    client.write(close(1000))
    await client.closeFrame()
    const message = binary(noise(1024 * 1024))
    const before = memoryInUse()
    // A stream of HTTP/2 can be told that nothing more is wanted (RFC 9113 §8.1).
    const toldToStop = 'rstCode' in client.socket ? client.closed : new Promise<void>(() => {})
    for (let i = 0; i < 64 && !client.socket.destroyed; i++) {
      // Were it not read, the kernel would take no more and this would never come.
      if (!client.write(message)) await Promise.race([once(client.socket, 'drain'), toldToStop])
    }
    const kept = memoryInUse() - before
    t.ok(kept < 32 * 1024 * 1024, `${kept} bytes more for the 64 MiB that came`)
    client.end()
    await seen[0]!.closed
    t.same(seen[0]!.events, ['close 1000'])
  })
}
