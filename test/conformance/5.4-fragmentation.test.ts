import t from 'tap'
import { fragmentation } from './cases/5.4-fragmentation.js'
import { overHttp1 } from './support.js'

fragmentation(t, overHttp1)
