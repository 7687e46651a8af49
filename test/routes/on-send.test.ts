import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import websocket, { type InjectWSError } from '../../lib/index.js'
import { connectHttp2, refusal } from '../support/http2-client.js'
import { RawClient, upgradeRequest } from '../support/raw-client.js'

// An `onSend` hook that fails on the answer that accepts, since it takes a payload for granted or since it refuses.

type OnSend = (request: FastifyRequest, reply: FastifyReply, payload: unknown, done: (error: Error | null, payload?: unknown) => void) => unknown

/** Each fails on the first answer, and lets that of the error pass. */
const HOOKS: Record<string, OnSend> = {
  'an async hook': async (_request, _reply, payload) => String((payload as string).length > 0 && payload),
  'a hook with a callback that throws': (_request, _reply, payload, done) => { done(null, (payload as string).trim()) },
  'a hook with a callback that passes an error': (_request, _reply, payload, done) => {
    if (payload === undefined) done(new TypeError('no payload'))
    else done(null, payload)
  },
  'a hook that refuses': async (_request, _reply, payload) => {
    if (payload === undefined) throw Object.assign(new Error('not you'), { statusCode: 403 })
    return payload
  }
}

type ErrorHandler = Parameters<FastifyInstance['setErrorHandler']>[0]

const ERROR_HANDLERS: Record<string, ErrorHandler | null> = {
  'no error handler': null,
  'an error handler that sets no status': (error, _request, reply) => reply.send({ handled: (error as Error).message }),
  'an async error handler that returns': async error => ({ handled: (error as Error).message }),
  'an error handler that says 200': (_error, _request, reply) => reply.code(200).send('fine')
}

async function ask (http2: boolean, port: number): Promise<{ status: number, body: string, names: string[] }> {
  if (http2) {
    const cleaning: (() => unknown)[] = []
    const session = await connectHttp2({ teardown: clean => cleaning.push(clean) }, `http://127.0.0.1:${port}`)
    const { status, body, headers } = await refusal(session, '/', { 'sec-websocket-protocol': 'a' })
    session.destroy()
    return { status, body, names: Object.keys(headers) }
  }
  const client = await RawClient.connect(port)
  client.write(upgradeRequest('/', { 'Sec-WebSocket-Protocol': 'a' }))
  const { status, body, headers } = await client.response()
  t.equal(await client.ended, true)
  client.end()
  return { status, body, names: Object.keys(headers) }
}

for (const http2 of [false, true]) {
  for (const [hookName, hook] of Object.entries(HOOKS)) {
    for (const [handlerName, errorHandler] of Object.entries(ERROR_HANDLERS)) {
      t.test(`${http2 ? 'HTTP/2' : 'HTTP/1.1'}: ${hookName}, ${handlerName}: refused, and the log says that it was the answer that accepts`, async t => {
        let handled = 0
        const lines: { level: number, msg: string, err?: { message: string } }[] = []
        const app = Fastify({ http2, logger: { level: 'info', stream: { write: (line: string) => { lines.push(JSON.parse(line)) } } } } as object) as FastifyInstance
        t.teardown(() => app.close())
        if (errorHandler !== null) app.setErrorHandler(errorHandler)
        app.addHook('onSend', hook as never)
        await app.register(websocket)
        app.get('/', { websocket: { maxConnections: 1, protocols: ['a'] } }, () => { handled++ })
        await app.listen({ port: 0, host: '127.0.0.1' })
        const { port } = app.server.address() as AddressInfo

        const refuses = hookName.includes('refuses')
        for (let i = 0; i < 2; i++) {
          const { status, body, names } = await ask(http2, port)
          // To a client of HTTP/2 every 2xx is a WebSocket that is open.
          t.equal(status, handlerName.includes('200') ? (http2 ? 501 : 200) : refuses ? 403 : 500)
          t.ok(body.length > 0)
          t.strictSame(names.filter(name => name === 'upgrade' || name.startsWith('sec-websocket')), [], 'nothing of the acceptance is left on it')
        }
        t.equal(handled, 0)
        const { opened, pending } = app.websocketServer.stats
        t.strictSame([opened, pending], [0, 0], 'its place is given back')

        const [line] = lines.filter(({ msg }) => /accepts a WebSocket handshake/.test(msg))
        t.match(line!.msg, new RegExp(`^a hook failed on the ${http2 ? 200 : 101} that accepts`))
        t.ok(line!.msg.endsWith(line!.err!.message), 'it names the error of the hook')
        t.equal(line!.level, refuses ? 30 : 50)

        const error = await app.injectWS('/').then(() => null, (error: InjectWSError) => error)
        t.equal(error?.code, 'FST_WS_ERR_UNEXPECTED_RESPONSE')
      })
    }
  }
}

t.test('an error of a hook before the acceptance is reported as before', async t => {
  const lines: string[] = []
  const app = Fastify({ logger: { level: 'error', stream: { write: (line: string) => { lines.push(JSON.parse(line).msg) } } } }) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket)
  app.get('/', { websocket: true, preHandler: async () => { throw new Error('of the hook') } }, () => {})
  const error = await app.injectWS('/').then(() => null, (error: InjectWSError) => error)
  t.equal(error?.statusCode, 500)
  t.strictSame(lines, ['of the hook'])
})
