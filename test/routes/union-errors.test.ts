import t from 'tap'
import { startApp } from '../support/app.js'

const BRANCHES = [
  { type: 'object', required: ['type', 'room'], additionalProperties: false, properties: { type: { const: 'join' }, room: { type: 'string' } } },
  { type: 'object', required: ['type', 'text'], additionalProperties: false, properties: { type: { enum: ['say'] }, text: { type: 'string', maxLength: 3 } } },
  { type: 'object', required: ['type'], additionalProperties: false, properties: { type: { const: 'leave' }, reason: { type: 'object', required: ['code'] } } }
]

/** The reason of the Close frame that a message gets. */
async function reasonsFor (t: { teardown (clean: () => unknown): void }, receive: object, messages: unknown[]): Promise<string[]> {
  const { app } = await startApp(t, app => {
    app.get('/', { websocket: true, schema: { receive } }, connection => { connection.on('json', () => { connection.close(1000, 'valid') }) })
  })
  return Promise.all(messages.map(async message => {
    const client = await app.injectWS('/')
    client.sendJson(message)
    return new Promise<string>(resolve => client.once('close', (_code, reason) => resolve(String(reason))))
  }))
}

for (const keyword of ['anyOf', 'oneOf'] as const) {
  t.test(`${keyword}: the reason is about the branch that the tag names`, async t => {
    t.strictSame(await reasonsFor(t, { [keyword]: BRANCHES }, [
      { type: 'join' }, { type: 'say', text: 'long' }, { type: 'leave', reason: {} }, { type: 'nope' }, {}, { type: 'join', room: 'a' }
    ]), [
      "message must have required property 'room'",
      'message/text must NOT have more than 3 characters',
      "message/reason must have required property 'code'",
      'message/type must be one of "join", "say", "leave"',
      'message/type must be one of "join", "say", "leave"',
      'valid'
    ])
  })
}

t.test('a union within a message', async t => {
  const receive = { type: 'object', required: ['events'], properties: { events: { type: 'array', items: { anyOf: BRANCHES } } } }
  t.strictSame(await reasonsFor(t, receive, [{ events: [{ type: 'leave' }, { type: 'say' }] }, { events: [{ type: 5 }] }, {}]), [
    "message/events/1 must have required property 'text'",
    'message/events/0/type must be one of "join", "say", "leave"',
    "message must have required property 'events'"
  ])
})

t.test('a message that is no object; a union without a tag has the words of Ajv', async t => {
  t.strictSame(await reasonsFor(t, { anyOf: BRANCHES }, [[1, 2]]), ['message must be object'])
  t.strictSame(await reasonsFor(t, { anyOf: [{ type: 'boolean' }, { type: 'object' }] }, [['x', 'y']]), [
    'message must be boolean, message must be object, message must match a schema in anyOf'
  ])
})
