import type { Load } from './load.js'

export type Workload = Pick<Load, 'connections' | 'depth' | 'payload'> & { name: string, title: string }

const KIB = 1024

export const WORKLOADS: readonly Workload[] = [
  { name: 'echo-ping-pong', title: '16 B text echo, 100 connections, 1 in flight', connections: 100, depth: 1, payload: { kind: 'ascii', bytes: 16 } },
  { name: 'echo-16', title: '16 B text echo, 100 connections, 32 in flight', connections: 100, depth: 32, payload: { kind: 'ascii', bytes: 16 } },
  { name: 'echo-64', title: '64 B text echo, 100 connections, 32 in flight', connections: 100, depth: 32, payload: { kind: 'ascii', bytes: 64 } },
  { name: 'echo-512', title: '512 B text echo, 100 connections, 32 in flight', connections: 100, depth: 32, payload: { kind: 'ascii', bytes: 512 } },
  { name: 'echo-16k', title: '16 KiB binary echo, 20 connections, 1 in flight', connections: 20, depth: 1, payload: { kind: 'binary', bytes: 16 * KIB } },
  { name: 'echo-1m', title: '1 MiB binary echo, 4 connections, 1 in flight', connections: 4, depth: 1, payload: { kind: 'binary', bytes: 1024 * KIB } },
  { name: 'echo-text-64k', title: '64 KiB text echo, not ASCII, 20 connections, 1 in flight', connections: 20, depth: 1, payload: { kind: 'text', bytes: 64 * KIB } }
]
