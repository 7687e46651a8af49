export type * from '../../types/broker.js'
