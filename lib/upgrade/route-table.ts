import FindMyWay from 'find-my-way'
import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { noop } from '../common.js'
import { findRewriteUrl } from '../fastify-internals.js'

/** `useSemicolonDelimiter` is missing from the types of both packages. */
interface RouterConfig extends FindMyWay.Config<FindMyWay.HTTPVersion.V1> {
  useSemicolonDelimiter?: boolean
}

/** The entry of the router for a URL. */
interface Entry {
  isWebSocket: boolean
}

/** As find-my-way has it: a parameter that may be left out makes two routes. */
const OPTIONAL_PARAMETER = /(\/:[^/()]*?)\?(\/?)/

/**
 * The URLs of the WebSocket routes, in the router that Fastify itself uses and with the same options. The URLs of HTTP
 * routes are in it too: a WebSocket route with a wildcard must not get requests for a more specific HTTP route.
 *
 * `fastify.findRoute` cannot say whether a route is one: it needs the constraints and returns what all routes
 * share. Only the path counts here; constraints are left to Fastify.
 */
export class RouteTable {
  private readonly fastify: FastifyInstance
  private readonly rewriteUrl: ReturnType<typeof findRewriteUrl>
  private readonly options: RouterConfig
  private readonly router: FindMyWay.Instance<FindMyWay.HTTPVersion.V1>

  constructor (fastify: FastifyInstance) {
    this.fastify = fastify
    this.rewriteUrl = findRewriteUrl(fastify)
    // Fastify takes these in two places; where one has none it shows the default.
    const config = fastify.initialConfig as RouterConfig
    const router: RouterConfig = fastify.initialConfig.routerOptions ?? {}
    const isOn = (option: keyof RouterConfig): boolean => router[option] === true || config[option] === true
    this.options = {
      ignoreTrailingSlash: isOn('ignoreTrailingSlash'),
      ignoreDuplicateSlashes: isOn('ignoreDuplicateSlashes'),
      useSemicolonDelimiter: isOn('useSemicolonDelimiter'),
      allowUnsafeRegex: isOn('allowUnsafeRegex'),
      caseSensitive: router.caseSensitive !== false && config.caseSensitive !== false,
      maxParamLength: Math.max(router.maxParamLength ?? 0, config.maxParamLength ?? 0)
    }
    this.router = FindMyWay(this.options)
  }

  add (url: string, isWebSocket: boolean): void {
    for (const path of expand(url).map(path => this.normalize(path))) {
      // A route that differs only in its constraints is there already.
      const known = this.router.findRoute('GET', path)
      if (known === null) this.router.on('GET', path, noop, { isWebSocket } satisfies Entry)
      else if (isWebSocket) (known.store as Entry).isWebSocket = true
    }
  }

  /** As the router does when it adds a route, but not when it looks a route up. */
  private normalize (path: string): string {
    const { ignoreDuplicateSlashes = false, ignoreTrailingSlash = false } = this.options
    const single = ignoreDuplicateSlashes ? path.replace(/\/{2,}/g, '/') : path
    return ignoreTrailingSlash && single.length > 1 && single.endsWith('/') ? single.slice(0, -1) : single
  }

  /** Whether this URL is that of a WebSocket route. */
  has (url: string): boolean {
    const found = this.router.find('GET', url)
    return found !== null && (found.store as Entry).isWebSocket
  }

  /** Whether the URL of a request that Fastify has not seen yet will be that of a WebSocket route once it is rewritten. */
  matches (request: IncomingMessage): boolean {
    try {
      const url = this.rewriteUrl === null ? request.url! : this.rewriteUrl.call(this.fastify, request)
      return typeof url === 'string' && this.has(url)
    } catch {
      // The user's `rewriteUrl` has thrown, and will again in Fastify's router: where we answer with 500.
      return true
    }
  }
}

function expand (url: string): string[] {
  const optional = OPTIONAL_PARAMETER.exec(url)
  if (optional === null) return [url === '*' ? '/*' : url]
  const [whole, parameter, slash] = optional as unknown as [string, string, string]
  return [url.replace(whole, parameter + slash), url.replace(whole, slash) || '/']
}
