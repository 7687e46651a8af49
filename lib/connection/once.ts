import { once as onceOfNode } from 'node:events'
import type { Once } from '../../types/connection.js'

/** `once` of `node:events`, whose declaration says nothing about the arguments of an event. */
export const once: Once = onceOfNode as unknown as Once
