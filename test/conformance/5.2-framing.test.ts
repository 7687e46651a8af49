import t from 'tap'
import { framing } from './cases/5.2-framing.js'
import { overHttp1 } from './support.js'

framing(t, overHttp1)
