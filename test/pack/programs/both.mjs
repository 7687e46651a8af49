// One process that imports and requires the package has each class and each state once.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import Fastify from 'fastify'
import imported, * as named from 'fastify-ws-routes'
import { check } from './echo.cjs'

const required = createRequire(import.meta.url)('fastify-ws-routes')

assert.equal(imported, required)
assert.deepEqual(Object.keys(named).sort(), Object.keys(required).sort())
for (const [name, value] of Object.entries(named)) assert.equal(required[name], value, name)
await check(imported, required)
await check(required, named)

const app = Fastify()
await app.register(imported)
await assert.rejects(async () => app.register(required), error => error instanceof named.RegistrationError && error instanceof required.RegistrationError)
await app.close()
