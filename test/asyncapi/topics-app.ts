import type { FastifyInstance } from 'fastify'

export const tagged = (type: string): object => ({ type: 'object', required: ['type'], properties: { type: { type: 'string', const: type } } })

/** An app with everything that a topic can have. */
export function chat (app: FastifyInstance): void {
  app.addSchema({ $id: 'Person', type: 'object', required: ['name'], properties: { name: { type: 'string' } } })
  app.get('/live', { websocket: { topics: true } })
  app.get('/both', { websocket: { topics: true, protocols: ['chat.v1'] }, schema: { receive: tagged('ask'), send: tagged('answer') } }, () => {})
  app.get('/rooms/:room', { websocket: true, schema: { receive: tagged('say') } }, () => {})
  app.register(async scope => {
    scope.topic('rooms/:room/::x{', {
      schema: {
        summary: 'A room',
        description: 'All that is said in it',
        tags: ['chat', 'chat'],
        deprecated: true,
        params: { type: 'object', properties: { room: { type: 'integer', description: 'Its number' } } },
        publish: { oneOf: [tagged('say'), tagged('typing')] },
        message: { oneOf: [tagged('said'), tagged('typing')] },
        member: { $ref: 'Person#' }
      },
      history: { messages: 10, seconds: 60 },
      presence: {}
    })
    scope.topic('rooms/:room')
    scope.topic('hidden', { schema: { hide: true } })
    scope.topic('named', { schema: { operationId: 'prices', publish: true, message: false } })
  }, { prefix: '/v1' })
}
