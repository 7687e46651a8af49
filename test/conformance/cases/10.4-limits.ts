import type { FastifyInstance } from 'fastify'
import { binary, continuation, ping, text, type RawClient } from '../../support/raw-client.js'
import { digest, expectBytes, expectClosed, fragments, LARGE, noise, serverFrame, type Cases } from '../support.js'

const MiB = 1024 * 1024
const GiB = 1024 * MiB

/** `/<limit>`: digests messages up to the limit. */
export function limitedRoutes (app: FastifyInstance, limits: readonly number[]): void {
  for (const maxPayload of limits) {
    app.get(`/${maxPayload}`, { websocket: { maxPayload } }, connection => {
      connection.on('message', (data, isBinary) => connection.send(digest(data, isBinary)))
    })
  }
}

export async function expectDigest (t: Parameters<Cases>[0], client: RawClient, payload: Buffer, message: string): Promise<void> {
  await expectBytes(t, client, serverFrame(0x1, digest(payload, true)), message)
}

/**
 * A text frame of which only the header and a byte that is not UTF-8 come: refused with 1009 if the announced
 * length is over the limit, and with 1007 if it is not. So what is allowed is known without sending gigabytes.
 */
function announceText (announce: number | bigint): Buffer {
  return text(Buffer.of(0xff), { announce })
}

/** When it has answered a Ping, the server has dealt with all that came before. */
export async function settle (client: RawClient): Promise<void> {
  client.write(ping('done?'))
  const { opcode } = await client.frame()
  if (opcode !== 0xa) throw new Error(`opcode ${opcode} instead of a Pong`)
}

export const limits: Cases = (t, serve) => {
  const LIMITS = [0, 1, 125, 126, 65_535, 65_536, MiB]

  t.test('C1, §10.4: a message of just the limit is accepted, one byte more is refused when it is announced', async t => {
    const open = await serve(t, app => limitedRoutes(app, LIMITS))
    for (const limit of LIMITS) {
      const client = await open(`/${limit}`)
      const payload = noise(limit)
      client.write(binary(payload))
      await expectDigest(t, client, payload, `${limit} bytes`)
      client.write(binary('', { announce: limit + 1 }))
      await expectClosed(t, client, 1009, `${limit + 1} bytes, announced`)
    }
  })

  t.test('C1, §10.4: the limit is on the sum over all fragments, and is known from a header too', async t => {
    const open = await serve(t, app => limitedRoutes(app, [1000]))
    const cases: [name: string, frames: Buffer[], code: number | null][] = [
      ['600 + 400', [binary(noise(600), { fin: false }), continuation(noise(1000).subarray(600))], null],
      ['1000 + 0', [binary(noise(1000), { fin: false }), continuation('')], null],
      ['1000 × 1', [fragments(0x2, noise(1000), 1)], null],
      ['600 + 401, only announced', [binary(noise(600), { fin: false }), continuation('', { announce: 401 })], 1009],
      ['600 + 300 + 101, only announced', [binary(noise(600), { fin: false }), continuation(noise(300), { fin: false }), continuation('', { announce: 101 })], 1009],
      ['1000 + 1, only announced', [binary(noise(1000), { fin: false }), continuation('', { announce: 1, fin: false })], 1009],
      ['1001 × 1', [fragments(0x2, noise(1001), 1)], 1009],
      ['1 + as much as a length can say', [binary('x', { fin: false }), continuation('', { announce: 2n ** 63n - 1n })], 1009]
    ]
    for (const [name, frames, code] of cases) {
      const client = await open('/1000')
      client.write(Buffer.concat(frames))
      if (code === null) await expectDigest(t, client, noise(1000), name)
      else await expectClosed(t, client, code, name)
    }
  })

  t.test('§10.4: control frames do not count, and each message counts for itself', async t => {
    const open = await serve(t, app => limitedRoutes(app, [10]))
    const client = await open('/10')
    for (let i = 0; i < 3; i++) {
      client.write(Buffer.concat([binary('12345', { fin: false }), ping('p'.repeat(125)), continuation('67890')]))
      await expectBytes(t, client, serverFrame(0xa, 'p'.repeat(125)), 'a Ping larger than the limit')
      await expectDigest(t, client, Buffer.from('1234567890'), 'and a message of just the limit')
    }
    client.write(binary('', { announce: 11 }))
    await expectClosed(t, client, 1009, 'until there is one byte too many')
  })

  t.test('C2, §10.4: a message that never ends is ended by the limit', async t => {
    const open = await serve(t, app => limitedRoutes(app, [65_536]))
    for (const size of [1, 100, 5000]) {
      const client = await open('/65536')
      client.write(fragments(0x2, noise(70_000), size).subarray(0, -1))
      await expectClosed(t, client, 1009, `fragments of ${size} bytes`)
    }
  })

  t.test('C5, §10.4: an undefined limit is the default, and a limit above 2^31 is itself', async t => {
    const defaults = (app: FastifyInstance): void => {
      app.get('/default', { websocket: true }, () => {})
      app.get('/undefined', { websocket: { maxPayload: undefined } }, () => {})
      for (const maxPayload of [2 * GiB, 2 ** 32 - 1]) app.get(`/${maxPayload}`, { websocket: { maxPayload } }, () => {})
      app.get('/unlimited', { websocket: { maxPayload: Infinity } }, () => {})
    }
    const apps: [name: string, open: Awaited<ReturnType<typeof serve>>][] = [
      ['no option for all', await serve(t, defaults)],
      ['undefined for all', await serve(t, defaults, { maxPayload: undefined, options: { maxPayload: undefined } })]
    ]
    const cases: [path: string, announce: number, code: number][] = [
      ['/default', MiB, 1007],
      ['/default', MiB + 1, 1009],
      ['/default', 2 ** 32, 1009],
      ['/undefined', MiB, 1007],
      ['/undefined', MiB + 1, 1009],
      [`/${2 * GiB}`, 2 * GiB, 1007],
      [`/${2 * GiB}`, 2 * GiB + 1, 1009],
      [`/${2 ** 32 - 1}`, 2 ** 32 - 1, 1007],
      [`/${2 ** 32 - 1}`, 2 ** 32, 1009],
      ['/unlimited', 2 ** 32 - 1, 1007]
    ]
    for (const [name, open] of apps) {
      for (const [path, announce, code] of cases) {
        const client = await open(path)
        client.write(announceText(announce))
        await expectClosed(t, client, code, `${name}, ${path}: ${announce} bytes`)
      }
    }
  })

  t.test('C5, §10.4: the limit of all routes, the one of `options`, and a route\'s own', async t => {
    const routes = (app: FastifyInstance): void => {
      app.get('/', { websocket: true }, () => {})
      app.get('/own', { websocket: { maxPayload: 300 } }, () => {})
    }
    const cases: [options: Parameters<typeof serve>[2], path: string, limit: number][] = [
      [{ maxPayload: 200 }, '/', 200],
      [{ maxPayload: 200 }, '/own', 300],
      [{ options: { maxPayload: 100 } }, '/', 100],
      [{ maxPayload: 200, options: { maxPayload: 200 } }, '/', 200],
      [{ maxPayload: LARGE }, '/own', 300],
      [{ maxPayload: 4 * GiB - 1 }, '/', 4 * GiB - 1]
    ]
    for (const [options, path, limit] of cases) {
      const open = await serve(t, routes, options)
      for (const [announce, code] of [[limit, 1007], [limit + 1, 1009]] as const) {
        const client = await open(path)
        client.write(announceText(announce))
        await expectClosed(t, client, code, `${JSON.stringify(options)} ${path}: ${announce} bytes`)
      }
    }
  })
}
