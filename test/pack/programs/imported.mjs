import websocket, * as named from 'fastify-ws-routes'
import { CloseCode, OptionError, fastifyWebsocket } from 'fastify-ws-routes'
import { check } from './echo.cjs'

await check(websocket, named)
await check(fastifyWebsocket, { CloseCode, OptionError, fastifyWebsocket })
