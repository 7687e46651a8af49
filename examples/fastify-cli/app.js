// An app as `fastify generate --esm` makes it: its plugins and routes are files, found by @fastify/autoload.
//
//   npm run example fastify-cli
//
// Its tests, with the helper of fastify-cli: npm run example fastify-cli-test

import autoload from '@fastify/autoload'
import { fileURLToPath } from 'node:url'

const folder = name => fileURLToPath(new URL(name, import.meta.url))

export default async function (fastify, options) {
  fastify.register(autoload, { dir: folder('plugins'), options })
  fastify.register(autoload, { dir: folder('routes'), options, autoHooks: true })
}
