import websocket, { CloseCode, fastifyWebsocket, OptionError, type WebSocketPluginOptions } from 'fastify-ws-routes'
import { check } from '../echo.cjs'

declare function test (name: string, body: () => Promise<void>): void

const options: WebSocketPluginOptions = { maxPayload: 1024 }

test('typed', () => check(websocket, { CloseCode, OptionError, fastifyWebsocket, options }))
