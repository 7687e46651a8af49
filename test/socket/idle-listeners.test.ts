import t from 'tap'
import type { WebSocketConnection } from '../../lib/index.js'
import { sessionOf, type Connection } from '../../lib/connection/connection.js'
import { startApp } from '../support/app.js'
import { certificate } from '../support/certificate.js'
import { close, RawClient, text } from '../support/raw-client.js'
import { connectSecure } from '../support/server-sockets.js'

for (const isSecure of [false, true]) {
  t.test(`a connection over ${isSecure ? 'TLS' : 'TCP'} is the only listener for the end of its socket, and can write when the client has ended`, async t => {
    const connections: WebSocketConnection[] = []
    const { port } = await startApp(t, app => app.get('/', { websocket: true }, connection => {
      connections.push(connection)
      connection.on('message', data => connection.send(data))
    }), {}, isSecure ? { https: certificate } : {})
    const client = isSecure ? await connectSecure(port) : await RawClient.connect(port)
    await client.upgrade()
    const [connection] = connections as [WebSocketConnection]
    t.equal(sessionOf(connection as Connection).socket.listenerCount('end'), 1)
    client.write(Buffer.concat([text('last'), close(1000)]))
    client.end()
    t.equal((await client.frame()).payload.toString(), 'last')
    t.equal((await client.closeFrame()).code, 1000)
    await client.closed
  })
}
