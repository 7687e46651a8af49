import Fastify, { type FastifyInstance } from 'fastify'
import websocket, { type WebSocketPluginOptions } from '../../lib/index.js'
import type { Teardown } from '../support/app.js'

/** As `startApp`, on the port of an app that was closed: what a client comes back to after a restart. */
export async function listenAgain (
  t: Teardown,
  port: number,
  configure: (app: FastifyInstance) => unknown,
  options: WebSocketPluginOptions = {}
): Promise<FastifyInstance> {
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket, options)
  await configure(app)
  await app.listen({ port, host: '127.0.0.1' })
  return app
}
