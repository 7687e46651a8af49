/* global test */
import websocket, * as named from 'fastify-ws-routes'
import { CloseCode, OptionError, fastifyWebsocket } from 'fastify-ws-routes'
import { check } from '../echo.cjs'

test('imported', async () => {
  await check(websocket, named)
  await check(websocket, { CloseCode, OptionError, fastifyWebsocket })
})
