import { binary, close, continuation, frame, ping, text } from '../../support/raw-client.js'
import { echoRoutes, expectBytes, expectClosed, expectFailure, LARGE, noise, seenRoute, serverFrame, write, WRITINGS, type Cases, type Seen } from '../support.js'

/** RFC 6455 §7.4.1 and the IANA registry, both ends of each range that a peer may use. */
const VALID_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000, 4999]
const INVALID_CODES = [0, 1, 125, 999, 1004, 1005, 1006, 1015, 1016, 1017, 1100, 1999, 2000, 2999, 5000, 5001, 10_000, 65_535]

const SHORT = 300
const LONG = 60_000

export const closing: Cases = (t, serve) => {
  t.test('C10, §5.5.1, §7.4: valid close codes are echoed with their reason, and the server ends the connection', async t => {
    const seen: Seen[] = []
    const open = await serve(t, app => seenRoute(app, seen))
    for (const [index, code] of VALID_CODES.entries()) {
      const client = await open('/seen')
      client.write(close(code, `because ${code}`))
      await expectBytes(t, client, serverFrame(0x8, Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(`because ${code}`)])), `${code} came back`)
      t.equal(await client.ended, true, 'then the end')
      client.end()
      await seen[index]!.closed
      t.same(seen[index]!.events, [`close ${code} because ${code}`], 'and the server knows it, with its reason')
    }
  })

  t.test('C10, §7.4: invalid close codes are refused with 1002', async t => {
    const seen: Seen[] = []
    const open = await serve(t, app => seenRoute(app, seen))
    for (const [index, code] of INVALID_CODES.entries()) {
      const client = await open('/seen')
      client.write(close(code, 'reason'))
      await expectClosed(t, client, 1002, `${code}`)
      client.end()
      await seen[index]!.closed
      t.same(seen[index]!.events, ['error FST_WS_ERR_CLOSE_PAYLOAD', 'close 1006'], 'and is not told to the user')
    }
  })

  for (const writing of WRITINGS) {
    t.test(`C10, §5.5.1: close payloads of 0, 1, 2, 125 and 126 bytes, sent ${writing}`, async t => {
      const open = await serve(t, echoRoutes)
      const cases: [name: string, bytes: Buffer, code: number][] = [
        ['0 bytes', close(), 1005],
        ['1 byte', frame(0x8, Buffer.of(3)), 1002],
        ['2 bytes', close(1000), 1000],
        ['3 bytes', close(1000, 'x'), 1000],
        ['125 bytes', close(1000, 'x'.repeat(123)), 1000],
        ['125 bytes, ending with a character of four', close(4000, 'x'.repeat(119) + '😀'), 4000],
        ['125 bytes, ending within a character', close(4000, Buffer.concat([Buffer.alloc(120, 'x'), Buffer.from('f09f98', 'hex')])), 1007],
        ['126 bytes', close(1000, 'x'.repeat(124)), 1002]
      ]
      for (const [name, bytes, code] of cases) {
        const client = await open()
        await write(client, bytes, writing)
        await expectClosed(t, client, code, name)
        client.destroy()
      }
    })
  }

  t.test('C11: what comes behind a Close frame is ignored, in the same write and later', async t => {
    const seen: Seen[] = []
    const open = await serve(t, app => {
      echoRoutes(app)
      seenRoute(app, seen)
    })
    const behind: [name: string, bytes: Buffer][] = [
      ['a message', text('ignored')],
      ['a Ping', ping('ignored')],
      ['a second Close frame', close(1001, 'ignored')],
      ['an invalid Close frame', close(999)],
      ['a bad frame', text('ignored', { rsv: 0x70, mask: null })],
      ['the start of a message', binary('', { announce: 1000 })],
      ['noise', noise(100_000)]
    ]
    for (const [index, [name, bytes]] of behind.entries()) {
      const client = await open('/seen')
      client.write(Buffer.concat([text('heard'), close(1000), bytes]))
      t.equal((await client.closeFrame()).code, 1000, `${name}: the answer`)
      client.write(bytes)
      t.same([await client.ended, client.received.length], [true, 0], 'and nothing else')
      client.end()
      await seen[index]!.closed
      t.same(seen[index]!.events, ['text heard', 'close 1000'])
    }
    const echo = await open('/')
    echo.write(Buffer.concat([text('answered'), close(4001), text('ignored'), ping('ignored')]))
    await expectBytes(t, echo, serverFrame(0x1, 'answered'), 'what came before is answered first')
    await expectClosed(t, echo, 4001, 'what came behind is not')
  })

  t.test('C11: what comes behind an error is ignored, in the same write and later', async t => {
    const seen: Seen[] = []
    const open = await serve(t, app => seenRoute(app, seen))
    const errors: [name: string, bytes: Buffer, code: number][] = [
      ['a reserved bit', text('x', { rsv: 0x40 }), 1002],
      ['bad text', text(Buffer.of(0xff)), 1007],
      ['too long a message', binary('', { announce: 2 ** 40 }), 1009]
    ]
    for (const [index, [name, bytes, code]] of errors.entries()) {
      const client = await open('/seen')
      client.write(Buffer.concat([bytes, text('ignored'), ping(), close(1000)]))
      t.equal((await client.closeFrame()).code, code, name)
      client.write(Buffer.concat([text('ignored'), close(1000), bytes]))
      t.same([await client.ended, client.received.length], [true, 0], 'one Close frame, and nothing else')
      client.end()
      await seen[index]!.closed
      t.equal(seen[index]!.events.length, 2, seen[index]!.events.join())
      t.match(seen[index]!.events[0], /^error /)
      t.equal(seen[index]!.events[1], 'close 1006')
    }
  })

  t.test('C11: a peer that never ends is cut off within closeTimeout, though it goes on sending', async t => {
    const seen: Seen[] = []
    const open = await serve(t, app => seenRoute(app, seen), { closeTimeout: SHORT })
    const starts: [name: string, bytes: Buffer][] = [['a Close frame', close(1000)], ['an error', text(Buffer.of(0xff))]]
    for (const [name, bytes] of starts) {
      const client = await open('/seen')
      client.write(bytes)
      await client.closeFrame()
      // Neither an end of our own nor silence.
      const message = binary(noise(1000))
      const sending = setInterval(() => client.write(message), 10)
      t.teardown(() => clearInterval(sending))
      await client.closed
      clearInterval(sending)
      t.pass(`after ${name}`)
    }
    await Promise.all(seen.map(({ closed }) => closed))
    t.same(seen.map(({ events }) => events.at(-1)), ['close 1000', 'close 1006'])
  })

  t.test('§7.1.2: the server closes; the peer answers, then the connection ends with what it answered', async t => {
    const events: string[] = []
    let heardClose = (): void => {}
    const heard = new Promise<void>(resolve => { heardClose = resolve })
    const open = await serve(t, app => {
      app.get('/', { websocket: true }, connection => {
        connection.on('message', data => {
          events.push(data.toString())
          if (data.toString() !== 'please close') return
          connection.send('goodbye')
          connection.close(4321, 'my reason')
          connection.close(1000)
          connection.send('too late')
          connection.ping('too late')
        })
        connection.on('close', (code, reason) => {
          events.push(`close ${code} ${reason.toString()}`)
          heardClose()
        })
      })
    }, { closeTimeout: LONG })
    const client = await open()
    client.write(text('please close'))
    await expectBytes(t, client, Buffer.concat([serverFrame(0x1, 'goodbye'), serverFrame(0x8, Buffer.concat([Buffer.of(4321 >> 8, 4321 & 0xff), Buffer.from('my reason')]))]), 'the Close frame, last')
    client.write(Buffer.concat([text('on its way'), ping('no Pong to this'), close(4999, 'their reason')]))
    t.same([await client.ended, client.received.length], [true, 0], 'one Close frame is enough')
    client.end()
    await heard
    t.same(events, ['please close', 'on its way', 'close 4999 their reason'])
  })

  t.test('§7.1.2: both close at the same time', async t => {
    const seen: Seen[] = []
    const open = await serve(t, app => {
      seenRoute(app, seen)
      app.get('/close', { websocket: true }, connection => {
        connection.on('message', () => connection.close(4000))
      })
    }, { closeTimeout: LONG })
    const client = await open('/close')
    client.write(Buffer.concat([text('close'), close(3000)]))
    await expectClosed(t, client, 4000, 'one Close frame, ours, and the end')
  })

  t.test('§7.1.2: a peer that does not answer our Close frame is cut off within closeTimeout', async t => {
    let tellCode: (code: number) => void = () => {}
    const closed = new Promise<number>(resolve => { tellCode = resolve })
    const open = await serve(t, app => {
      app.get('/', { websocket: true }, connection => {
        connection.on('close', code => tellCode(code))
        connection.close(1000)
      })
    }, { closeTimeout: SHORT })
    const client = await open()
    t.equal((await client.closeFrame()).code, 1000)
    client.write(text('no answer'))
    t.equal(await closed, 1006)
    await client.ended
    t.equal(client.received.length, 0)
  })

  t.test('§7.1.5: a peer that ends without a Close frame and does not read is cut off within closeTimeout', async t => {
    let tellCode: (code: number) => void = () => {}
    const closed = new Promise<number>(resolve => { tellCode = resolve })
    const open = await serve(t, app => {
      app.get('/', { websocket: true }, connection => {
        connection.on('close', code => tellCode(code))
        // More than all buffers on the way take, so that our own end cannot be sent.
        connection.on('message', () => connection.send(Buffer.alloc(LARGE)))
      })
    }, { closeTimeout: SHORT })
    const client = await open()
    client.socket.pause()
    client.write(text('go'))
    client.end()
    t.equal(await closed, 1006)
  })

  t.test('§7.1.5: an end without a Close frame is 1006, wherever it comes, and delivers no half of a message', async t => {
    const seen: Seen[] = []
    const open = await serve(t, app => seenRoute(app, seen), { closeTimeout: LONG })
    const ends: [name: string, bytes: Buffer][] = [
      ['between messages', Buffer.alloc(0)],
      ['within a header', binary('', { announce: 70_000 }).subarray(0, 5)],
      ['within a payload', text('half of it', { announce: 100 })],
      ['within a message', Buffer.concat([text('half', { fin: false }), continuation(' of it', { fin: false })])],
      ['within a Close frame', close(1000, 'reason').subarray(0, 9)]
    ]
    for (const [index, [name, bytes]] of ends.entries()) {
      const client = await open('/seen')
      client.write(Buffer.concat([text('whole'), bytes]))
      client.end()
      await seen[index]!.closed
      t.same(seen[index]!.events, ['text whole', 'close 1006'], name)
      t.equal(await client.ended, true)
      t.equal(client.received.length, 0, 'and is not answered with a Close frame')
    }
  })

  t.test('§7.1.7: the reason of the server says which rule was broken, in UTF-8 of at most 123 bytes', async t => {
    const open = await serve(t, echoRoutes)
    for (const bytes of [text('x', { mask: null }), frame(0x3, ''), text(Buffer.of(0xff)), binary('', { announce: 2 ** 40 }), close(1005)]) {
      const client = await open()
      client.write(bytes)
      const { payload } = await client.frame()
      t.ok(payload.length > 2 && payload.length <= 125, payload.subarray(2).toString())
    }
    await expectFailure(t, open, Buffer.concat([close(1002, 'you'), text('x', { mask: null })]), 1002, 'the echo of a code that says so is no error')
  })
}
