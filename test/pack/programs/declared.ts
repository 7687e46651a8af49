// What an app exports without naming its types, which the compiler must then be able to write into declarations.
import Fastify from 'fastify'
import websocket, { CloseCode, OptionError } from 'fastify-ws-routes'

const app = Fastify()
export const connect = () => app.injectWS('/')
export const clients = () => app.websocketServer.clients
export const describe = () => app.asyncapi()
export const fail = () => new OptionError('x')
export { CloseCode, websocket }
