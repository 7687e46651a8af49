import { setImmediate as nextTurn } from 'node:timers/promises'
import { binary, continuation, frame, ping, pong, text } from '../../support/raw-client.js'
import {
  digest, echoRoutes, expectBytes, expectFailure, noise, prose, serverFrame, write, WRITINGS, type Cases
} from '../support.js'

const SIZES = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, 200_000]

export const framing: Cases = (t, serve) => {
  for (const writing of WRITINGS) {
    t.test(`§5.2: payloads of every length form come back as they were, sent ${writing}`, async t => {
      const open = await serve(t, echoRoutes)
      const client = await open()
      for (const size of SIZES) {
        await write(client, text(prose(size)), writing)
        await expectBytes(t, client, serverFrame(0x1, prose(size)), `text of ${size} bytes`)
        await write(client, binary(noise(size)), writing)
        await expectBytes(t, client, serverFrame(0x2, noise(size)), `binary of ${size} bytes`)
      }
    })
  }

  t.test('§5.2: many frames in one write, and frames cut across writes anywhere', async t => {
    const open = await serve(t, echoRoutes)
    const client = await open()
    const sizes = [...SIZES, 3, 0, 126, 1]
    const bytes = Buffer.concat(sizes.map(size => binary(noise(size))))
    const expected = Buffer.concat(sizes.map(size => serverFrame(0x2, noise(size))))
    client.write(bytes)
    await expectBytes(t, client, expected, 'in one write')
    await client.writeSliced(bytes, 4099)
    await expectBytes(t, client, expected, 'cut in pieces of 4099 bytes')
  })

  t.test('§5.2: messages of 1, 4 and 16 MiB in one frame', async t => {
    const open = await serve(t, echoRoutes)
    const client = await open('/digest')
    for (const mebibytes of [1, 4, 16]) {
      const size = mebibytes * 1024 * 1024
      for (const [opcode, payload] of [[0x1, prose(size)], [0x2, noise(size)]] as const) {
        client.write(frame(opcode, payload))
        await expectBytes(t, client, serverFrame(0x1, digest(payload, opcode === 0x2)), `${mebibytes} MiB, opcode ${opcode}`)
      }
    }
    const echo = await open('/')
    const payload = noise(4 * 1024 * 1024)
    echo.write(binary(payload))
    await expectBytes(t, echo, serverFrame(0x2, payload), '4 MiB there and back')
  })

  t.test('§5.2: reserved bits are refused with 1002, no extension having given them a meaning', async t => {
    const open = await serve(t, echoRoutes)
    for (const rsv of [0x40, 0x20, 0x10, 0x60, 0x50, 0x30, 0x70]) {
      const bits = (rsv >> 4).toString(2).padStart(3, '0')
      await expectFailure(t, open, text('x', { rsv }), 1002, `RSV ${bits} on text`)
      await expectFailure(t, open, binary('', { rsv }), 1002, `RSV ${bits} on an empty binary frame`)
      await expectFailure(t, open, ping('x', { rsv }), 1002, `RSV ${bits} on a Ping`)
      await expectFailure(t, open, pong('x', { rsv }), 1002, `RSV ${bits} on a Pong`)
      await expectFailure(t, open, frame(0x8, '', { rsv }), 1002, `RSV ${bits} on a Close frame`)
      await expectFailure(t, open, Buffer.concat([text('x', { fin: false }), continuation('y', { rsv })]), 1002, `RSV ${bits} on a continuation`)
    }
  })

  t.test('§5.2: reserved opcodes are refused with 1002, with and without a payload', async t => {
    const open = await serve(t, echoRoutes)
    for (const opcode of [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf]) {
      await expectFailure(t, open, frame(opcode, ''), 1002, `opcode ${opcode}, empty`)
      await expectFailure(t, open, frame(opcode, 'payload'), 1002, `opcode ${opcode}`)
      await expectFailure(t, open, Buffer.concat([text('x', { fin: false }), frame(opcode, 'payload')]), 1002, `opcode ${opcode} inside of a message`)
    }
  })

  t.test('§5.2: the frames before a bad one are answered first', async t => {
    const open = await serve(t, echoRoutes)
    for (const bad of [text('x', { rsv: 0x40 }), frame(0x3, ''), frame(0xb, 'x')]) {
      const client = await open()
      client.write(Buffer.concat([text('one'), ping('two'), bad, text('three')]))
      await expectBytes(t, client, Buffer.concat([serverFrame(0x1, 'one'), serverFrame(0xa, 'two')]), 'both, in their order')
      t.equal((await client.closeFrame()).code, 1002)
    }
  })

  t.test('§5.2: a length that is not in its shortest form is refused with 1002', async t => {
    const open = await serve(t, echoRoutes)
    for (const [length, lengthBytes] of [[0, 2], [1, 2], [125, 2], [0, 8], [1, 8], [125, 8], [126, 8], [65_535, 8]] as const) {
      await expectFailure(t, open, binary('', { announce: length, lengthBytes }), 1002, `${length} in ${lengthBytes} bytes`)
      await expectFailure(t, open, Buffer.concat([binary('', { fin: false }), continuation(noise(length), { lengthBytes })]), 1002, `${length} in ${lengthBytes} bytes, in a continuation`)
    }
  })

  t.test('§5.2: a 64-bit length with its top bit set is refused with 1002, not with 1009', async t => {
    const open = await serve(t, echoRoutes)
    for (const announce of [2n ** 63n, 2n ** 63n + 1n, 2n ** 64n - 1n]) {
      await expectFailure(t, open, binary('', { announce }), 1002, `0x${announce.toString(16)}`)
    }
  })

  t.test('§5.2: a header that comes byte by byte is understood, and the message answered with its last byte, not before', async t => {
    const open = await serve(t, echoRoutes)
    for (const announce of [5, 1000, 300_000]) {
      const client = await open()
      for (const byte of binary('', { announce })) {
        client.write(Buffer.of(byte))
        await nextTurn()
      }
      client.write(Buffer.alloc(announce - 1))
      await nextTurn()
      t.equal(client.received.length, 0)
      client.write(Buffer.alloc(1))
      t.equal((await client.frame()).payload.length, announce)
    }
  })
}
