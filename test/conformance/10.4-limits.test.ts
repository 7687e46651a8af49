import t from 'tap'
import { limits } from './cases/10.4-limits.js'
import { overHttp1 } from './support.js'

limits(t, overHttp1)
