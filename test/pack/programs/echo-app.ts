// TypeScript in the syntax of ES modules: compiled to either module system, and run
import Fastify from 'fastify'
import websocket, { CloseCode, fastifyWebsocket, OptionError, WebSocketError, type WebSocketConnection, type WebSocketPluginOptions } from 'fastify-ws-routes'
import { check } from './echo.cjs'

const options: WebSocketPluginOptions = {
  errorHandler (error) {
    if (error instanceof WebSocketError) {
      const closeCode: number = error.closeCode
      console.error(closeCode)
    }
  }
}
const goingAway: 1001 = CloseCode.GOING_AWAY

interface Messages { Receive: { type: 'say', text: string } | { type: 'leave' }, Send: { ack: number } }

const app = Fastify()
app.register(websocket, options)
app.register(fastifyWebsocket)
app.register(import('fastify-ws-routes'))
// @ts-expect-error the option has another name
app.register(websocket, { maxPayloads: 1 })
app.get('/echo', { websocket: true }, (connection, request) => {
  connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
  const same: WebSocketConnection = connection
  const path: string = request.url
  // @ts-expect-error a path is no number
  const wrong: number = request.url
  return [same, path, wrong]
})
app.get<Messages>('/json', { websocket: true, schema: { receive: {}, send: {} } }, async connection => {
  for await (const message of connection.json()) {
    if (message.type === 'say') connection.sendJson({ ack: message.text.length })
    // @ts-expect-error nothing else is sent
    else connection.route?.broadcastJson({ left: true })
  }
})
// @ts-expect-error a connection has no such method
app.get('/wrong', { websocket: true }, connection => connection.noSuchMethod())

check(websocket, { CloseCode, OptionError, fastifyWebsocket, goingAway })
