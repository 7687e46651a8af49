// A gateway with a WebSocket route of its own, and a service behind it that has the rest. PORT and HOST say where it listens.
//
//   npm run example http-proxy

import httpProxy from '@fastify/http-proxy'
import Fastify, { type FastifyRequest } from 'fastify'
import websocket from 'fastify-ws-routes'

const logger = { level: process.env.LOG_LEVEL ?? 'warn' }

// It believes what the gateway says about the client, and nobody else.
const service = Fastify({ logger, trustProxy: '127.0.0.1' })
await service.register(websocket)
service.get('/echo', { websocket: true }, (connection, request) => {
  connection.send(`hello, ${request.ip}`)
  connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
})
const upstream = await service.listen({ port: 0, host: '127.0.0.1' })

const gateway = Fastify({ logger })
await gateway.register(websocket)
gateway.get('/clock', { websocket: true }, connection => {
  const timer = setInterval(() => connection.send(new Date().toISOString()), 1000)
  connection.on('close', () => clearInterval(timer))
})
// By itself the proxy passes on the cookies, but not the page's origin: any page could connect as its visitor.
const passOn = {
  rewriteRequestHeaders: (headers: object, { headers: { cookie, origin }, host, ip }: FastifyRequest) => ({
    ...headers,
    ...(cookie !== undefined && { cookie }),
    ...(origin !== undefined && { origin }),
    'x-forwarded-host': host,
    'x-forwarded-for': ip
  })
}
await gateway.register(httpProxy, {
  upstream,
  prefix: '/service',
  websocket: true,
  // Spread, since the proxy's types do not have its name.
  wsClientOptions: { maxPayload: 1024 * 1024, ...passOn }
})
gateway.addHook('onClose', () => service.close())

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => gateway.close())

const address = await gateway.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? '127.0.0.1' })
console.log(`The clock is at ${address}/clock, the service at ${address}/service/echo`)
