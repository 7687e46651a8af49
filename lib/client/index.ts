export type * from '../../types/client.js'
export { ClientError } from './errors.js'
export { connectJson } from './json.js'
export { connect } from './topics.js'
