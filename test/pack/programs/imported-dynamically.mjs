import { check } from './echo.cjs'

const { default: websocket, ...named } = await import('fastify-ws-routes')
await check(websocket, named)
