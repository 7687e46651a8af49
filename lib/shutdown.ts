import type { FastifyInstance } from 'fastify'
import type { Server as HttpServer } from 'node:http'
import { noop } from './common.js'
import { ConnectListener } from './upgrade/http2/listener.js'
import type { Member } from './upgrade/ownership.js'
import type { PendingUpgrades } from './upgrade/upgrades.js'
import type { RouteTable } from './upgrade/route-table.js'
import { findSecondServers, isAppClosing } from './fastify-internals.js'
import { UpgradeListener } from './upgrade/http1/listener.js'
import type { PluginSettings } from './options/settings.js'
import type { Registry } from './server/registry.js'

/** The instances of this plugin in one app, in encapsulated contexts each. They close together. */
const instances = new WeakMap<object, Set<Shutdown>>()

/** Listens to the server for one instance of this plugin, and ends what came of it when the app closes. */
export class Shutdown implements Member {
  readonly routes: RouteTable
  readonly upgrades: PendingUpgrades
  readonly ownsServer: boolean
  private readonly fastify: FastifyInstance
  private readonly settings: PluginSettings
  private readonly connections: Registry
  private readonly upgradeListener: UpgradeListener
  private readonly connectListeners: ConnectListener[] = []
  private readonly leaveServers: (() => void)[] = []
  private closing: Promise<void> | null = null

  constructor (fastify: FastifyInstance, settings: PluginSettings, connections: Registry, routes: RouteTable, upgrades: PendingUpgrades) {
    const httpServer = settings.server ?? fastify.server
    this.fastify = fastify
    this.settings = settings
    this.connections = connections
    this.routes = routes
    this.upgrades = upgrades
    this.ownsServer = httpServer === fastify.server
    this.upgradeListener = UpgradeListener.of(httpServer)
    this.leaveServers.push(this.upgradeListener.join(this))
    this.joinConnects(httpServer)
  }

  get isClosing (): boolean {
    return this.upgrades.isClosing
  }

  addHooks (): void {
    const { fastify } = this
    const siblings = instances.get(fastify.server) ?? new Set()
    instances.set(fastify.server, siblings.add(this))
    if (this.ownsServer) {
      fastify.addHook('onListen', async () => {
        for (const second of findSecondServers(fastify)) this.joinConnects(second)
      })
    }
    fastify.addHook('onReady', async () => { this.upgradeListener.warnOfOthers(fastify.log) })
    fastify.addHook('preClose', async () => {
      // Fastify runs these hooks one after the other: the clients of the last one would wait for all others.
      for (const sibling of siblings) sibling.close().catch(noop)
      await this.close()
    })
    this.leaveServers.push(beforeClose(fastify, () => { this.close().catch(noop) }))
    // Until the server is closed an upgrade may come, and has to be answered: with 503.
    fastify.addHook('onClose', async () => { for (const leave of this.leaveServers.reverse()) leave() })
  }

  private joinConnects (server: HttpServer): void {
    const listener = ConnectListener.of(server)
    if (listener === null) return
    this.connectListeners.push(listener)
    this.leaveServers.push(listener.join(this))
  }

  /** Once. */
  private close (): Promise<void> {
    return (this.closing ??= this.run())
  }

  /** The steps of "Draining" in the README. One deadline holds for all of them. */
  private async run (): Promise<void> {
    const limit = performance.now() + timeToClose(this.fastify)
    try {
      // 1. Fastify answers new requests with 503 by now, unless an option says otherwise. We refuse nobody before step 3.
      // 2. The app says goodbye.
      await this.runPreClose(limit)
    } finally {
      const deadline = Math.min(performance.now() + this.settings.closeTimeout, limit)
      await this.closeUntil(() => Math.max(0, deadline - performance.now()))
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
    await (limit === Infinity ? finished : inTime(finished, limit - performance.now()))
  }

  private async closeUntil (timeLeft: () => number): Promise<void> {
    const ends: Promise<void>[] = []
    // 3. Nobody new gets in. Before step 4, which waits for them: upgrades that other listeners have not answered.
    this.upgrades.startClosing()
    if (this.ownsServer) {
      for (const listener of [this.upgradeListener, ...this.connectListeners]) ends.push(listener.startClosing(timeLeft()))
    }
    // 4. Handshakes get 503, connections 1001. What is left when the time is over is destroyed.
    ends.push(this.leave(timeLeft()))
    // 5. Sessions of HTTP/2 end with their last connection, behind its Close frame.
    if (this.ownsServer) for (const { sessions } of this.connectListeners) sessions.startClosing()
    await Promise.all(ends)
    if (this.ownsServer) await Promise.all(this.connectListeners.map(({ sessions }) => sessions.closed(timeLeft())))
    // 6. Fastify closes the server, for which nothing is left to wait, and runs `onClose`.
  }

  async leave (timeout: number): Promise<void> {
    const deadline = performance.now() + timeout
    await Promise.all([this.upgrades.refuseAll(timeout), this.connections.closeWithin(timeout)])
    // Those whose 101 was on its way when closing began.
    await this.connections.closeWithin(Math.max(0, deadline - performance.now()))
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

/** Waits for a promise, but not longer than `timeout` milliseconds. */
async function inTime (promise: Promise<void>, timeout: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>(resolve => { timer = setTimeout(resolve, timeout) })
  try {
    await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
