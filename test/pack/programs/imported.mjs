import websocket, * as named from 'fastify-ws-routes'
import { CloseCode, OptionError, fastifyWebsocket } from 'fastify-ws-routes'
import { check } from './echo.cjs'

check(websocket, named).then(() => check(fastifyWebsocket, { CloseCode, OptionError, fastifyWebsocket }))
