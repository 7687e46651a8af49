import { binary, close, continuation, frame, ping, pong, text } from '../../support/raw-client.js'
import { echoRoutes, expectBytes, expectFailure, noise, seenRoute, serverFrame, write, WRITINGS, type Cases, type Seen } from '../support.js'

export const controlFrames: Cases = (t, serve) => {
  for (const writing of WRITINGS) {
    t.test(`§5.5.2: a Ping is answered by a Pong with the same payload, sent ${writing}`, async t => {
      const open = await serve(t, echoRoutes)
      const client = await open()
      const payloads = [Buffer.alloc(0), Buffer.of(0), Buffer.from('hello'), Buffer.from('fffe00c0', 'hex'), noise(124), noise(125)]
      for (const payload of payloads) {
        await write(client, ping(payload), writing)
        await expectBytes(t, client, serverFrame(0xa, payload), `${payload.length} bytes`)
      }
      await write(client, Buffer.concat(payloads.map(payload => ping(payload))), writing)
      await expectBytes(t, client, Buffer.concat(payloads.map(payload => serverFrame(0xa, payload))), 'all of them, in their order')
    })
  }

  t.test('§5.5.3: a Pong that nobody asked for is not answered, and changes nothing', async t => {
    const seen: Seen[] = []
    const open = await serve(t, app => {
      echoRoutes(app)
      seenRoute(app, seen)
    })
    const client = await open()
    for (const payload of [Buffer.alloc(0), Buffer.from('unsolicited'), noise(125)]) client.write(pong(payload))
    client.write(ping('the only answer'))
    await expectBytes(t, client, serverFrame(0xa, 'the only answer'), 'nothing came before')

    const other = await open('/seen')
    other.write(Buffer.concat([pong('heard'), ping('too'), pong(), close(1000)]))
    t.equal((await other.frame()).opcode, 0xa)
    other.end()
    await seen[0]!.closed
    t.same(seen[0]!.events.map(event => event.trim()), ['pong heard', 'ping too', 'pong', 'close 1000'])
  })

  t.test('§5.5: a control frame of more than 125 bytes is refused with 1002', async t => {
    const open = await serve(t, echoRoutes)
    for (const opcode of [0x8, 0x9, 0xa]) {
      for (const announce of [126, 127, 65_535, 65_536, 2 ** 40]) {
        await expectFailure(t, open, frame(opcode, '', { announce }), 1002, `opcode ${opcode}, ${announce} bytes announced`)
      }
      await expectFailure(t, open, frame(opcode, 'x', { lengthBytes: 2 }), 1002, `opcode ${opcode}, one byte in the 16-bit form`)
      await expectFailure(t, open, frame(opcode, noise(126)), 1002, `opcode ${opcode}, 126 bytes sent`)
    }
  })

  t.test('§5.5: a control frame that is a fragment is refused with 1002', async t => {
    const open = await serve(t, echoRoutes)
    for (const opcode of [0x8, 0x9, 0xa]) {
      for (const payload of ['', 'xy']) {
        await expectFailure(t, open, frame(opcode, payload, { fin: false }), 1002, `opcode ${opcode}, ${payload.length} bytes`)
        await expectFailure(t, open, Buffer.concat([text('x', { fin: false }), frame(opcode, payload, { fin: false })]), 1002, `opcode ${opcode} inside of a message`)
      }
    }
    await expectFailure(t, open, Buffer.concat([ping('x', { fin: false }), continuation('y')]), 1002, 'a Ping and its continuation')
  })

  t.test('§5.5.2: a Ping between messages is answered in its place', async t => {
    const open = await serve(t, echoRoutes)
    const client = await open()
    client.write(Buffer.concat([text('1'), ping('2'), binary(noise(70_000)), ping('4'), text('5')]))
    await expectBytes(t, client, Buffer.concat([
      serverFrame(0x1, '1'), serverFrame(0xa, '2'), serverFrame(0x2, noise(70_000)), serverFrame(0xa, '4'), serverFrame(0x1, '5')
    ]), 'in the order in which they came')
  })

  t.test('§5.5.2: ten thousand Pings are ten thousand Pongs to a peer that reads', async t => {
    const open = await serve(t, echoRoutes)
    const client = await open()
    for (let i = 0; i < 10; i++) {
      const payloads = Array.from({ length: 1000 }, (_, index) => `${i * 1000 + index}`)
      client.write(Buffer.concat(payloads.map(payload => ping(payload))))
      await expectBytes(t, client, Buffer.concat(payloads.map(payload => serverFrame(0xa, payload))), `up to ${payloads.at(-1)}`)
    }
  })
}
