import { plugin } from './plugin.js'

export type * from '../types/connection.js'
export type * from '../types/options.js'
export type * from '../types/diagnostics.js'
export type * from '../types/fastify.js'
export type * from '../types/asyncapi.js'
export type * from '../types/fastify-websocket.js'
export { CloseCode } from './protocol/close-codes.js'
export { HandshakeError, InvalidMessageError, InvalidPayloadError, MessageTooBigError, ProtocolError, RateLimitError, SlowReaderError, WebSocketError } from './protocol/errors.js'
export { OptionError } from './options.js'

export default plugin
// As `@fastify/websocket` has it.
export { plugin as fastifyWebsocket }
// What `require()` of this module gives (Node ≥ 20.19 and ≥ 22.12).
export { plugin as 'module.exports' }
