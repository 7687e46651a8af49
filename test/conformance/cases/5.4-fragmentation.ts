import { binary, close, continuation, ping, pong, text } from '../../support/raw-client.js'
import {
  digest, echoRoutes, expectBytes, expectClosed, expectFailure, fragments, noise, prose, seenRoute, serverFrame, write, WRITINGS, type Cases, type Seen
} from '../support.js'

export const fragmentation: Cases = (t, serve) => {
  const first = text('one ', { fin: false })
  const middle = continuation('two ', { fin: false })
  const last = continuation('three')
  const empty = continuation('', { fin: false })

  for (const writing of WRITINGS) {
    t.test(`§5.4: fragments are one message, sent ${writing}`, async t => {
      const open = await serve(t, echoRoutes)
      const client = await open()
      const cases: [name: string, bytes: Buffer, answer: Buffer][] = [
        ['two fragments', Buffer.concat([text('one ', { fin: false }), last]), serverFrame(0x1, 'one three')],
        ['three fragments', Buffer.concat([first, middle, last]), serverFrame(0x1, 'one two three')],
        ['an empty first one', Buffer.concat([binary('', { fin: false }), last]), serverFrame(0x2, 'three')],
        ['an empty last one', Buffer.concat([first, continuation('')]), serverFrame(0x1, 'one ')],
        ['empty ones between', Buffer.concat([first, empty, middle, empty, empty, last]), serverFrame(0x1, 'one two three')],
        ['nothing but empty ones', Buffer.concat([text('', { fin: false }), empty, continuation('')]), serverFrame(0x1, '')],
        ['a Ping between', Buffer.concat([first, ping('p'), last]), Buffer.concat([serverFrame(0xa, 'p'), serverFrame(0x1, 'one three')])],
        [
          'Pings and Pongs between all', Buffer.concat([first, ping('1'), pong('no answer'), middle, ping('2'), ping('3'), last, ping('4')]),
          Buffer.concat([serverFrame(0xa, '1'), serverFrame(0xa, '2'), serverFrame(0xa, '3'), serverFrame(0x1, 'one two three'), serverFrame(0xa, '4')])
        ],
        ['fragments of every length form', fragmentsOf(noise(70_127 + 126), [126, 65_536, 1, 125, 65_535]), serverFrame(0x2, noise(70_127 + 126))]
      ]
      for (const [name, bytes, answer] of cases) {
        await write(client, bytes, writing)
        await expectBytes(t, client, answer, name)
      }
    })
  }

  t.test('§5.4: a Ping inside of a message is answered before the message is complete', async t => {
    const open = await serve(t, echoRoutes)
    const client = await open()
    client.write(Buffer.concat([first, ping('now')]))
    await expectBytes(t, client, serverFrame(0xa, 'now'), 'the Pong')
    client.write(last)
    await expectBytes(t, client, serverFrame(0x1, 'one three'), 'the message')
  })

  t.test('§5.4: a Close frame inside of a message ends the connection, and the message is never delivered', async t => {
    const seen: Seen[] = []
    const open = await serve(t, app => seenRoute(app, seen))
    const client = await open('/seen')
    client.write(Buffer.concat([first, close(1000), last]))
    await expectClosed(t, client, 1000, 'answered')
    client.end()
    await seen[0]!.closed
    t.same(seen[0]!.events, ['close 1000'])
  })

  t.test('§5.4: fragments out of order are refused with 1002', async t => {
    const open = await serve(t, echoRoutes)
    const cases: [name: string, frames: Buffer[]][] = [
      ['a continuation of nothing', [continuation('x')]],
      ['a continuation of nothing, to be continued', [continuation('x', { fin: false })]],
      ['an empty continuation of nothing', [continuation('')]],
      ['a text message inside of a text message', [first, text('x')]],
      ['a binary message inside of a text message', [first, binary('x')]],
      ['a first fragment inside of a message', [first, text('x', { fin: false })]],
      ['an empty message inside of an empty fragment', [binary('', { fin: false }), binary('')]],
      ['a message inside of a message, behind a Ping', [first, empty, text('x')]]
    ]
    for (const [name, frames] of cases) await expectFailure(t, open, Buffer.concat(frames), 1002, name)

    const client = await open()
    client.write(Buffer.concat([first, last]))
    await expectBytes(t, client, serverFrame(0x1, 'one three'), 'a whole message')
    client.write(last)
    await expectClosed(t, client, 1002, 'and a continuation behind it')
  })

  t.test('§5.4: messages to 16 MiB in fragments of many sizes', async t => {
    const open = await serve(t, echoRoutes)
    const client = await open('/digest')
    const MiB = 1024 * 1024
    for (const [size, fragmentSize] of [[MiB, 64], [MiB, 256], [4 * MiB, 1024], [4 * MiB, 4096], [16 * MiB, 64 * 1024], [16 * MiB, 1000], [16 * MiB, 64], [16 * MiB, 4 * MiB]] as const) {
      const payload = noise(size)
      client.write(fragments(0x2, payload, fragmentSize))
      await expectBytes(t, client, serverFrame(0x1, digest(payload, true)), `${size} bytes in fragments of ${fragmentSize}`)
    }
    const payload = prose(MiB)
    client.write(fragments(0x1, payload, 65))
    await expectBytes(t, client, serverFrame(0x1, digest(payload, false)), 'text of 1 MiB, characters cut by fragments of 65 bytes')
  })

  t.test('C7: 4 MiB in fragments of 64 bytes are a message like any other', async t => {
    const open = await serve(t, echoRoutes)
    const client = await open('/digest')
    for (const opcode of [0x1, 0x2]) {
      const payload = prose(4 * 1024 * 1024)
      client.write(fragments(opcode, payload, 64))
      await expectBytes(t, client, serverFrame(0x1, digest(payload, opcode === 0x2)), `opcode ${opcode}`)
    }
  })

  t.test('§5.4: what the server fragments is in order, with control frames between', async t => {
    const open = await serve(t, app => {
      app.get('/', { websocket: true }, connection => {
        connection.send('one ', { fin: false })
        connection.ping('between')
        connection.send('two ', { fin: false })
        connection.send(Buffer.alloc(0), { fin: true })
        connection.send('next')
      })
    })
    const client = await open()
    const expected: [opcode: number, fin: boolean, payload: string][] = [
      [0x1, false, 'one '], [0x9, true, 'between'], [0x0, false, 'two '], [0x0, true, ''], [0x1, true, 'next']
    ]
    for (const [opcode, fin, payload] of expected) {
      const received = await client.frame()
      t.same({ opcode: received.opcode, fin: received.fin, payload: received.payload.toString() }, { opcode, fin, payload })
    }
  })
}

/** A binary message cut at sizes used in turn. */
function fragmentsOf (payload: Buffer, sizes: readonly number[]): Buffer {
  const frames: Buffer[] = []
  for (let at = 0, i = 0; at < payload.length; i++) {
    const piece = payload.subarray(at, at + sizes[i % sizes.length]!)
    at += piece.length
    frames.push((i === 0 ? binary : continuation)(piece, { fin: at === payload.length }))
  }
  return Buffer.concat(frames)
}
