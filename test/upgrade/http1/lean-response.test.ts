import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { finished } from 'node:stream'
import t from 'tap'
import { tsImport } from 'tsx/esm/api'
import websocket from '../../../lib/index.js'
import { ACCEPT, RawClient, upgradeRequest } from '../../support/raw-client.js'

// The response of an upgrade is Node's only once somebody uses it as such. So whatever a hook does with `reply.raw` is done
// twice here: with such a response, and with `FASTIFY_WS_ROUTES_WITHOUT=lean-responses`, which always has Node's.

type Plugin = typeof websocket

async function importWithout (): Promise<Plugin> {
  const { FASTIFY_WS_ROUTES_WITHOUT: before } = process.env
  process.env.FASTIFY_WS_ROUTES_WITHOUT = 'lean-responses'
  try {
    return (await tsImport('../../../lib/index.ts', import.meta.url) as { default: Plugin }).default
  } finally {
    if (before === undefined) delete process.env.FASTIFY_WS_ROUTES_WITHOUT
    else process.env.FASTIFY_WS_ROUTES_WITHOUT = before
  }
}

const FULL = await importWithout()

interface Hooks {
  onRequest?: (reply: FastifyReply, note: Note, request: FastifyRequest) => unknown
  onSend?: (reply: FastifyReply, note: Note) => unknown
  onResponse?: (reply: FastifyReply, note: Note) => unknown
  onOpen?: (reply: FastifyReply, note: Note) => unknown
}

type Note = (...values: unknown[]) => void

interface Outcome {
  head: string
  notes: unknown[]
}

