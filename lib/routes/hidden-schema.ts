import type { FastifySchema } from 'fastify'

const implied = new WeakSet<object>()

/**
 * The schema of a WebSocket route that was declared without one. OpenAPI cannot describe what such a route is for, and
 * `@fastify/swagger` leaves out what has `hide`: it reads the options of a route when it makes its document, so it does not
 * matter which plugin was registered first.
 */
export function createHiddenSchema (): FastifySchema {
  const schema = { hide: true }
  implied.add(schema)
  return schema
}

/** Whether it is one of those: in an AsyncAPI document the route has its place. */
export function isHiddenSchema (schema: unknown): boolean {
  return typeof schema === 'object' && schema !== null && implied.has(schema)
}
