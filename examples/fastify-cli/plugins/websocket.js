import websocket from 'fastify-ws-routes'
import fp from 'fastify-plugin'

// `fp` lets it out of this file: without it the routes in other files would not have it. The options are its own:
// those of the app, which autoload passes on, are not for it.
export default fp(async fastify => {
  await fastify.register(websocket, { maxPayload: 64 * 1024 })
})
