/**
 * The plugin, its options, the connection, and the errors.
 *
 * @see docs/getting-started.md
 * @module fastify-ws-routes
 */

import { plugin } from './plugin.js'

export type * from '../types/connection.js'
export type * from '../types/injected.js'
export type * from '../types/messages.js'
export type * from '../types/server.js'
export type * from '../types/broker.js'
export type * from '../types/topics.js'
export type * from '../types/declared-topics.js'
export type * from '../types/options.js'
export type * from '../types/errors.js'
export type * from '../types/diagnostics.js'
export type * from '../types/fastify.js'
export type * from '../types/asyncapi.js'
export type * from '../types/fastify-websocket.js'
export { once } from './connection/once.js'
export { CloseCode } from './protocol/close-codes.js'
export {
  AsyncApiError, ClosedError, HandshakeError, InjectError, InvalidMessageError, InvalidPayloadError, MessageSchemaError, MessageTooBigError, NotOpenError,
  OptionError, ProtocolError, RateLimitError, RefusedError, RegistrationError, SlowReaderError, SubprotocolError, ThrownValueError, TopicError, UnexpectedResponseError,
  UnknownRouteError, UnseenRouteError, WebSocketError
} from './errors.js'

export default plugin
// As `@fastify/websocket` has it, and as fastify-plugin names it.
export { plugin as fastifyWebsocket, plugin as fastifyWsRoutes }
