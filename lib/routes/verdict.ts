import type { FastifyRequest } from 'fastify'

/**
 * Whether a user's function lets a client in: only `true` does. Anything else refuses; what is not `false` is probably a
 * mistake and is logged, by its type alone, since it may be a secret.
 *
 * @param name of the option
 */
export function isAllowed (verdict: unknown, name: string, request: FastifyRequest): boolean {
  if (typeof verdict !== 'boolean') {
    request.log.warn(`${name} answered with a value of type ${verdict === null ? 'null' : typeof verdict}: only true lets a client in`)
  }
  return verdict === true
}
