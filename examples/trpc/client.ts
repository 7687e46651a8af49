// Says something, and hears what everybody says.
//
//   npm run example trpc-client "Hello!"

import { createTRPCClient, createWSClient, wsLink } from '@trpc/client'
import { WebSocket } from 'undici'
import type { Router } from './server.js'

const client = createTRPCClient<Router>({
  links: [wsLink({
    client: createWSClient({
      url: process.env.URL ?? 'ws://127.0.0.1:3000/trpc',
      // Browsers, and Node from version 22 on, have it.
      WebSocket: WebSocket as typeof globalThis.WebSocket
    })
  })]
})

client.listen.subscribe({}, { onData: ({ id, data }) => console.log(`${id}: ${data}`) })
await client.say.mutate(process.argv[2] ?? 'Hello!')
