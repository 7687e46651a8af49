/**
 * The members that this package adds to the interfaces of Fastify.
 *
 * @see docs/routes.md
 * @module fastify
 */

import type { FastifyInstance, FastifyRequest, FastifySchema, RouteGenericInterface, RouteShorthandOptions } from 'fastify'
import '../../../lib/index.js'

/** The members that this package adds to an app. */
export interface App extends Pick<FastifyInstance, 'websocketServer' | 'injectWS' | 'asyncapi' | 'topic'> {}

/** The members that this package adds to a request. */
export interface Request extends Pick<FastifyRequest, 'ws' | 'connectionData'> {}

/** The options that this package adds to a route. */
export interface RouteOptions extends Pick<RouteShorthandOptions, 'websocket' | 'wsHandler'> {}

/** The members that this package adds to the `schema` of a route. */
export interface RouteSchema extends Pick<FastifySchema, 'receive' | 'send' | 'hide' | 'deprecated' | 'tags' | 'description' | 'summary' | 'security' | 'operationId'> {}

/** The members that this package adds to the generics of a route. */
export interface RouteGenerics extends Pick<RouteGenericInterface, 'Receive' | 'Send' | 'Data'> {}
