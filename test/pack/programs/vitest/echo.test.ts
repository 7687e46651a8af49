import websocket, * as named from 'fastify-ws-routes'
import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { check } from '../echo.cjs'

test('imported', () => check(websocket, named))

test('imported and required', async () => {
  const required = createRequire(import.meta.url)('fastify-ws-routes')
  expect(required).toBe(websocket)
  await check(required, named)
})
