import { binary, close, continuation, ping, text } from '../../support/raw-client.js'
import { echoRoutes, expectBytes, expectClosed, expectFailure, fragments, seenRoute, serverFrame, write, WRITINGS, type Cases, type Seen } from '../support.js'

const VALID: [name: string, payload: string][] = [
  ['NUL', '\u0000'],
  ['ASCII', 'Hello'],
  ['U+007F', '\u007f'],
  ['U+0080', '\u0080'],
  ['U+07FF', '\u07ff'],
  ['U+0800', '\u0800'],
  ['U+D7FF, the last before the surrogates', '\ud7ff'],
  ['U+E000, the first behind them', '\ue000'],
  ['U+FEFF, a byte order mark, which stays', '\ufefftext'],
  ['U+FFFD', '\ufffd'],
  ['the noncharacters U+FFFE and U+FFFF', '\ufffe\uffff'],
  ['U+10000', '\u{10000}'],
  ['U+1FFFF, a noncharacter', '\u{1ffff}'],
  ['U+10FFFF', '\u{10ffff}'],
  ['all lengths', 'κόσμε aé€😀 ' + '日本語'.repeat(50)]
]

/** What a text may begin with, and the byte that no valid text has there (RFC 3629 §4). */
const INVALID: [name: string, good: string, bad: string][] = [
  ['a continuation byte alone', '', '80'],
  ['the last continuation byte alone', '', 'bf'],
  ['a continuation byte too many', 'c3a9', 'a9'],
  ['an overlong NUL in two bytes', '', 'c080'],
  ['an overlong slash in two bytes', '', 'c0af'],
  ['an overlong U+007F in two bytes', '', 'c1bf'],
  ['an overlong slash in three bytes', 'e0', '80af'],
  ['an overlong U+07FF in three bytes', 'e0', '9fbf'],
  ['an overlong slash in four bytes', 'f0', '8080af'],
  ['an overlong U+FFFF in four bytes', 'f0', '8fbfbf'],
  ['an overlong slash in five bytes', '', 'f8808080af'],
  ['an overlong slash in six bytes', '', 'fc80808080af'],
  ['U+D800, a surrogate', 'ed', 'a080'],
  ['U+DFFF, a surrogate', 'ed', 'bfbf'],
  ['a pair of surrogates', 'ed', 'a081edb080'],
  ['U+110000', 'f4', '908080'],
  ['U+13FFFF', 'f4', 'bfbfbf'],
  ['U+140000', '', 'f5808080'],
  ['U+200000 in five bytes', '', 'f888808080'],
  ['a byte that never occurs', '', 'fe'],
  ['another one', '61', 'ff'],
  ['a character of two bytes cut short', 'c3', '41'],
  ['a character of three bytes cut short', 'e282', '41'],
  ['a character of four bytes cut short', 'f09f98', '41'],
  ['a character cut short by another', 'e282', 'c3a9']
]

/** Texts that are valid as far as they go, and end too early. */
const TRUNCATED: [name: string, hex: string][] = [
  ['one byte of two', 'c3'],
  ['one byte of three', 'e2'],
  ['two bytes of three', 'e282'],
  ['one byte of four', 'f0'],
  ['two bytes of four', 'f09f'],
  ['three bytes of four', 'f09f98'],
  ['half of the second character', 'c3a9c3']
]

