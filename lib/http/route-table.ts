import FindMyWay from 'find-my-way'
import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { findRewriteUrl } from './rewrite-url.js'

/** `useSemicolonDelimiter` is missing from the types of both packages. */
interface RouterConfig extends FindMyWay.Config<FindMyWay.HTTPVersion.V1> {
  useSemicolonDelimiter?: boolean
}

/**
 * The URLs of the WebSocket routes, in the router that Fastify itself uses and with the same options.
 *
 * `fastify.findRoute` cannot say whether a route is one: it needs the constraints and returns what all routes
 * share. Only the path counts here; constraints are left to Fastify.
 */
export class RouteTable {
  private readonly fastify: FastifyInstance
  private readonly router: FindMyWay.Instance<FindMyWay.HTTPVersion.V1>

  constructor (fastify: FastifyInstance) {
    this.fastify = fastify
    // Fastify takes these in two places; where one has none it shows the default.
    const config = fastify.initialConfig as RouterConfig
    const router: RouterConfig = fastify.initialConfig.routerOptions ?? {}
    const isOn = (option: keyof RouterConfig): boolean => router[option] === true || config[option] === true
    const options: RouterConfig = {
      ignoreTrailingSlash: isOn('ignoreTrailingSlash'),
      ignoreDuplicateSlashes: isOn('ignoreDuplicateSlashes'),
      useSemicolonDelimiter: isOn('useSemicolonDelimiter'),
      allowUnsafeRegex: isOn('allowUnsafeRegex'),
      caseSensitive: router.caseSensitive !== false && config.caseSensitive !== false,
      maxParamLength: Math.max(router.maxParamLength ?? 0, config.maxParamLength ?? 0)
    }
    this.router = FindMyWay(options)
  }

  add (url: string): void {
    // A route that differs only in its constraints is there already.
    if (!this.router.hasRoute('GET', url)) this.router.on('GET', url, noop)
  }

  /** Whether the path of this request, as Fastify would rewrite it, is that of a WebSocket route, whatever its method. */
  matches (request: IncomingMessage): boolean {
    const rewriteUrl = findRewriteUrl(this.fastify)
    const url = rewriteUrl === null ? request.url! : rewriteUrl.call(this.fastify, request)
    return typeof url === 'string' && this.router.find('GET', url) !== null
  }
}

function noop (): void {}
