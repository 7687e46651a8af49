import type { RouteOptions } from 'fastify'

/** Whether a route's options make it a WebSocket route. */
export function isWebSocketRoute (websocket: unknown, wsHandler: unknown): boolean {
  return websocket !== false && (websocket !== undefined || wsHandler !== undefined)
}

/** Whether a route is for HEAD alone, as those that Fastify adds beside GET. */
export function isHead (method: string | string[]): boolean {
  return typeof method === 'string' ? method === 'HEAD' : method.every(one => one === 'HEAD')
}

/** Whether a route that is not for WebSocket answers any GET of its URL. */
export function isHttpRoute ({ method, constraints }: RouteOptions): boolean {
  const isForGet = typeof method === 'string' ? method === 'GET' : method.includes('GET')
  return isForGet && Object.keys(constraints ?? {}).length === 0
}
