import type { FastifyReply } from 'fastify'
import t from 'tap'
import type { WebSocketConnection } from '../../types/connection.js'
import { openWs, startBeside } from './neighbours.js'

// The handler that graphql-ws makes for @fastify/websocket sets this on the server, whenever it is called.
function handleLikeGraphqlWs (this: { websocketServer: { options: { handleProtocols?: unknown } } }, connection: WebSocketConnection): void {
  this.websocketServer.options.handleProtocols = (protocols: Set<string>) =>
    protocols.has('graphql-transport-ws') && 'graphql-transport-ws'
  if (connection.protocol !== 'graphql-transport-ws') {
    connection.close(4406, 'Subprotocol not acceptable')
    return
  }
  connection.on('message', data => {
    if (JSON.parse(String(data)).type === 'connection_init') connection.send('{"type":"connection_ack"}')
  })
}

t.test('B12: what one handler does to the server does not change the subprotocols of other routes', async t => {
  const { url } = await startBeside(t, 'after our plugin', () => {}, {
    configure: app => {
      app.get('/graphql', { websocket: { protocols: ['graphql-transport-ws'] } }, handleLikeGraphqlWs)
      app.get('/mqtt', { websocket: { protocols: ['mqtt', 'mqttv3.1'] } }, connection => connection.send(connection.protocol))
      app.get('/chosen', { websocket: { protocols: offered => offered.at(-1)! } }, connection => connection.send(connection.protocol))
      app.get('/silent', { websocket: true, preValidation: async (_request, reply: FastifyReply) => { reply.header('X-Seen', 'yes') } }, () => {})
    }
  })

  const checkOthers = async (): Promise<void> => {
    const both = ['graphql-transport-ws', 'mqttv3.1']
    const mqtt = await openWs(t, `${url}/mqtt`, both)
    t.equal((await mqtt.messages.next()).value, 'mqttv3.1')
    const chosen = await openWs(t, `${url}/chosen`, both.toReversed())
    t.equal((await chosen.messages.next()).value, 'graphql-transport-ws')
  }
  await checkOthers()
  const graphql = await openWs(t, `${url}/graphql`, ['other', 'graphql-transport-ws'])
  t.equal(graphql.client.protocol, 'graphql-transport-ws', 'from its first connection on')
  graphql.client.send('{"type":"connection_init"}')
  t.equal((await graphql.messages.next()).value, '{"type":"connection_ack"}')
  await checkOthers()

  // Set by whom it may, it is for the routes that declare none.
  const silent = await openWs(t, `${url}/silent`, ['other', 'graphql-transport-ws'])
  t.equal(silent.client.protocol, 'graphql-transport-ws')
  t.equal(silent.headers['x-seen'], 'yes')
})
