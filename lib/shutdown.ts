import type { FastifyInstance } from 'fastify'
import type { Server as HttpServer } from 'node:http'
import { noop } from './common.js'
import { isAppClosing } from './fastify-internals.js'
import type { Membership } from './membership.js'
import type { PluginSettings } from './options/settings.js'
import { within } from './within.js'

/** Milliseconds of Fastify's time for closing that draining leaves to close handshakes. */
const LEFT_BY_DRAIN = 1_000

/** The instances of this plugin in one app, in encapsulated contexts each. They close together. */
const instances = new WeakMap<object, Set<Shutdown>>()

/** Ends what came over the servers of one instance of this plugin when the app closes. */
export class Shutdown {
  private readonly fastify: FastifyInstance
  private readonly settings: PluginSettings
  private readonly membership: Membership
  private closing: Promise<void> | null = null

  constructor (fastify: FastifyInstance, settings: PluginSettings, membership: Membership) {
    this.fastify = fastify
    this.settings = settings
    this.membership = membership
  }

  addHooks (): void {
    const { fastify } = this
    const siblings = instances.get(fastify.server) ?? new Set()
    instances.set(fastify.server, siblings.add(this))
    fastify.addHook('preClose', async () => {
      // Fastify runs these hooks one after the other: the clients of the last one would wait for all others.
      for (const sibling of siblings) sibling.close().catch(noop)
      await this.close()
    })
    const restore = beforeClose(fastify, () => { this.close().catch(noop) })
    fastify.addHook('onClose', async () => restore())
  }

  /** Once. */
  private close (): Promise<void> {
    return (this.closing ??= this.run())
  }

  /** The steps of "Draining" in docs/closing.md. One deadline holds for all of them. */
  private async run (): Promise<void> {
    const limit = performance.now() + timeToClose(this.fastify)
    try {
      // 1. Fastify answers new requests with 503 by now, unless an option says otherwise. We refuse nobody before step 3.
      // 2. The app says goodbye.
      await this.runPreClose(limit)
    } finally {
      const drainTime = Math.max(0, Math.min(this.settings.drainTime, limit - performance.now() - LEFT_BY_DRAIN))
      const deadline = Math.min(performance.now() + drainTime + this.settings.closeTimeout, limit)
      await this.closeUntil(() => Math.max(0, deadline - performance.now()), drainTime)
    }
  }

  /** The user's own hook comes first: it may say goodbye. */
  private async runPreClose (limit: number): Promise<void> {
    const { preClose } = this.settings
    if (preClose === null) return
    const finished = new Promise<void>((resolve, reject) => {
      const result = preClose.call(this.fastify, error => error === undefined || error === null ? resolve() : reject(error))
      // As Fastify tells one kind from the other.
      if (preClose.length !== 1) resolve(result as Promise<void>)
    })
    await (limit === Infinity ? finished : within(limit - performance.now(), finished))
  }

  private async closeUntil (timeLeft: () => number, drainTime: number): Promise<void> {
    const { membership } = this
    // 3. Nobody new gets in. Before step 5, which waits for them: upgrades that other listeners have not answered.
    const refused = membership.startClosing(timeLeft())
    // 4. Connections get 1012 one after the other, if the app wants it.
    if (drainTime > 0) await membership.drain(drainTime)
    // 5. Handshakes get 503, connections 1001. Whatever is left at the deadline is destroyed.
    const left = membership.leave(timeLeft())
    // 6. Sessions of HTTP/2 end with their last connection, behind its Close frame.
    membership.startClosingSessions()
    await Promise.all([refused, left])
    await membership.sessionsClosed(timeLeft())
    // 7. Fastify closes the server, for which nothing is left to wait, and runs `onClose`.
  }
}

/**
 * Calls back when the app closes its server. Where a `preClose` hook fails, Fastify skips the later ones, ours among them, and
 * goes on to close the server, which would wait for our connections for ever. @returns a function that ends it
 */
function beforeClose (fastify: FastifyInstance, callback: () => void): () => void {
  const { server } = fastify
  const { close } = server
  const isOwn = Object.hasOwn(server, 'close')
  const replacement = function (...args: unknown[]): HttpServer {
    // A server that the user closes by itself is no app that closes.
    if (isAppClosing(fastify)) callback()
    return Reflect.apply(close, server, args)
  }
  server.close = replacement
  return () => {
    if (server.close !== replacement) return
    if (isOwn) server.close = close
    else Reflect.deleteProperty(server, 'close')
  }
}

/**
 * Milliseconds that `app.close()` may take in `preClose` hooks: Fastify rejects it after `pluginTimeout`, which
 * is as long by default as one silent client may take, and its server has to close then too.
 */
function timeToClose ({ initialConfig: { pluginTimeout = 0 } }: FastifyInstance): number {
  return pluginTimeout === 0 ? Infinity : pluginTimeout * 0.9
}