export const utf8: Cases = (t, serve) => {
  for (const writing of WRITINGS) {
    t.test(`§8.1: every valid class of text comes back, sent ${writing}`, async t => {
      const open = await serve(t, echoRoutes)
      const client = await open()
      for (const [name, payload] of VALID) {
        await write(client, text(payload), writing)
        await expectBytes(t, client, serverFrame(0x1, payload), name)
        // A fragment may end within a character.
        await write(client, fragments(0x1, Buffer.from(payload), 1), writing)
        await expectBytes(t, client, serverFrame(0x1, payload), `${name}, in fragments of one byte`)
      }
    })
  }

  t.test('§8.1: text that is not UTF-8 is refused with 1007', async t => {
    const open = await serve(t, echoRoutes)
    for (const [name, good, bad] of INVALID) {
      const payload = Buffer.from(`${good}${bad}`, 'hex')
      await expectFailure(t, open, text(payload), 1007, `${name}, in one frame`)
      await expectFailure(t, open, text(Buffer.concat([Buffer.alloc(200, 'a'), payload, Buffer.from('b')])), 1007, `${name}, in longer text`)
      await expectFailure(t, open, fragments(0x1, payload, 1), 1007, `${name}, in fragments of one byte`)
    }
  })

  t.test('§8.1: text that ends within a character is refused with 1007 when it ends', async t => {
    const open = await serve(t, echoRoutes)
    for (const [name, hex] of TRUNCATED) {
      const payload = Buffer.from(hex, 'hex')
      await expectFailure(t, open, text(payload), 1007, `${name}, in one frame`)
      const client = await open()
      client.write(Buffer.concat([text('before', { fin: false }), continuation(payload, { fin: false }), ping()]))
      await expectBytes(t, client, serverFrame(0xa, ''), `${name}, so far without objection`)
      client.write(continuation(''))
      await expectClosed(t, client, 1007, 'until an empty fragment ends it')
    }
  })

  t.test('C6: text fails at its first bad byte, before the frame or the message is complete', async t => {
    const open = await serve(t, echoRoutes)
    for (const [name, good, bad] of INVALID) {
      const start = Buffer.from(good, 'hex')
      const firstBad = Buffer.from(bad.slice(0, 2), 'hex')
      // What is announced and never comes would tell a server that waits for it nothing.
      await expectFailure(t, open, text(Buffer.concat([start, firstBad]), { announce: 1000 }), 1007, `${name}, in a frame that goes on`)

      const fragmented = await open()
      fragmented.write(Buffer.concat([text(Buffer.concat([Buffer.from('text '), start]), { fin: false }), ping()]))
      await expectBytes(t, fragmented, serverFrame(0xa, ''), `${name}: the fragment before is good`)
      fragmented.write(continuation(firstBad, { fin: false, announce: 70_000 }))
      await expectClosed(t, fragmented, 1007, 'the next fails with its first byte')
      fragmented.destroy()
    }
  })

  t.test('C6: a bad byte deep in a long frame that comes in pieces is found when it comes', async t => {
    const open = await serve(t, echoRoutes)
    for (const at of [1, 63, 64, 65, 4095, 65_536, 300_000]) {
      const client = await open()
      const payload = Buffer.concat([Buffer.alloc(at, 'a'), Buffer.of(0xff)])
      await client.writeSliced(text(payload, { announce: 1_000_000 }), 30_001)
      await expectClosed(t, client, 1007, `byte ${at} of a million`)
    }
  })

  t.test('§5.6: binary messages, Pings and Pongs may hold any bytes', async t => {
    const open = await serve(t, echoRoutes)
    const client = await open()
    for (const [name, good, bad] of INVALID) {
      const payload = Buffer.from(`${good}${bad}`, 'hex')
      client.write(Buffer.concat([binary(payload), fragments(0x2, payload, 1), ping(payload)]))
      await expectBytes(t, client, Buffer.concat([serverFrame(0x2, payload), serverFrame(0x2, payload), serverFrame(0xa, payload)]), name)
    }
  })

  t.test('§8.1: a message that failed is not delivered, not even in part', async t => {
    const seen: Seen[] = []
    const open = await serve(t, app => seenRoute(app, seen))
    const client = await open('/seen')
    client.write(Buffer.concat([text('good'), text('bad ', { fin: false }), continuation(Buffer.of(0xff), { fin: false }), continuation('rest'), text('behind')]))
    await expectClosed(t, client, 1007, 'failed')
    client.end()
    await seen[0]!.closed
    t.same(seen[0]!.events, ['text good', 'error FST_WS_ERR_INVALID_PAYLOAD', 'close 1006'])
  })

  t.test('§5.5.1: the reason of a Close frame is text', async t => {
    const open = await serve(t, echoRoutes)
    for (const [name, payload] of VALID) {
      if (Buffer.byteLength(payload) <= 123) await expectFailure(t, open, close(1000, payload), 1000, name)
    }
    for (const [name, good, bad] of INVALID) await expectFailure(t, open, close(1000, Buffer.from(`${good}${bad}`, 'hex')), 1007, name)
    for (const [name, hex] of TRUNCATED) await expectFailure(t, open, close(1000, Buffer.from(hex, 'hex')), 1007, name)
  })
}
