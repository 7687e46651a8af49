import type { FastifyInstance } from 'fastify'

/**
 * What Fastify keeps under one of its symbols, for an instance or the contexts around it. No public API tells it.
 *
 * @param description that of the symbol
 * @returns `undefined` if there is no such symbol
 */
export function readInternal (fastify: FastifyInstance, description: string): unknown {
  for (let object: object | null = fastify; object !== null; object = Object.getPrototypeOf(object)) {
    const symbol = Object.getOwnPropertySymbols(object).find(symbol => symbol.description === description)
    if (symbol !== undefined) return Reflect.get(fastify, symbol)
  }
  return undefined
}

/** Whether `app.close()` was called. Where Fastify's state is not found, the answer is no. */
export function isAppClosing (fastify: FastifyInstance): boolean {
  const state = readInternal(fastify, 'fastify.state')
  return typeof state === 'object' && state !== null && Reflect.get(state, 'closing') === true
}
