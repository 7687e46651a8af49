'use strict'

const assert = require('node:assert/strict')
const required = require('fastify-ws-routes')
const { check } = require('./echo.cjs')

import('fastify-ws-routes').then(imported => {
  assert.equal(imported.default, required)
  assert.equal(imported.OptionError, required.OptionError)
  return check(imported.default, imported)
})
