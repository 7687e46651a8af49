import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { request } from 'node:http'
import { text as readText } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { controlFrames } from '../conformance/cases/5.5-control-frames.js'
import { fragmentation } from '../conformance/cases/5.4-fragmentation.js'
import { framing } from '../conformance/cases/5.2-framing.js'
import { masking } from '../conformance/cases/5.1-masking.js'
import { closing } from '../conformance/cases/7-closing.js'
import { utf8 } from '../conformance/cases/8.1-utf8.js'
import { echoRoutes, guarded, serverFrame, withoutSlow, type Cases, type Open, type Serve } from '../conformance/support.js'
import { converseIn } from '../client/conversation.js'
import { certificate } from '../support/certificate.js'
import { startProgram, stopProgram, type ProgramOptions } from '../support/child-process.js'
import { DeflateClient } from '../support/deflate-client.js'
import { connectHttp2, openHttp2 } from '../support/http2-client.js'
import { ACCEPT, close, ping, RawClient, text, upgradeRequest } from '../support/raw-client.js'
import { connectSecure } from '../support/server-sockets.js'
import { findProgram, needs } from '../support/system-packages.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** What starts a program, before its path. */
export interface Runtime {
  name: 'deno' | 'bun'
  args: readonly string[]
}

type TransportName = 'http1' | 'https' | 'http2'

const TRANSPORTS: Record<TransportName, { options: object, connect (t: Test, port: number): Promise<(path: string) => Promise<RawClient>> }> = {
  http1: {
    options: {},
    connect: async (_t, port) => path => RawClient.open(port, path)
  },
  https: {
    options: { https: certificate },
    connect: async (_t, port) => async path => {
      const client = await connectSecure(port)
      await client.upgrade(path)
      return client
    }
  },
  http2: {
    options: { http2: true },
    async connect (t, port) {
      const session = await connectHttp2(t, `http://127.0.0.1:${port}`)
      // The server's process may end without a GOAWAY.
      session.on('error', () => {})
      return path => openHttp2(session, path)
    }
  }
}

const SUITES: Record<string, Cases> = { 5.1: masking, 5.2: framing, 5.4: fragmentation, 5.5: controlFrames, 7: closing, 8.1: utf8 }

/** A case looks at the server's side, which is in another process. */
class OtherProcessError extends Error {}

function run (t: Test, { name, args }: Runtime, script: string, more: readonly string[], env: NodeJS.ProcessEnv = {}): ReturnType<typeof startProgram> {
  if (!existsSync(join(ROOT, 'dist/lib/index.js'))) throw new Error('other runtimes run the built package: run `npm run build` first')
  // Not what tap has in them for Node.
  const options: ProgramOptions = { cwd: ROOT, env: { ...process.env, NODE_OPTIONS: '', DENO_NO_UPDATE_CHECK: '1', ...env } }
  return startProgram(t, findProgram(name)!, [...args, fileURLToPath(new URL(script, import.meta.url)), ...more], options)
}

async function firstLine (child: ReturnType<typeof startProgram>): Promise<string> {
  const { value, done } = await createInterface({ input: child.stdout! })[Symbol.asyncIterator]().next()
  if (done === true) throw new Error('it ended without a line')
  return value as string
}

/** Starts `server.js`. @returns its process and port */
async function start (t: Test, runtime: Runtime, transport: TransportName): Promise<{ child: ReturnType<typeof startProgram>, port: number }> {
  const child = run(t, runtime, 'server.js', [], { FASTIFY_OPTIONS: JSON.stringify(TRANSPORTS[transport].options) })
  return { child, port: Number(await firstLine(child)) }
}

/** The cases that need no more of the server than that it sends back what it gets. */
function runCases (t: Test, cases: Cases, open: Open): void {
  const serve: Serve = async (_t, configure) => {
    if (configure !== echoRoutes) throw new OtherProcessError()
    return open
  }
  const test = (name: string, body: (t: Test) => unknown): unknown => withoutSlow(t).test(name, async t => {
    try {
      await body(t)
    } catch (error) {
      if (!(error instanceof OtherProcessError)) throw error
      t.pass('looks at the server from inside', { skip: true })
    }
  })
  cases({ test } as Test, serve)
}

