import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'

type RewriteUrl = (this: FastifyInstance, request: IncomingMessage) => string

/**
 * The `rewriteUrl` that the user gave to Fastify, which no public API tells. Needed only where other `upgrade`
 * listeners share the server: then it has to be known whose a request is before Fastify sees it. Where the
 * option is not found under the symbol that Fastify keeps it, URLs are matched as they came.
 */
export function findRewriteUrl (fastify: FastifyInstance): RewriteUrl | null {
  for (let object: object | null = fastify; object !== null; object = Object.getPrototypeOf(object)) {
    const symbol = Object.getOwnPropertySymbols(object).find(({ description }) => description === 'fastify.options')
    if (symbol === undefined) continue
    const options: unknown = Reflect.get(object, symbol)
    const rewriteUrl: unknown = typeof options === 'object' && options !== null ? Reflect.get(options, 'rewriteUrl') : undefined
    return typeof rewriteUrl === 'function' ? rewriteUrl as RewriteUrl : null
  }
  return null
}
