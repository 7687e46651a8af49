/**
 * The client for pages and for Node: it reconnects, resumes topics, and sends what was written while offline.
 *
 * @see docs/client.md
 * @module fastify-ws-routes/client
 */

export type * from '../../types/client.js'
export { ClientError } from './errors.js'
export { connectJson } from './json.js'
export { connect } from './topics.js'
