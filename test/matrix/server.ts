import Fastify, { type FastifyInstance } from 'fastify'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import websocket, { type WebSocketConnection } from '../../lib/index.js'
import type { CloseEvent } from '../interop/clients/client.js'
import { PING, REFUSALS, refusalBody, TEXT } from './cases.js'

const CLIENTS = new URL('../interop/clients/', import.meta.url)

const PAGE = `<!doctype html><meta charset="utf-8"><title>cases</title><link rel="icon" href="data:,">
<script type="module" src="/page.mjs"></script>`

const MODULES = [['/page.mjs', 'browser/page.mjs'], ['/buffer.mjs', 'browser/buffer.mjs'], ['/cases.mjs', 'javascript/cases.mjs']] as const

/** What the server saw of one connection. */
export interface Visit {
  path: string
  messages: (string | Buffer)[]
  pong: string | null
  closed: Promise<CloseEvent>
}

export interface MatrixServer {
  app: FastifyInstance
  port: number
  visits: Visit[]
}

/** Has a route for each case. Compression is on, as `perMessageDeflate: true` has it, but for `/large`. */
export async function startMatrixServer (): Promise<MatrixServer> {
  const app = Fastify()
  const visits: Visit[] = []
  await app.register(websocket, { perMessageDeflate: true, closeTimeout: 2000 })

  app.websocketServer.on('connection', (connection, request) => {
    const visit: Visit = {
      path: (request.url ?? '').slice(1),
      messages: [],
      pong: null,
      closed: new Promise(resolve => connection.on('close', (code, reason) => resolve({ code, reason: reason.toString() })))
    }
    connection.on('message', (data, isBinary) => visit.messages.push(isBinary ? Buffer.from(data) : data.toString()))
    connection.on('pong', data => { visit.pong = data.toString() })
    visits.push(visit)
  })

  for (const path of ['text', 'binary', 'empty', 'fragments', 'compressed', 'ping', 'close']) {
    app.get(`/${path}`, { websocket: true }, connection => {
      connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
    })
  }

  app.get('/large', { websocket: { perMessageDeflate: false } }, connection => {
    connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
  })

  // With a Ping between: what the client then sends back has to be whole.
  const sendFragments = (connection: WebSocketConnection, ...ends: [number, number]): void => {
    const bytes = Buffer.from(TEXT)
    connection.send(bytes.subarray(0, ends[0]), { binary: false, fin: false })
    connection.ping('between')
    connection.send(bytes.subarray(...ends), { binary: false, fin: false })
    connection.send(bytes.subarray(ends[1]), { binary: false })
  }

  app.get('/fragmented', { websocket: true }, connection => sendFragments(connection, 2, 12))

  // Ends inside of characters, as RFC 6455 §5.6 has it.
  app.get('/cut', { websocket: true }, connection => sendFragments(connection, 3, 14))

  app.get('/pong', { websocket: true }, connection => {
    connection.on('pong', data => connection.send(`ponged ${data.toString()}`))
    connection.ping(PING)
  })

  app.get('/closed', { websocket: true }, connection => connection.close(4002, 'that is all, 再见'))

  for (const status of REFUSALS) {
    app.get(`/refused/${status}`, {
      websocket: true,
      onRequest: async (_request, reply) => {
        if (status === 401) reply.header('WWW-Authenticate', 'Bearer')
        if (status === 503) reply.header('Retry-After', '120')
        return reply.code(status).type('application/json').send(refusalBody(status))
      }
    }, connection => connection.send('secret'))
  }

  // For browsers, whose pages have to be of this origin.
  app.get('/page', (_request, reply) => reply.type('text/html').send(PAGE))
  for (const [path, file] of MODULES) {
    app.get(path, async (_request, reply) => {
      const module = await readFile(new URL(file, CLIENTS), 'utf8')
      return reply.type('text/javascript; charset=utf-8').send(module.replace('node:buffer', '/buffer.mjs'))
    })
  }

  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, port: (app.server.address() as AddressInfo).port, visits }
}
