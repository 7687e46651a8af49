// For all routes of this folder: WebSockets are refused before the handshake, over HTTP.
export default async function (fastify) {
  fastify.decorateRequest('user', '')
  fastify.addHook('onRequest', async (request, reply) => {
    request.user = request.query.user ?? ''
    if (request.ws && request.user === '') return reply.code(401).send({ error: 'who are you?' })
  })
}
