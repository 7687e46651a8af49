import type { FastifyInstance } from 'fastify'
import type { Server as HttpServer } from 'node:http'
import { findSecondServers } from './fastify-internals.js'
import type { PluginSettings } from './options/settings.js'
import type { Registry } from './server/registry.js'
import { UpgradeListener } from './upgrade/http1/listener.js'
import { ConnectListener } from './upgrade/http2/listener.js'
import type { Member } from './upgrade/ownership.js'
import type { RouteTable } from './upgrade/route-table.js'
import type { PendingUpgrades } from './upgrade/upgrades.js'

/** Joins one instance of this plugin to the servers that its routes are on, for as long as its app lives. */
export class Membership implements Member {
  readonly routes: RouteTable
  readonly upgrades: PendingUpgrades
  readonly ownsServer: boolean
  private readonly fastify: FastifyInstance
  private readonly connections: Registry
  private readonly upgradeListener: UpgradeListener
  private readonly connectListeners: ConnectListener[] = []
  private readonly leaveServers: (() => void)[] = []

  constructor (fastify: FastifyInstance, settings: PluginSettings, connections: Registry, routes: RouteTable, upgrades: PendingUpgrades) {
    const httpServer = settings.server ?? fastify.server
    this.fastify = fastify
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
    if (this.ownsServer) {
      fastify.addHook('onListen', async () => {
        for (const second of findSecondServers(fastify)) this.joinConnects(second)
      })
    }
    fastify.addHook('onReady', async () => { this.upgradeListener.warnOfOthers(fastify.log) })
    // Until the server is closed an upgrade may come, and has to be answered: with 503.
    fastify.addHook('onClose', async () => { for (const leave of this.leaveServers.reverse()) leave() })
  }

  private joinConnects (server: HttpServer): void {
    const listener = ConnectListener.of(server)
    if (listener === null) return
    this.connectListeners.push(listener)
    this.leaveServers.push(listener.join(this))
  }

  /** Refuses new upgrades. On a server of its own, resolves when the instances of other apps have left it. */
  async startClosing (timeout: number): Promise<void> {
    this.upgrades.startClosing()
    if (!this.ownsServer) return
    await Promise.all([this.upgradeListener, ...this.connectListeners].map(listener => listener.startClosing(timeout)))
  }

  /** Closes the connections evenly over `over` milliseconds. */
  drain (over: number): Promise<void> {
    return this.connections.drain(over)
  }

  async leave (timeout: number): Promise<void> {
    const deadline = performance.now() + timeout
    await Promise.all([this.upgrades.refuseAll(timeout), this.connections.closeWithin(timeout)])
    // Some were accepted, and their 101 was on its way, when closing began.
    await this.connections.closeWithin(Math.max(0, deadline - performance.now()))
  }

  /** Lets the HTTP/2 sessions of a server of its own end with their last connection. */
  startClosingSessions (): void {
    if (this.ownsServer) for (const { sessions } of this.connectListeners) sessions.startClosing()
  }

  /** Resolves when those sessions have ended, or after `timeout` milliseconds. */
  async sessionsClosed (timeout: number): Promise<void> {
    if (this.ownsServer) await Promise.all(this.connectListeners.map(({ sessions }) => sessions.closed(timeout)))
  }
}
