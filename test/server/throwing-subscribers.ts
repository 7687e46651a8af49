// Run by diagnostics.test.ts in a process of its own, since what subscribers throw is uncaught there.

import { once } from 'node:events'
import diagnosticsChannel from 'node:diagnostics_channel'
import Fastify from 'fastify'
import websocket from '../../lib/index.js'

const uncaught: string[] = []
const heard: string[] = []
process.on('uncaughtException', error => uncaught.push(error.message))

for (const name of ['open', 'close', 'error', 'refused']) {
  diagnosticsChannel.subscribe(`fastify-ws-routes.${name}`, () => { throw new Error(`${name} threw`) })
  diagnosticsChannel.subscribe(`fastify-ws-routes.${name}`, () => heard.push(name))
}

const app = Fastify()
await app.register(websocket)
app.get('/', { websocket: true }, connection => {
  connection.on('message', data => {
    if (String(data) === 'throw') throw new Error('a listener')
    connection.send(data)
  })
})

const client = await app.injectWS('/')
client.send('hello')
const [answer] = await once(client, 'message') as [Buffer]
client.send('throw')
const [code] = await once(client, 'close') as [number]
const refused = await app.injectWS('/nowhere').catch((error: { statusCode: number }) => error.statusCode)
await app.close()
console.log(JSON.stringify({ answer: answer.toString(), code, refused, heard: heard.sort(), uncaught: uncaught.sort() }))
