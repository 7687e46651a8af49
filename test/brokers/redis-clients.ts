import { Cluster as IoRedis5Cluster, Redis as IoRedis5 } from 'ioredis-5'
import { Cluster, Redis } from 'ioredis'
import { Redis as IoValkey } from 'iovalkey'
import { createClient, createCluster } from 'redis'
import { createClient as createClient5, createCluster as createCluster5 } from 'redis-5'
import type { RedisBrokerOptions } from '../../lib/redis/index.js'

// Clients that the tests give to the broker. It takes them as templates: they are never connected themselves.

export type Client = RedisBrokerOptions['client']

const LAZY = { lazyConnect: true }
const urlOf = (port: number): string => `redis://127.0.0.1:${port}`

/** For one server. */
export const CLIENTS: Record<string, (port: number) => Client> = {
  'ioredis 6': port => new Redis(port, '127.0.0.1', LAZY),
  'ioredis 5': port => new IoRedis5(port, '127.0.0.1', { ...LAZY, keyPrefix: 'app:' }),
  iovalkey: port => new IoValkey(port, '127.0.0.1', LAZY),
  'node-redis 6': port => createClient({ url: urlOf(port) }),
  'node-redis 5': port => createClient5({ url: urlOf(port) })
}

/** For a cluster. */
export const CLUSTERS: Record<string, (ports: number[]) => Client> = {
  'ioredis 6': ports => new Cluster(ports.map(port => ({ host: '127.0.0.1', port })), LAZY),
  'ioredis 5': ports => new IoRedis5Cluster(ports.map(port => ({ host: '127.0.0.1', port })), LAZY),
  'node-redis 6': ports => createCluster({ rootNodes: ports.map(port => ({ url: urlOf(port) })) }),
  'node-redis 5': ports => createCluster5({ rootNodes: ports.map(port => ({ url: urlOf(port) })) })
}

/** The two that most apps have. */
export const COMMON = Object.entries(CLIENTS).filter(([name]) => name === 'ioredis 6' || name === 'node-redis 6')
