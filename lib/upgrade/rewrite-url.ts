import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { readInternal } from '../fastify-internals.js'

type RewriteUrl = (this: FastifyInstance, request: IncomingMessage) => string

/**
 * The `rewriteUrl` that the user gave to Fastify. Needed only where other `upgrade` listeners share the server: then
 * it has to be known whose a request is before Fastify sees it. Where the option is not found under the symbol that
 * Fastify keeps it, URLs are matched as they came.
 */
export function findRewriteUrl (fastify: FastifyInstance): RewriteUrl | null {
  const options = readInternal(fastify, 'fastify.options')
  const rewriteUrl: unknown = typeof options === 'object' && options !== null ? Reflect.get(options, 'rewriteUrl') : undefined
  return typeof rewriteUrl === 'function' ? rewriteUrl as RewriteUrl : null
}
