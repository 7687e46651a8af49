// Asks the server beside it, as a browser would too; there `webSocketImpl` is not needed.
//
//   npm run example graphql-ws-client

import { createClient } from 'graphql-ws'
import { WebSocket } from 'undici'

const client = createClient({ url: process.env.URL ?? 'ws://127.0.0.1:3000/graphql', webSocketImpl: WebSocket })

for await (const { data } of client.iterate({ query: '{ hello (name: "you") }' })) console.log(data)
for await (const { data } of client.iterate({ query: 'subscription { countdown (from: 3) }' })) console.log(data)
