import type { FastifyInstance } from 'fastify'
import type { Server as HttpServer } from 'node:http'
import { readInternal } from '../fastify-internals.js'

/**
 * The servers that Fastify has started for the other addresses of `localhost`. No public API has them: Fastify itself
 * keeps them under a symbol, to tell their addresses. Where they are not found, HTTP/2 on those addresses has no
 * WebSockets, and says so by not offering extended CONNECT; upgrades of HTTP/1.1 Fastify passes on to its first server.
 */
export function findSecondServers (fastify: FastifyInstance): readonly HttpServer[] {
  const servers = readInternal(fastify, 'fastify.serverBindings')
  return Array.isArray(servers) ? servers as HttpServer[] : []
}
