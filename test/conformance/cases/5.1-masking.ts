import { binary, close, continuation, ping, pong, text } from '../../support/raw-client.js'
import { echoRoutes, expectBytes, expectClosed, expectFailure, noise, seenRoute, serverFrame, type Cases, type Seen } from '../support.js'

export const masking: Cases = (t, serve) => {
  t.test('§5.1: the server closes with 1002 on a frame that is not masked, whatever it is', async t => {
    const open = await serve(t, echoRoutes)
    const frames: [name: string, bytes: Buffer][] = [
      ['text', text('x', { mask: null })],
      ['empty text', text('', { mask: null })],
      ['binary', binary('x', { mask: null })],
      ['a long frame', binary(noise(70_000), { mask: null })],
      ['only the header of a frame', binary('', { mask: null, announce: 1000 })],
      ['a Ping', ping('x', { mask: null })],
      ['an empty Pong', pong('', { mask: null })],
      ['a Close frame', close(1000, '', { mask: null })],
      ['the second fragment', Buffer.concat([text('x', { fin: false }), continuation('y', { mask: null })])]
    ]
    for (const [name, bytes] of frames) await expectFailure(t, open, bytes, 1002, name)
  })

  t.test('§5.1: of what came behind the unmasked frame nothing is delivered, of what came before all is', async t => {
    const seen: Seen[] = []
    const open = await serve(t, app => seenRoute(app, seen))
    const client = await open('/seen')
    client.write(Buffer.concat([text('before'), text('unmasked', { mask: null }), text('behind'), close(1000)]))
    await expectClosed(t, client, 1002, 'failed')
    client.end()
    await seen[0]!.closed
    t.same(seen[0]!.events, ['text before', 'error FST_WS_ERR_MASK_REQUIRED', 'close 1006'])
  })

  t.test('§5.3: any masking key, a new one for each frame, also when the key and the payload come in pieces', async t => {
    const open = await serve(t, echoRoutes)
    const client = await open()
    for (const mask of [0, 0xffffffff, 0x000000ff, 0xff000000, 0x12345678, 0x80808080]) {
      for (const length of [1, 2, 3, 4, 5, 7, 8, 9, 63, 200, 1001]) {
        const payload = noise(length)
        const bytes = binary(payload, { mask })
        const cut = length % 2 === 0 ? bytes.length - length - 2 : bytes.length - (length >> 1)
        client.write(bytes.subarray(0, cut))
        await client.writeSliced(bytes.subarray(cut), Math.ceil(length / 3))
        await expectBytes(t, client, serverFrame(0x2, payload), `key ${mask.toString(16)}, ${length} bytes, cut at ${cut}`)
      }
    }
  })

  t.test('§5.1: no frame of the server is masked', async t => {
    const open = await serve(t, app => {
      app.get('/', { websocket: true }, connection => {
        connection.send('text')
        connection.send(Buffer.from('binary'))
        connection.ping('ping')
        connection.pong('pong')
        connection.send('frag', { fin: false })
        connection.send('ment')
        connection.close(1000)
      })
    })
    const client = await open()
    for (const opcode of [0x1, 0x2, 0x9, 0xa, 0x1, 0x0, 0x8]) {
      const { masked, opcode: found, rsv } = await client.frame()
      t.same({ opcode: found, masked, rsv }, { opcode, masked: false, rsv: 0 })
    }
  })
}
