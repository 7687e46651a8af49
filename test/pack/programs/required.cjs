'use strict'

const websocket = require('fastify-ws-routes')
const { CloseCode, OptionError, default: plugin, fastifyWebsocket } = require('fastify-ws-routes')
const assert = require('node:assert/strict')
const { check } = require('./echo.cjs')

assert.equal(plugin, websocket)
assert.match(require('fastify-ws-routes/package.json').version, /^\d/)
check(websocket, { CloseCode, OptionError, fastifyWebsocket })
