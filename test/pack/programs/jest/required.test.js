/* global test */
const websocket = require('fastify-ws-routes')
const { check } = require('../echo.cjs')

test('required', () => check(websocket, websocket))
