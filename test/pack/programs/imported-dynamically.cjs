'use strict'

const { check } = require('./echo.cjs')

import('fastify-ws-routes').then(({ default: websocket, ...named }) => check(websocket, named))
