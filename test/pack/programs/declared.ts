// What an app exports without naming its types, which the compiler must then be able to write into declarations.
import Fastify from 'fastify'
import websocket, { CloseCode, OptionError } from 'fastify-ws-routes'

const app = Fastify()
export const connect = () => app.injectWS('/')
export const clients = () => app.websocketServer.clients
export const describe = () => app.asyncapi()
export const rooms = app.topic('rooms/:room', {
  schema: { message: { type: 'object' } },
  onSubscribe: (_connection, { room }) => { if (room === '') throw new Error('no such room') },
  onPublish: (_connection, message) => message,
  presence: { info: (_connection, request) => ({ name: request.ip }) }
})
export const say = (text: string) => rooms.publish({ room: '7' }, text)
export const fail = () => new OptionError('x')
export { CloseCode, websocket }
