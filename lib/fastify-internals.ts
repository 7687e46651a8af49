// The only module that reads what Fastify keeps under its symbols. Each function says what happens where a later Fastify has
// none of that; docs/architecture.md lists them.

import type { FastifyInstance, FastifySchemaValidationError } from 'fastify'
import type { IncomingMessage, Server as HttpServer } from 'node:http'
import { isWanted } from './optimizations.js'

/**
 * The value of an instance, or of a context around it.
 *
 * @param description that of the symbol
 * @returns `undefined` if there is no such symbol
 */
function readInternal (fastify: FastifyInstance, description: string): unknown {
  for (let object: object | null = fastify; object !== null; object = Object.getPrototypeOf(object)) {
    const symbol = Object.getOwnPropertySymbols(object).find(symbol => symbol.description === description)
    if (symbol !== undefined) return Reflect.get(fastify, symbol)
  }
  return undefined
}

/** Whether `app.close()` was called. Where it is not found, the answer is no. */
export function isAppClosing (fastify: FastifyInstance): boolean {
  const state = readInternal(fastify, 'fastify.state')
  return typeof state === 'object' && state !== null && Reflect.get(state, 'closing') === true
}

type RewriteUrl = (this: FastifyInstance, request: IncomingMessage) => string

/**
 * The app's `rewriteUrl`, which says whose a request is before Fastify sees it: needed only where other `upgrade` listeners
 * share the server. Where it is not found, URLs are matched as they came.
 */
export function findRewriteUrl (fastify: FastifyInstance): RewriteUrl | null {
  const options = readInternal(fastify, 'fastify.options')
  const rewriteUrl: unknown = typeof options === 'object' && options !== null ? Reflect.get(options, 'rewriteUrl') : undefined
  return typeof rewriteUrl === 'function' ? rewriteUrl as RewriteUrl : null
}

/**
 * The servers that Fastify has started for the other addresses of `localhost`. Where they are not found, HTTP/2 on those
 * addresses has no WebSockets, and says so by not offering extended CONNECT; Fastify passes upgrades of HTTP/1.1 on to its
 * first server.
 */
export function findSecondServers (fastify: FastifyInstance): readonly HttpServer[] {
  const servers = readInternal(fastify, 'fastify.serverBindings')
  return Array.isArray(servers) ? servers as HttpServer[] : []
}

/** Creates the compilers of an instance when the first schema needs them. */
interface SchemaController {
  setupValidator (options: unknown): void
  setupSerializer (options: unknown): void
}

/**
 * Lets Fastify create the compilers of an instance, which it does when a schema of its own needs them. Where that is not
 * found, they exist only if the app has set them, or a schema of Fastify's own has needed them.
 */
export function createCompilers (fastify: FastifyInstance, needed: { validator: boolean, serializer: boolean }): void {
  const controller = isWanted('early-compilers') ? readInternal(fastify, 'fastify.schemaController') : undefined
  if (typeof controller !== 'object' || controller === null || !('setupValidator' in controller && 'setupSerializer' in controller)) return
  const { setupValidator, setupSerializer } = controller as SchemaController
  const options = readInternal(fastify, 'fastify.options')
  if (needed.validator) Reflect.apply(setupValidator, controller, [options])
  if (needed.serializer) Reflect.apply(setupSerializer, controller, [options])
}

/**
 * Whether messages of an instance would be validated by Fastify's own Ajv, or serialized by its own `fast-json-stringify`.
 * Where that is not found, the answer is no, and a schema that they cannot read fails in their own words.
 */
export function hasDefaultCompiler (fastify: FastifyInstance, kind: 'validator' | 'serializer'): boolean {
  const controller = readInternal(fastify, 'fastify.schemaController')
  if (typeof controller !== 'object' || controller === null) return false
  return Reflect.get(controller, kind === 'validator' ? 'isCustomValidatorCompiler' : 'isCustomSerializerCompiler') === false
}

export type ErrorFormatter = (errors: FastifySchemaValidationError[], dataVar: string) => Error

/** The app's own formatter of validation errors. Where it is not found, they have Fastify's default form. */
export function findErrorFormatter (fastify: FastifyInstance): ErrorFormatter | null {
  const formatter = readInternal(fastify, 'fastify.schemaErrorFormatter')
  return typeof formatter === 'function' ? formatter as ErrorFormatter : null
}