/** One handshake. */
async function handshake (plugin: Plugin, hooks: Hooks): Promise<Outcome> {
  const app = Fastify()
  const notes: unknown[] = []
  const note: Note = (...values) => { notes.push(...values) }
  let reply!: FastifyReply
  let resolve!: () => void
  const responded = new Promise<void>(_resolve => { resolve = _resolve })
  try {
    await app.register(plugin)
    app.addHook('onRequest', async (request, r) => {
      reply = r
      await hooks.onRequest?.(r, note, request)
    })
    app.addHook('onSend', async (_request, r, payload) => {
      await hooks.onSend?.(r, note)
      return payload
    })
    app.addHook('onResponse', async (_request, r) => {
      await hooks.onResponse?.(r, note)
      resolve()
    })
    app.get('/', { websocket: true }, async connection => {
      await hooks.onOpen?.(reply, note)
      connection.close(1000)
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const client = await RawClient.connect((app.server.address() as AddressInfo).port)
    client.write(upgradeRequest())
    let { head, status } = await client.head()
    if (status === 102) ({ head, status } = await client.head())
    const end = (status === 101 ? client.closeFrame() : once(client.socket, 'end')).catch(() => {})
    // What a hook has made of it may have no end that Fastify notices.
    await Promise.race([Promise.all([responded, end]), new Promise(resolve => { setTimeout(resolve, 1000) })])
    client.destroy()
    return { head: head.replace(/Date: .*/, 'Date: now'), notes }
  } finally {
    await app.close()
  }
}

function isLean (reply: FastifyReply): boolean {
  return !Object.hasOwn(reply.raw, 'outputData')
}

t.test('a handshake needs no response of Node, whatever is set on the reply', async t => {
  const lean: boolean[] = []
  const see = (reply: FastifyReply): void => { lean.push(isLean(reply)) }
  const { head } = await handshake(websocket, {
    onRequest: reply => {
      reply.header('X-Header', 'value').header('Set-Cookie', 'a=1').header('Set-Cookie', 'b=2').header('x-number', 3).header('x-latin', '\u00e9')
      see(reply)
    },
    onSend: see,
    onResponse: see,
    onOpen: see
  })
  t.strictSame(lean, [true, true, true, true])
  t.equal(head, 'HTTP/1.1 101 Switching Protocols\r\nx-header: value\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx-number: 3\r\nx-latin: \u00e9\r\n' +
    `upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${ACCEPT}\r\nDate: now`)
})

/** What a hook may look at. */
function describe (reply: FastifyReply): unknown {
  const { raw } = reply
  return {
    is: raw instanceof ServerResponse,
    sent: reply.sent,
    statusCode: raw.statusCode,
    statusMessage: raw.statusMessage,
    headersSent: raw.headersSent,
    writableEnded: raw.writableEnded,
    writableFinished: raw.writableFinished,
    writableLength: raw.writableLength,
    writable: raw.writable,
    finished: Reflect.get(raw, 'finished'),
    destroyed: raw.destroyed,
    closed: raw.closed,
    socket: raw.socket === null ? null : raw.socket === reply.request.raw.socket,
    sendDate: raw.sendDate,
    shouldKeepAlive: raw.shouldKeepAlive,
    headers: { ...raw.getHeaders() },
    names: raw.getHeaderNames(),
    header: raw.getHeader('upgrade'),
    has: raw.hasHeader('upgrade')
  }
}

const look = (reply: FastifyReply, note: Note): void => { note(describe(reply)) }
/** Looks at what is there without a response of Node. */
const glance = ({ raw }: FastifyReply, note: Note): void => {
  note(raw.statusCode, raw.headersSent, raw.writableEnded, Reflect.get(raw, 'finished'), raw.getHeaders(), raw.getHeader('upgrade'), raw.hasHeader('upgrade'), raw.socket !== null)
}

const listen = ({ raw }: FastifyReply, note: Note): void => {
  for (const event of ['finish', 'prefinish', 'error', 'close', 'pipe', 'socket']) raw.on(event, () => note(event))
  raw.once('finish', () => note('once'))
  raw.prependListener('finish', () => note('first'))
}

const caught = (note: Note, act: () => unknown): void => {
  try {
    act()
    note('done')
  } catch (error) {
    note((error as NodeJS.ErrnoException).code)
  }
}

const SCENARIOS: Record<string, Hooks> = {
  'looking in onRequest': { onRequest: look },
  'looking in onSend': { onSend: look },
  'looking in onResponse': { onResponse: look },
  'looking in the handler': { onOpen: look },
  'looking everywhere': { onRequest: look, onSend: look, onResponse: look, onOpen: look },
  'glancing everywhere': { onRequest: glance, onSend: glance, onResponse: glance, onOpen: glance },
  'listening in onRequest': { onRequest: listen },
  'listening in onSend': { onSend: listen },
  'a listener that is removed': {
    onRequest: ({ raw }, note) => {
      const listener = (): void => note('finish')
      raw.on('finish', listener)
      raw.off('finish', listener)
      note(raw.listenerCount('finish'))
    }
  },
  setHeader: { onRequest: ({ raw }) => { raw.setHeader('X-Raw', ['1', '2']) }, onSend: look, onResponse: look },
  'setHeader in onSend': { onSend: ({ raw }) => raw.setHeader('X-Raw', 'late'), onResponse: look },
  appendHeader: { onRequest: ({ raw }) => { raw.setHeader('x-raw', 'a').appendHeader('x-raw', 'b') } },
  'a header of the reply and of the response': { onRequest: reply => { reply.header('x-both', 'reply'); reply.raw.setHeader('X-Both', 'raw') }, onSend: (reply, note) => note(reply.getHeader('x-both'), { ...reply.getHeaders() }) },
  'reply.hasHeader and removeHeader': { onRequest: (reply, note) => { reply.header('x-gone', '1'); note(reply.hasHeader('x-gone'), reply.hasHeader('x-none')); reply.removeHeader('x-gone') } },
  statusMessage: { onRequest: ({ raw }) => { raw.statusMessage = 'Fine' }, onResponse: look },
  sendDate: { onRequest: ({ raw }) => { raw.sendDate = false } },
  'a property of the app': { onRequest: ({ raw }) => { Reflect.set(raw, 'trace', 7); raw.setHeader('x', '1') }, onResponse: ({ raw }, note) => note(Reflect.get(raw, 'trace')) },
  'res.locals before anything': { onRequest: ({ raw }) => { Reflect.set(raw, 'locals', {}) }, onResponse: ({ raw }, note) => note(Reflect.get(raw, 'locals')) },
  'stream.finished': { onRequest: ({ raw }, note) => { finished(raw, error => note(error?.message)) } },
  'stream.finished, afterwards': { onOpen: ({ raw }, note) => { finished(raw, error => note(error?.message)) } },
  'setHeader, afterwards': { onOpen: ({ raw }, note) => caught(note, () => raw.setHeader('x', '1')) },
  'removeHeader, afterwards': { onOpen: ({ raw }, note) => caught(note, () => raw.removeHeader('x')) },
  'writeHead, afterwards': { onOpen: ({ raw }, note) => caught(note, () => raw.writeHead(200)) },
  'end, afterwards': { onOpen: ({ raw }, note) => { caught(note, () => raw.end(() => note('ended'))) } },
  'a Date of the app': { onRequest: reply => { reply.header('date', 'Thu, 01 Jan 1970 00:00:00 GMT') } },
  'Keep-Alive': { onRequest: reply => { reply.header('keep-alive', 'timeout=5') } },
  'Content-Length': { onRequest: reply => { reply.header('content-length', '0') } },
  'Connection removed': { onSend: reply => { reply.removeHeader('connection') } },
  'a hook before writeHead, as on-headers has it': {
    onRequest: ({ raw }, note) => {
      const { writeHead } = raw
      Reflect.set(raw, 'writeHead', function (this: ServerResponse, ...args: unknown[]) {
        note('writeHead', this === raw)
        raw.setHeader('x-late', '1')
        return Reflect.apply(writeHead, this, args) as unknown
      })
    },
    onResponse: look
  },
  'a hook before writeHead and end that leaves all as it is': {
    onRequest: ({ raw }, note) => {
      for (const name of ['writeHead', 'end', 'on', 'emit', 'getHeader'] as const) {
        const method = raw[name] as (...args: unknown[]) => unknown
        Reflect.set(raw, name, function (this: ServerResponse, ...args: unknown[]) {
          note(name, args.length)
          return Reflect.apply(method, this, args)
        })
      }
    },
    onResponse: (reply, note) => { note(reply.getHeader('x'), reply.raw.writableFinished) },
    onOpen: look
  },
  'methods that were found before setHeader': {
    onRequest: ({ raw }, note) => {
      const { getHeader, getHeaders, hasHeader } = raw
      raw.setHeader('x', '1')
      note(getHeader.call(raw, 'x'), { ...getHeaders.call(raw) }, hasHeader.call(raw, 'x'))
    }
  },
  'a field that is no token': { onRequest: reply => { reply.header('not a token', '1') } },
  'a value with a line feed': { onRequest: reply => { reply.header('x', 'a\r\nb: c') } },
  'a value that Latin-1 has not': { onRequest: reply => { reply.header('x', '\u20ac') } },
  'no value': { onRequest: reply => { reply.header('x', undefined) } },
  'a trailer': { onRequest: reply => { reply.trailer('x-trailer', async () => 'end') } },
  'an error': { onRequest: () => { throw new Error('no') } },
  'another answer': { onRequest: async reply => { await reply.code(403).header('x', '1').send('no') }, onResponse: look },
  writeProcessing: { onRequest: ({ raw }) => raw.writeProcessing() },
  emit: { onRequest: ({ raw }, note) => { raw.on('error', error => note(error.message)); raw.emit('error', new Error('mine')) } },
  'a 101 of the hook': {
    onRequest: async reply => {
      reply.hijack()
      reply.raw.writeHead(101, { Connection: 'Upgrade', Upgrade: 'other' }).end()
      reply.request.raw.socket.end()
    },
    onResponse: look
  },
  'hijack and end': { onRequest: reply => { reply.hijack(); reply.raw.setHeader('x', '1'); reply.raw.end('mine') }, onResponse: look }
}

for (const [name, hooks] of Object.entries(SCENARIOS)) {
  t.test(`the same as with a response of Node: ${name}`, async t => {
    const lean = await handshake(websocket, hooks)
    const full = await handshake(FULL, hooks)
    t.strictSame(lean, full)
    t.ok(full.head.startsWith('HTTP/1.1 '))
  })
}

t.test('a response whose client has left', async t => {
  async function leave (plugin: Plugin): Promise<unknown[]> {
    const app = Fastify()
    await app.register(plugin)
    const notes: unknown[] = []
    let asked!: () => void
    const asking = new Promise<void>(resolve => { asked = resolve })
    const done = new Promise<void>(resolve => {
      app.addHook('onRequest', async (request, reply) => {
        asked()
        await once(request.raw.socket, 'close')
        await new Promise(resolve => { setImmediate(resolve) })
        notes.push(reply.raw.destroyed, reply.raw.closed, reply.raw.headersSent, reply.raw.writableEnded)
        setImmediate(resolve)
      })
    })
    app.get('/', { websocket: true }, () => {})
    await app.listen({ port: 0, host: '127.0.0.1' })
    const client = await RawClient.connect((app.server.address() as AddressInfo).port)
    client.write(upgradeRequest())
    await asking
    client.socket.destroy()
    await done
    await app.close()
    return notes
  }
  t.strictSame(await leave(websocket), await leave(FULL))
})

t.test('a subscriber gets each response when it is created', { skip: Number(process.versions.node.split('.')[0]) < 26 && 'Node publishes none' }, async t => {
  const created: unknown[] = []
  const subscriber = (message: unknown): void => { created.push((message as { response: unknown }).response) }
  channel('http.server.response.created').subscribe(subscriber)
  t.teardown(() => channel('http.server.response.created').unsubscribe(subscriber))
  let raw: unknown
  await handshake(websocket, { onRequest: reply => { raw = reply.raw } })
  t.strictSame(created, [raw])
})
