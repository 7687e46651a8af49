import Fastify = require('fastify')
import websocket = require('fastify-ws-routes')

const options: websocket.WebSocketPluginOptions = { maxPayload: 1024 }
const { CloseCode, OptionError }: typeof websocket = websocket

const app = Fastify()
app.register(websocket, options)
app.register(websocket.default)
// @ts-expect-error the option has another name
app.register(websocket.fastifyWebsocket, { maxPayloads: 1 })
app.get('/echo', { websocket: true }, (connection: websocket.WebSocketConnection) => {
  connection.close(CloseCode.GOING_AWAY)
  // @ts-expect-error a close code is a number
  connection.close(OptionError)
})