export function runtimeTests (t: Test, runtime: Runtime): void {
  t.test(`a server on ${runtime.name}`, needs(runtime.name), async t => {
    for (const transport of Object.keys(TRANSPORTS) as TransportName[]) {
      for (const [section, cases] of Object.entries(SUITES)) {
        t.test(`${transport}: RFC 6455 §${section}`, async t => {
          const { port } = await start(t, runtime, transport)
          const connect = await TRANSPORTS[transport].connect(t, port)
          runCases(t, cases, path => guarded(t, connect)(path))
        })
      }

      t.test(`${transport}: the app around the frames`, async t => {
        const { port, child } = await start(t, runtime, transport)
        const open = guarded(t, await TRANSPORTS[transport].connect(t, port))

        await t.test('async context', async t => {
          const [a, b] = [await open('/name?name=a'), await open('/name?name=b')]
          for (const client of [a, b]) client.write(Buffer.concat([text('?'), ping()]))
          for (const [client, name] of [[a, 'a'], [b, 'b']] as const) {
            const payloads: string[] = []
            while (payloads.length < 3) payloads.push((await client.frame()).payload.toString())
            t.same(payloads.sort(), ['', name, `ping ${name}`].sort())
          }
        })

        await t.test('an iterator that comes late', async t => {
          const client = await open('/iterator')
          client.write(Buffer.concat([text('1'), text('2')]))
          t.same(await client.bytes(6), Buffer.concat([serverFrame(0x1, '1'), serverFrame(0x1, '2')]))
        })

        await t.test('a listener that throws', async t => {
          const client = await open('/throws')
          client.write(text('x'))
          t.equal((await client.closeFrame()).code, 1011)
        })

        await t.test('a broadcast', async t => {
          const clients = [await open('/broadcast'), await open('/broadcast')]
          clients[0]!.write(text('to all'))
          for (const client of clients) t.equal((await client.frame()).payload.toString(), 'to all')
        })

        await t.test('backpressure and the end behind it', async t => {
          const client = await open('/flood')
          client.socket.pause()
          await new Promise(resolve => setTimeout(resolve, 100))
          client.socket.resume()
          let length = 0
          for (;;) {
            const { opcode, payload } = await client.frame()
            if (opcode === 8) {
              t.same(payload, Buffer.from('\x03\xe8all sent', 'latin1'))
              break
            }
            length += payload.length
          }
          t.equal(length, 200 * 64 * 1024)
        })

        await t.test('close codes', async t => {
          for (const [sent, code] of [[1000, 1000], [3000, 3000], [4999, 4999], [undefined, 1005], [1005, 1002], [999, 1002], [2000, 1002]] as const) {
            const client = await open('/')
            client.write(close(sent))
            t.equal((await client.closeFrame()).code, code, `${sent}`)
            t.equal(await client.ended, true)
            client.destroy()
          }
        })

        await t.test('the app closes with 1001 and its process ends', async t => {
          const client = await open('/')
          child.stdin!.end()
          t.equal((await client.closeFrame()).code, 1001)
          client.write(close(1001))
          client.socket.on('end', () => client.end())
          await stopProgram(child, 'SIGTERM')
          client.destroy()
        })
      })
    }

    t.test('handshakes over HTTP/1.1', async t => {
      const { port } = await start(t, runtime, 'http1')

      await t.test('behind the 101 come frames, and nothing else', async t => {
        const client = await RawClient.connect(port)
        t.teardown(() => client.destroy())
        client.write(Buffer.concat([Buffer.from(upgradeRequest('/')), text('with the request')]))
        const { status, headers } = await client.head()
        t.equal(status, 101)
        t.equal(headers['sec-websocket-accept'], ACCEPT)
        t.notHas(headers, { 'transfer-encoding': String })
        t.notHas(headers, { 'content-length': String })
        t.equal((await client.frame()).payload.toString(), 'with the request')
      })

      await t.test('cookies of hooks are on the 101', async t => {
        const client = await RawClient.connect(port)
        t.teardown(() => client.destroy())
        client.write(upgradeRequest('/cookies'))
        t.equal((await client.head()).headers['set-cookie'], 'a=1, b=2')
      })

      await t.test('a refusal is whole, and the end', async t => {
        const client = await RawClient.connect(port)
        t.teardown(() => client.destroy())
        client.write(upgradeRequest('/refused'))
        const { status, headers, body } = await client.response()
        t.match({ status, headers }, { status: 401, headers: { 'www-authenticate': 'Basic', connection: 'close' } })
        t.equal(createHash('sha1').update(body).digest('hex'), createHash('sha1').update(JSON.stringify({ error: 'no'.repeat(50_000) })).digest('hex'))
        await client.ended
      })

      await t.test('what is no handshake, no route, or no WebSocket', async t => {
        for (const [requestText, status] of [
          [upgradeRequest('/', { 'Sec-WebSocket-Key': 'short' }), 400],
          [upgradeRequest('/', { 'Sec-WebSocket-Version': '12' }), 426],
          [upgradeRequest('/', { Origin: 'https://evil.example' }), 403],
          [upgradeRequest('/nowhere'), 404],
          [upgradeRequest('/http'), 404],
          [upgradeRequest('/', {}, 'POST / HTTP/1.1'), 405],
          [upgradeRequest('/http', { Upgrade: 'h2c' }), 200]
        ] as const) {
          const client = await RawClient.connect(port)
          t.teardown(() => client.destroy())
          client.write(requestText)
          t.equal((await client.head()).status, status, requestText.split('\r\n', 1)[0]!)
          client.destroy()
        }
      })

      await t.test('compression, with and without takeover, small and large', async t => {
        for (const offer of ['permessage-deflate', 'permessage-deflate; client_no_context_takeover; server_no_context_takeover']) {
          const client = await DeflateClient.open(t, port, '/', offer)
          t.match(client.extensions, /^permessage-deflate/)
          for (const length of [0, 10, 3000, 3000, 500_000]) {
            const data = Buffer.alloc(length, 'some text that repeats, ')
            await client.send(data)
            t.ok((await client.message()).data.equals(data), `${length} bytes`)
          }
        }
      })

      await t.test('injectWS', async t => {
        const answer = await new Promise<string>((resolve, reject) => {
          request({ port, host: '127.0.0.1', path: '/injected', agent: false }, response => { readText(response).then(resolve, reject) }).on('error', reject).end()
        })
        t.equal(answer, 'in memory')
      })
    })
  })

  t.test(`fastify-ws-routes/client on ${runtime.name}`, needs(runtime.name), async t => {
    await converseIn(t, { command: findProgram(runtime.name)!, args: runtime.args })
  })

  t.test(`the WebSocket of ${runtime.name} itself, with a server on ${runtime.name}`, needs(runtime.name), async t => {
    const { port } = await start(t, runtime, 'http1')
    const client = run(t, runtime, 'client.js', [`ws://127.0.0.1:${port}/`])
    t.same(JSON.parse(await firstLine(client)), ['open', 'text: é€😀', '', '1,2,3', `${'x'.repeat(20)} … 300000`, 'close 3000 bye true'])
    await stopProgram(client, 'SIGTERM')
  })
}
