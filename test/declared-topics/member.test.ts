import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import t from 'tap'
import { DeclaredTopics } from '../../lib/declared-topics/declared-topics.js'
import type { WebSocketConnection } from '../../lib/index.js'
import type { TopicPolicy } from '../../lib/topics-protocol/policies.js'
import type { Hub } from '../../lib/topics/hub.js'

const connection = { protocol: 'topics.v1' } as WebSocketConnection
const request = { ip: '127.0.0.1' } as FastifyRequest

t.test('the information about a member is what the app says, as JSON that matches its schema', async t => {
  const app = Fastify() as FastifyInstance
  t.teardown(() => app.close())
  const topics = new DeclaredTopics({} as Hub)
  topics.addTo(app)
  const schema = { member: { type: 'object', required: ['name'], properties: { name: { type: 'string', minLength: 2 } } } }
  app.topic('none')
  app.topic('anonymous', { presence: {} })
  app.topic('rooms/:room', { schema, presence: { info: (_connection, { ip }, { room }) => ({ name: room, ip }), grace: 0 } })
  app.topic('later', { presence: { info: async ({ protocol }) => [protocol] } })
  app.topic('fails', { presence: { info: () => { throw new Error('secret') } } })
  app.topic('refuses', { presence: { info: async () => { throw Object.assign(new Error('no name'), { code: 'NO_NAME' }) } } })
  app.topic('nothing', { presence: { info: () => undefined } })
  await app.ready()
  const memberOf = (name: string): NonNullable<TopicPolicy['member']> => topics.policyOf(name)!.member!
  t.equal(topics.policyOf('none')!.member, null)
  t.equal(memberOf('anonymous')(connection, request), 'null')
  t.equal(memberOf('rooms/lobby')(connection, request), '{"name":"lobby"}')
  t.equal(await memberOf('later')(connection, request), '["topics.v1"]')
  t.throws(() => memberOf('rooms/x')(connection, request), { statusCode: 500, message: /^presence.info of topic 'rooms\/:room' failed: a member of topic 'rooms\/:room' does not match its schema: member\/name/ })
  t.throws(() => memberOf('fails')(connection, request), { statusCode: 500, message: "presence.info of topic 'fails' failed: secret" })
  await t.rejects(async () => { await memberOf('refuses')(connection, request) }, { code: 'NO_NAME', message: 'no name', statusCode: undefined })
  t.throws(() => memberOf('nothing')(connection, request), { message: /must be a value with a form in JSON, not undefined/ })
  t.strictSame(topics.settingsOf('anonymous')!.presence, { grace: 10_000, max: 1_000 })
  t.strictSame(topics.settingsOf('rooms/x')!.presence, { grace: 0, max: 1_000 })
})
